"""`transunet`: a residual network whose coarsest map passes through a transformer, and a U-decoder.

"TransUNet", Chen et al. 2021, in the arrangement of its most used short implementation: stem of
width 128, bottlenecks to 1/16, eight layers of 1024 numbers a token, four steps up with skips.
Departures: positions are interpolated, there is no class token, and normalisation is over one
image instead of the batch, so that a slice does not depend on its neighbours.
The target's text vector is projected and added to what enters each of the four steps up, and a
sigmoid ends the decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.positions import PUBLISHED_IMAGE, Positions, maps_of, tokens_of
from omnisyn.models.conditioning import AddedCondition, steered

_LAYERS, _HEADS, _STRIDE = 8, 4, 16
# All channels of an image together.
_GROUPS = 1


class Bottleneck(nn.Module):
    """A residual block that halves the resolution ("ResNet", He et al. 2016)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(before, after, 1, bias=False),
            nn.GroupNorm(_GROUPS, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, stride=2, padding=1, bias=False),
            nn.GroupNorm(_GROUPS, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 1, bias=False),
            nn.GroupNorm(_GROUPS, after),
        )
        self.short = nn.Sequential(
            nn.Conv2d(before, after, 1, stride=2, bias=False), nn.GroupNorm(_GROUPS, after)
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, before, rows, columns] to [n, after, rows / 2, columns / 2]."""
        return functional.relu(self.branch(maps) + self.short(maps))


def _convolved(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(_GROUPS, after), nn.ReLU()
    )


class TransUnetEncoder(nn.Module):
    """[n, 1, rows, columns], multiples of 16, to the image and four maps at 1/2 … 1/16."""

    def __init__(self, channels: Sequence[int], tokens: int) -> None:
        super().__init__()
        fine, *coarser, deepest = channels
        self.stem = nn.Sequential(
            nn.Conv2d(1, fine, 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(_GROUPS, fine),
            nn.ReLU(),
        )
        widths = (fine, *coarser, tokens)
        self.downs = nn.ModuleList(map(Bottleneck, widths, widths[1:]))
        self.embed = nn.Conv2d(tokens, tokens, 1)
        self.positions = Positions(tokens, PUBLISHED_IMAGE // _STRIDE)
        self.transformer = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                tokens,
                _HEADS,
                dim_feedforward=tokens // 2,
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            ),
            _LAYERS,
            enable_nested_tensor=False,
        )
        self.last = _convolved(tokens, deepest)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, fine to coarse."""
        features = [images, self.stem(images)]
        for down in self.downs:
            features.append(down(features[-1]))
        maps = self.positions(self.embed(features.pop()))
        tokens = self.transformer(tokens_of(maps))
        return [*features, self.last(maps_of(tokens, *maps.shape[-2:]))]


class TransUnetDecoder(nn.Module):
    """Four steps up, of which all but the last have a skip, and a sigmoid at the end."""

    def __init__(self, channels: Sequence[int], condition_size: int) -> None:
        super().__init__()
        fine, middle, coarse, deepest = channels
        entering = (deepest, coarse // 2, middle // 2, fine // 2)
        skips = (coarse, middle, fine, 0)
        leaving = (*entering[1:], fine // 8)
        self.steps = nn.ModuleList(
            nn.Sequential(_convolved(before + skip, after), _convolved(after, after))
            for before, skip, after in zip(entering, skips, leaving, strict=True)
        )
        self.out = nn.Conv2d(leaving[-1], 1, 1)
        self.condition = AddedCondition(condition_size, entering)

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        _, *skips, maps = features
        added = self.condition(condition)
        for number, (step, vector) in enumerate(zip(self.steps, added, strict=True)):
            maps = functional.interpolate(
                steered(maps, vector), scale_factor=2, mode="bilinear", align_corners=False
            )
            if number < len(skips):
                maps = torch.cat([maps, skips[-1 - number]], dim=1)
            maps = step(maps)
        return torch.sigmoid(self.out(maps))


@register_backbone("transunet")
class TransUnet(Backbone):
    """The image, and four maps at 1/2 … 1/16 of the resolution, width × (1, 2, 4, 4) channels;
    width × 8 numbers a token."""

    stride: ClassVar[int] = _STRIDE
    unread: ClassVar[frozenset[int]] = frozenset({0})
    published_width: ClassVar[int] = 128
    width_step: ClassVar[int] = 8

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        width = settings.width
        channels = (width, 2 * width, 4 * width, 4 * width)
        self.channels = (1, *channels)
        self.encoder = TransUnetEncoder(channels, 8 * width)
        self.decoder = TransUnetDecoder(channels, settings.condition_size)
