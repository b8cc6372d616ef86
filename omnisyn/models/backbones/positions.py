"""Learned positions of a transformer's tokens, on a grid of any size.

A fixed size of the input is the most repeated complaint about these networks. The positions are
interpolated instead, as "ViT" (Dosovitskiy et al. 2021) does for finer images.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

PUBLISHED_IMAGE = 224
"""Rows and columns for which the published networks learn their positions."""


def at_size(positions: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Positions [1, c, side, side] on a grid of rows × columns."""
    if positions.shape[-2:] == (rows, columns):
        return positions
    return functional.interpolate(
        positions, size=(rows, columns), mode="bicubic", align_corners=False
    )


def tokens_of(maps: torch.Tensor) -> torch.Tensor:
    """Maps [n, c, rows, columns] as tokens [n, rows · columns, c]."""
    return maps.flatten(2).transpose(1, 2)


def maps_of(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Tokens [n, rows · columns, c] as maps [n, c, rows, columns]."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, rows, columns)


class Positions(nn.Module):
    """Adds a learned vector to every place of a map [n, c, rows, columns].

    Args:
        channels: of the map.
        side: rows and columns of the grid on which the vectors are learned.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(1, channels, side, side))
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return maps + at_size(self.positions, maps.shape[-2], maps.shape[-1])
