"""`tumsyn`: a residual encoder at full resolution, a gate that the text opens, an implicit decoder.

"TUMSyn", Wang et al. 2024, in 2D; width 64 and sixteen blocks as in "EDSR", Lim et al. 2017, whose
long shortcut is our first map. The text asks all places which channels matter, and the answer
gates them. The decoder is a function of a place: features there and its coordinates pass through
four layers ("LIIF", Chen et al. 2021), so that `decode_at` gives an image on any grid. Departures:
two dimensions (the published network has 113.6 M parameters in three); the text vector is ours,
not that of a pretrained text tower; a sigmoid ends the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.conditioning import AddedCondition

_BLOCKS, _HIDDEN_FACTOR, _HIDDEN_LAYERS = 16, 4, 3
_BRANCH_SCALE = 0.1


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, scaled, beside a shortcut; without normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        branch: torch.Tensor = self.second(functional.relu(self.first(maps)))
        return maps + _BRANCH_SCALE * branch


class TumsynEncoder(nn.Module):
    """[n, 1, rows, columns] to two maps of that size: before the blocks, and behind them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(_BLOCKS)))
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The two maps."""
        shallow = self.stem(images)
        return [shallow, self.last(self.blocks(shallow))]


class TextGate(nn.Module):
    """Channels gated by what the text finds among all places.

    The text is the query; every place is a key and a value.
    """

    def __init__(self, channels: int, condition_size: int) -> None:
        super().__init__()
        self.query = AddedCondition(condition_size, (channels,))
        self.key = nn.Conv2d(channels, channels, 1, bias=False)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Linear(channels, channels)

    def forward(self, maps: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        (query,) = self.query(condition)
        scores = (query * self.key(maps)).sum(dim=1).flatten(1) / math.sqrt(maps.shape[1])
        found = torch.einsum("np,ncp->nc", scores.softmax(dim=1), self.value(maps).flatten(2))
        # The query itself as well: what is asked for does not depend on what is seen alone.
        opened = torch.sigmoid(self.gate(found + query[:, :, 0, 0]))
        return maps * opened[:, :, None, None]


class ImplicitDecoder(nn.Module):
    """Features at a place and its coordinates to a grey value."""

    def __init__(self, channels: int, condition_size: int) -> None:
        super().__init__()
        hidden = _HIDDEN_FACTOR * channels
        self.gate = TextGate(channels, condition_size)
        self.condition = AddedCondition(condition_size, [hidden] * _HIDDEN_LAYERS)
        sizes = (channels + 2, *[hidden] * (_HIDDEN_LAYERS - 1))
        self.layers = nn.ModuleList(nn.Conv2d(before, hidden, 1) for before in sizes)
        self.out = nn.Conv2d(hidden, 1, 1)

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1), on the grid of the features."""
        return self.at(features, condition, features[0].shape[-2], features[0].shape[-1])

    def at(
        self, features: Sequence[torch.Tensor], condition: torch.Tensor, rows: int, columns: int
    ) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1), on any grid that covers the same frame."""
        shallow, deep = features
        maps = self.gate(shallow + deep, condition)
        places = _places(rows, columns, like=maps)
        if maps.shape[-2:] != (rows, columns):
            maps = functional.interpolate(
                maps, size=(rows, columns), mode="bilinear", align_corners=False
            )
        maps = torch.cat([maps, places.expand(len(maps), -1, -1, -1)], dim=1)
        for layer, vector in zip(self.layers, self.condition(condition), strict=True):
            maps = functional.relu(layer(maps) + vector)
        return torch.sigmoid(self.out(maps))


def _places(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """Coordinates [1, 2, rows, columns] of the pixels' centres, from -1 to 1 over the frame."""
    axes = [
        (2 * torch.arange(size, device=like.device, dtype=like.dtype) + 1) / size - 1
        for size in (rows, columns)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


@register_backbone("tumsyn")
class Tumsyn(Backbone):
    """Two maps at the full resolution, width channels each."""

    stride: ClassVar[int] = 1
    published_width: ClassVar[int] = 64
    decoder: ImplicitDecoder

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self.channels = (settings.width, settings.width)
        self.encoder = TumsynEncoder(settings.width)
        self.decoder = ImplicitDecoder(settings.width, settings.condition_size)

    def decode_at(
        self, features: Sequence[torch.Tensor], condition: torch.Tensor, rows: int, columns: int
    ) -> torch.Tensor:
        """Images [n, 1, rows, columns] in (0, 1) on any grid over the frame of the features."""
        return self.decoder.at(features, condition, rows, columns)
