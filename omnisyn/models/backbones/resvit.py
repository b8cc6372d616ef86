"""`resvit`: residual convolutions with a transformer in two of nine blocks.

"ResViT", Dalmaz et al. 2022; published width 64: a stem and two steps down to 1/4, nine residual
blocks there, the first and the sixth with a transformer of twelve layers that both share, and two
steps up. It has no skips: the encoder is what comes before the nine blocks, so that the blocks,
which do the work, are steered by the target. Departures: positions are interpolated; instance
normalisation throughout; a sigmoid ends the decoder instead of a hyperbolic tangent. The target's
text vector is projected and added to what enters every third block and the two steps up. The
published adversarial training is a strategy here (`adversarial`) and no part of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.positions import PUBLISHED_IMAGE, Positions, maps_of, tokens_of
from omnisyn.models.conditioning import AddedCondition, steered

_LAYERS, _HEADS = 12, 12
_BLOCKS, _WITH_TRANSFORMER = 9, (0, 5)
_STEERED_BLOCKS = (0, 3, 6)
# The transformer's tokens lie at 1/16 of the resolution.
_STRIDE = 16


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1), nn.InstanceNorm2d(after), nn.ReLU()
    )


def _up(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1),
        nn.InstanceNorm2d(after),
        nn.ReLU(),
    )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        result: torch.Tensor = maps + self.branch(maps)
        return result


class TransformerBranch(nn.Module):
    """Down to 1/16, through a transformer, back up, and joined with what came in.

    The transformer is given at every call, because several branches share it.
    """

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.downs = nn.Sequential(_down(channels, 2 * channels), _down(2 * channels, 4 * channels))
        self.embed = nn.Conv2d(4 * channels, tokens, 1)
        self.positions = Positions(tokens, PUBLISHED_IMAGE // _STRIDE)
        self.ups = nn.Sequential(_up(tokens, 2 * channels), _up(2 * channels, channels))
        self.compress = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, maps: torch.Tensor, transformer: nn.Module) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        embedded = self.positions(self.embed(self.downs(maps)))
        tokens = transformer(tokens_of(embedded))
        context = self.ups(maps_of(tokens, *embedded.shape[-2:]))
        result: torch.Tensor = self.compress(torch.cat([maps, context], dim=1))
        return result


class ResVitEncoder(nn.Module):
    """[n, 1, rows, columns], multiples of 16, to three maps at 1, 1/2 and 1/4."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.stem = nn.Sequential(
            nn.Conv2d(1, fine, 7, padding=3, padding_mode="reflect"),
            nn.InstanceNorm2d(fine),
            nn.ReLU(),
        )
        self.downs = nn.ModuleList([_down(fine, middle), _down(middle, coarse)])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, fine to coarse."""
        features = [self.stem(images)]
        for down in self.downs:
            features.append(down(features[-1]))
        return features


class ResVitDecoder(nn.Module):
    """Nine blocks at 1/4, two steps up and a sigmoid, from the coarsest map alone."""

    def __init__(self, channels: Sequence[int], tokens: int, condition_size: int) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.transformer = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                tokens,
                _HEADS,
                dim_feedforward=4 * tokens,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            ),
            _LAYERS,
            norm=nn.LayerNorm(tokens),
            enable_nested_tensor=False,
        )
        self.branches = nn.ModuleDict(
            {str(number): TransformerBranch(coarse, tokens) for number in _WITH_TRANSFORMER}
        )
        self.blocks = nn.ModuleList(ResidualBlock(coarse) for _ in range(_BLOCKS))
        self.ups = nn.ModuleList([_up(coarse, middle), _up(middle, fine)])
        self.out = nn.Conv2d(fine, 1, 7, padding=3, padding_mode="reflect")
        entering = (*[coarse] * len(_STEERED_BLOCKS), coarse, middle)
        self.condition = AddedCondition(condition_size, entering)

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        maps = features[-1]
        added = iter(self.condition(condition))
        for number, block in enumerate(self.blocks):
            if number in _STEERED_BLOCKS:
                maps = steered(maps, next(added))
            if number in _WITH_TRANSFORMER:
                maps = self.branches[str(number)](maps, self.transformer)
            maps = block(maps)
        for up in self.ups:
            maps = up(steered(maps, next(added)))
        return torch.sigmoid(self.out(maps))


@register_backbone("resvit")
class ResVit(Backbone):
    """Three maps at 1, 1/2 and 1/4 of the resolution, width × (1, 2, 4) channels; width × 12
    numbers a token."""

    stride: ClassVar[int] = _STRIDE
    unread: ClassVar[frozenset[int]] = frozenset({0, 1})
    published_width: ClassVar[int] = 64

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.channels = tuple(settings.width * factor for factor in (1, 2, 4))
        self.encoder = ResVitEncoder(self.channels)
        self.decoder = ResVitDecoder(self.channels, 12 * settings.width, settings.condition_size)
