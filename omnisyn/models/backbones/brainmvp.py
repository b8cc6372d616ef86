"""`brainmvp`: a UniFormer encoder and a decoder without skips.

"BrainMVP", Rui et al. 2024, in 2D; its encoder is "UniFormer", Li et al. 2022, in the size called
S: width 64, 3-4-8-3 blocks, of which those of the two finer maps mix places by convolution and
those of the two coarser ones by attention. What BrainMVP proposes is a pretraining (objective
`brainmvp` of `pretrain`): without skips everything that the decoder knows has passed through the
coarsest map. Departures: two dimensions; normalisation of one image at a time. The target's text
vector is projected and added to what enters each of the decoder's five steps, and a sigmoid ends
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.positions import maps_of, tokens_of
from omnisyn.models.conditioning import AddedCondition, steered

_FACTORS = (1, 2, 5, 8)
_DEPTHS = (3, 4, 8, 3)
# From here on, levels mix places by attention; heads by level.
_FIRST_GLOBAL = 2
_HEADS = {2: 5, 3: 8}
_EXPANSION = 4


def _one_group(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(1, channels)


class LocalMixing(nn.Module):
    """Every channel over 5×5 places, between two pointwise layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Conv2d(channels, channels, 1)
        self.mix = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.after = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        result: torch.Tensor = self.after(self.mix(self.before(maps)))
        return result


class GlobalMixing(nn.Module):
    """Attention among all places."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(channels, 3 * channels)
        self.after = nn.Linear(channels, channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        tokens = tokens_of(maps)
        # [n, tokens, 3, heads, c / heads] to three of [n, heads, tokens, c / heads].
        parts = self.joint(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts)
        return maps_of(self.after(mixed.transpose(1, 2).flatten(2)), *maps.shape[-2:])


class UniformerBlock(nn.Module):
    """A position, a mixing of places and a mixing of channels, each beside a shortcut."""

    def __init__(self, channels: int, mixing: nn.Module) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mixing = nn.Sequential(_one_group(channels), mixing)
        self.channels = nn.Sequential(
            _one_group(channels),
            nn.Conv2d(channels, _EXPANSION * channels, 1),
            nn.GELU(),
            nn.Conv2d(_EXPANSION * channels, channels, 1),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        maps = maps + self.position(maps)
        maps = maps + self.mixing(maps)
        result: torch.Tensor = maps + self.channels(maps)
        return result


class UniformerEncoder(nn.Module):
    """[n, 1, rows, columns], multiples of 32, to the image and four maps at 1/4 … 1/32."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        steps = [(1, channels[0], 4), *((a, b, 2) for a, b in pairwise(channels))]
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, size, stride=size), _one_group(after))
            for before, after, size in steps
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    UniformerBlock(
                        count,
                        LocalMixing(count)
                        if level < _FIRST_GLOBAL
                        else GlobalMixing(count, _HEADS[level]),
                    )
                    for _ in range(_DEPTHS[level])
                )
            )
            for level, count in enumerate(channels)
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, fine to coarse."""
        features = [images]
        for down, stage in zip(self.downs, self.stages, strict=True):
            features.append(stage(down(features[-1])))
        return features


class SkipFreeDecoder(nn.Module):
    """Five steps up from the coarsest map alone, and a sigmoid."""

    def __init__(self, channels: Sequence[int], condition_size: int) -> None:
        super().__init__()
        fine = channels[0]
        widths = (*channels[::-1], fine // 2, fine // 4)
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(before, after, 2, stride=2),
                nn.Conv2d(after, after, 3, padding=1),
                _one_group(after),
                nn.GELU(),
            )
            for before, after in pairwise(widths)
        )
        self.out = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.condition = AddedCondition(condition_size, widths[:-1])

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        maps = features[-1]
        for step, vector in zip(self.steps, self.condition(condition), strict=True):
            maps = step(steered(maps, vector))
        return torch.sigmoid(self.out(maps))


@register_backbone("brainmvp")
class BrainMvp(Backbone):
    """The image, and four maps at 1/4 … 1/32 of the resolution, width × (1, 2, 5, 8) channels."""

    stride: ClassVar[int] = 32
    unread: ClassVar[frozenset[int]] = frozenset({0, 1, 2, 3})
    published_width: ClassVar[int] = 64

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        channels = tuple(settings.width * factor for factor in _FACTORS)
        self.channels = (1, *channels)
        self.encoder = UniformerEncoder(channels)
        self.decoder = SkipFreeDecoder(channels, settings.condition_size)
