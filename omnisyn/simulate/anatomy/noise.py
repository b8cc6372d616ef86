"""Smooth random fields on lattices: the source of every irregular outline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

HEAD_LOW_MM = (-125.0, -130.0, -240.0)
HEAD_HIGH_MM = (125.0, 140.0, 115.0)


@dataclass(frozen=True)
class NoiseField:
    """Random values on a regular lattice over the head, trilinear in between.

    Attributes:
        values: [channels, z, y, x], unit variance per channel.
        low_mm, high_mm: (x, y, z) of the first and last lattice point.
    """

    values: Tensor
    low_mm: tuple[float, float, float] = HEAD_LOW_MM
    high_mm: tuple[float, float, float] = HEAD_HIGH_MM

    def at(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Values at points (mm), shape [channels, *x.shape]; the edge value outside."""
        points = torch.stack(
            [
                (coordinate - low) * (2.0 / (high - low)) - 1.0
                for coordinate, low, high in zip((x, y, z), self.low_mm, self.high_mm, strict=True)
            ],
            dim=-1,
        )
        sampled = functional.grid_sample(
            self.values.to(x.device)[None],
            points.reshape(1, 1, 1, -1, 3),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )
        return sampled.reshape(self.values.shape[0], *x.shape)


def draw_noise(
    generator: torch.Generator,
    wavelength_mm: float,
    *,
    channels: int = 1,
    bandwidth: float = 0.35,
    low_mm: tuple[float, float, float] = HEAD_LOW_MM,
    high_mm: tuple[float, float, float] = HEAD_HIGH_MM,
) -> NoiseField:
    """White noise filtered to an isotropic band around one wavelength.

    Args:
        generator: source of the random numbers (its device decides nothing else).
        wavelength_mm: centre of the band.
        channels: independent fields.
        bandwidth: relative width of the Gaussian band; a narrow band gives evenly spaced folds.
        low_mm, high_mm: the box covered.
    """
    # Fine enough that trilinear interpolation leaves no visible facets.
    step = max(wavelength_mm / 8.0, min(wavelength_mm / 4.0, 5.0))
    counts = [
        max(4, math.ceil((high - low) / step) + 1)
        for low, high in zip(low_mm, high_mm, strict=True)
    ]
    shape = (channels, counts[2], counts[1], counts[0])
    white = torch.randn(shape, generator=generator, device=generator.device).cpu()
    frequencies = [
        torch.fft.fftfreq(count, d=(high - low) / (count - 1))
        for count, low, high in zip(counts, low_mm, high_mm, strict=True)
    ]
    radius = torch.sqrt(
        frequencies[2][:, None, None] ** 2
        + frequencies[1][None, :, None] ** 2
        + frequencies[0][None, None, : counts[0] // 2 + 1] ** 2
    )
    band = torch.exp(-0.5 * ((radius * wavelength_mm - 1.0) / bandwidth) ** 2)
    spectrum = torch.fft.rfftn(white, dim=(1, 2, 3)) * band
    values = torch.fft.irfftn(spectrum, s=shape[1:], dim=(1, 2, 3))
    values = values / values.flatten(1).std(dim=1).clamp_min(1e-6)[:, None, None, None]
    return NoiseField(values.float(), low_mm, high_mm)
