"""Smooth random fields: a coarse lattice of normal numbers, interpolated."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor


def draw_lattice(generator: torch.Generator, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers ``[slices, rows, columns]`` on the CPU."""
    return torch.randn(tuple(shape), generator=generator)


def interpolate_lattice(lattice: Tensor, shape: Sequence[int]) -> Tensor:
    """A lattice stretched over a volume ``[slices, rows, columns]``, trilinear, edges at edges."""
    volume = functional.interpolate(
        lattice[None, None], size=tuple(shape), mode="trilinear", align_corners=True
    )
    return volume[0, 0]


def lattice_shape(extent_mm: Sequence[float], period_mm: float) -> tuple[int, int, int]:
    """How many lattice nodes per axis give correlation lengths near ``period_mm``."""
    slices, rows, columns = (max(2, round(extent / period_mm) + 1) for extent in extent_mm)
    return slices, rows, columns


def draw_textures(
    generator: torch.Generator, extent_mm: Sequence[float], periods_mm: Sequence[float], count: int
) -> list[list[Tensor]]:
    """``count`` textures, each a stack of lattices, one per correlation length."""
    return [
        [draw_lattice(generator, lattice_shape(extent_mm, period)) for period in periods_mm]
        for _ in range(count)
    ]


def texture(lattices: Sequence[Tensor], shape: Sequence[int], device: torch.device | str) -> Tensor:
    """The sum of interpolated lattices with about unit variance, ``[slices, rows, columns]``."""
    total = torch.zeros(tuple(shape), device=device)
    for lattice in lattices:
        total += interpolate_lattice(lattice.to(device), shape)
    # Trilinear interpolation of white noise keeps (2/3)^3 of its variance on average.
    return total.div_(math.sqrt(len(lattices) * (2 / 3) ** 3))
