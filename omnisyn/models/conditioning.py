"""How a target's text vector enters a decoder: projected, at several depths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

_HIDDEN = 128


def _unit_entries(condition: torch.Tensor) -> torch.Tensor:
    """Unit vectors [n, size] scaled so that their entries, and not they, are of unit size."""
    return condition * math.sqrt(condition.shape[1])


class Modulation(nn.Module):
    """Text vector to one scale and shift per channel for each of several depths.

    "FiLM", Perez et al. 2018.
    """

    def __init__(self, condition_size: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.hidden = nn.Linear(condition_size, _HIDDEN)
        self.depths = nn.ModuleList(nn.Linear(_HIDDEN, 2 * count) for count in channels)

    def forward(self, condition: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """[n, condition_size] to per depth (scale, shift), each [n, c, 1, 1]."""
        hidden = functional.silu(self.hidden(_unit_entries(condition)))
        modulations = []
        for depth in self.depths:
            scale, shift = depth(hidden)[:, :, None, None].chunk(2, dim=1)
            modulations.append((1 + scale, shift))
        return modulations


class AddedCondition(nn.Module):
    """Text vector to one vector to add at each of several depths, as published."""

    def __init__(self, condition_size: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.depths = nn.ModuleList(nn.Linear(condition_size, count) for count in channels)

    def forward(self, condition: torch.Tensor) -> list[torch.Tensor]:
        """[n, condition_size] to per depth [n, c, 1, 1]."""
        entries = _unit_entries(condition)
        return [depth(entries)[:, :, None, None] for depth in self.depths]


def steered(maps: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Maps [n, c, rows, columns] to which a target's vector [n, c, 1, 1] is added.

    A normalisation behind it takes any constant out again. Only behind a nonlinearity does the
    added vector decide which features pass.
    """
    return functional.leaky_relu(maps + vector, 0.01)
