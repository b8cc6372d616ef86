"""`swinunet`: a U-Net of nothing but shifted-window transformer blocks.

"Swin-Unet", Cao et al. 2022; published width 96, depths 2-2-2-2 down and 2-2-2 up, window 7. The
blocks and the patch merging are MONAI's, the patch expanding is written here. The target's text
vector is projected and added to what enters each of the four patch expandings, and a sigmoid ends
the decoder. No published weights are taken over; the paper begins from ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.conditioning import AddedCondition, steered

_PATCH, _DEPTH, _WINDOW = 4, 2, 7
_HEADS = (3, 6, 12, 24)


class ChannelNorm(nn.Module):
    """Every place of a map [n, c, rows, columns] normalised over its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        result: torch.Tensor = self.norm(maps.movedim(1, -1)).movedim(-1, 1)
        return result


class PatchExpanding(nn.Module):
    """[n, c, rows, columns] to [n, `after`, factor · rows, factor · columns], without
    interpolation."""

    def __init__(self, before: int, after: int, factor: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(before, after * factor**2, 1, bias=False)
        self.norm = ChannelNorm(after)
        self.factor = factor

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """See the class."""
        result: torch.Tensor = self.norm(functional.pixel_shuffle(self.expand(maps), self.factor))
        return result


def _stage(channels: int, heads: int, merging: Any | None = None) -> Any:
    """Two shifted-window blocks, with a patch merging behind them if one is given."""
    from monai.networks.nets.swin_unetr import BasicLayer

    return BasicLayer(
        dim=channels,
        depth=_DEPTH,
        num_heads=heads,
        window_size=(_WINDOW, _WINDOW),
        drop_path=[0.0] * _DEPTH,
        qkv_bias=True,
        downsample=merging,
    )


class SwinUnetEncoder(nn.Module):
    """[n, 1, rows, columns], multiples of 32, to the image and four maps at 1/4 … 1/32."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        from monai.networks.nets.swin_unetr import PatchMergingV2

        self.embed = nn.Conv2d(1, channels[0], _PATCH, stride=_PATCH)
        self.norm = ChannelNorm(channels[0])
        self.stages = nn.ModuleList(
            _stage(count, heads) for count, heads in zip(channels, _HEADS, strict=True)
        )
        self.mergings = nn.ModuleList(
            PatchMergingV2(count, spatial_dims=2) for count in channels[:-1]
        )
        self.last = ChannelNorm(channels[-1])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, fine to coarse."""
        maps = self.norm(self.embed(images))
        features = [images]
        for number, stage in enumerate(self.stages):
            if number:
                maps = self.mergings[number - 1](maps.movedim(1, -1)).movedim(-1, 1)
            maps = stage(maps)
            features.append(maps)
        features[-1] = self.last(features[-1])
        return features


class SwinUnetDecoder(nn.Module):
    """Three patch expandings with blocks behind them, one of four times to the full resolution."""

    def __init__(self, channels: Sequence[int], condition_size: int) -> None:
        super().__init__()
        levels = range(len(channels) - 1)
        self.ups = nn.ModuleList(
            PatchExpanding(channels[level + 1], channels[level], 2) for level in levels
        )
        self.joins = nn.ModuleList(
            nn.Conv2d(2 * channels[level], channels[level], 1) for level in levels
        )
        self.stages = nn.ModuleList(_stage(channels[level], _HEADS[level]) for level in levels)
        self.norm = ChannelNorm(channels[0])
        self.last = PatchExpanding(channels[0], channels[0], _PATCH)
        self.out = nn.Conv2d(channels[0], 1, 1)
        self.condition = AddedCondition(condition_size, channels)

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        _, *skips, maps = features
        added = self.condition(condition)
        for level in reversed(range(len(skips))):
            maps = self.ups[level](steered(maps, added[level + 1]))
            maps = self.stages[level](self.joins[level](torch.cat([maps, skips[level]], dim=1)))
        maps = self.last(steered(self.norm(maps), added[0]))
        return torch.sigmoid(self.out(maps))


@register_backbone("swinunet")
class SwinUnet(Backbone):
    """The image, and four maps at 1/4 … 1/32 of the resolution, width × (1, 2, 4, 8) channels."""

    stride: ClassVar[int] = 32
    unread: ClassVar[frozenset[int]] = frozenset({0})
    published_width: ClassVar[int] = 96
    width_step: ClassVar[int] = 12

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        channels = tuple(settings.width * factor for factor in (1, 2, 4, 8))
        self.channels = (1, *channels)
        self.encoder = SwinUnetEncoder(channels)
        self.decoder = SwinUnetDecoder(channels, settings.condition_size)
