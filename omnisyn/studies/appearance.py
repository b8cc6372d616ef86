"""Changes of appearance: what another scanner, another gain or another filter makes of an image.

Training shows the *sources* so, and asks for the targets as they are: the grey values that a model
is given vary, those that it must give do not. Another protocol is another matter: it changes a
contrast both as source and as target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from omnisyn.contrasts import NAMES
from omnisyn.settings import Settings

# The strongest of each change, at strength 1. Estimates; `docs/experiments.md` says what they gave.
_GAMMA, _GAIN, _FIELD, _NOISE, _BLUR_PIXELS, _BLACK = 0.35, 0.12, 0.20, 0.04, 1.0, 0.5


class GreyScales(Settings):
    """Grey scales that other protocols might give a contrast.

    logit = logit(pivot) + slope · (logit before - logit(pivot)) + shift

    Attributes:
        slope: smallest and largest, drawn log-uniformly; above 1 there is more contrast.
        shift: smallest and largest, drawn uniformly; below 0 the image is darker.
        pivot: the grey value that no slope changes.
    """

    slope: tuple[float, float]
    shift: tuple[float, float]
    pivot: float = Field(default=0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _ranges(self) -> GreyScales:
        if not 0.1 <= self.slope[0] <= self.slope[1] <= 10:
            raise ValueError("slope must be two numbers from 0.1 to 10, the smaller first")
        if not -5 <= self.shift[0] <= self.shift[1] <= 5:
            raise ValueError("shift must be two numbers from -5 to 5, the smaller first")
        return self


def vary_protocol(
    images: Tensor, scales: Mapping[str, GreyScales], generator: torch.Generator
) -> Tensor:
    """Each slice's contrasts in a grey scale of their own; 0 and 1 stay what they are.

    Args:
        images: ``[n, 6, rows, columns]`` in [0, 1], contrasts in the order of ``NAMES``.
        scales: to draw from, by contrast; one that is not named stays as it is.
        generator: a CPU generator.

    Returns:
        Of the same shape, in [0, 1].
    """
    if not scales:
        return images
    numbers = torch.rand(2, len(images), len(NAMES), 1, 1, generator=generator)
    changed = images.clone()
    for name, scale in scales.items():
        place = NAMES.index(name)
        smallest, largest = torch.tensor(scale.slope).log()
        slope = torch.exp(smallest + (largest - smallest) * numbers[0, :, place]).to(images.device)
        first, last = scale.shift
        shift = (first + (last - first) * numbers[1, :, place]).to(images.device)
        shift = shift + (1 - slope) * math.log(scale.pivot / (1 - scale.pivot))
        bright = images[:, place] ** slope
        dark = (1 - images[:, place]) ** slope * torch.exp(-shift)
        changed[:, place] = bright / (bright + dark)
    return changed


def vary_appearance(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Each image changed by its own gamma, gain, field, blur, black and noise; half of them not.

    Black is a grey value below which all becomes 0, as filters and corrections leave it: fluid in
    the middle of a head may then be as dark as air.

    Args:
        images: ``[n, 1, rows, columns]`` in [0, 1].
        strength: from 0 (nothing) to 1.
        generator: a CPU generator.

    Returns:
        Of the same shape, in [0, 1]; air stays dark.
    """
    if strength == 0 or len(images) == 0:
        return images
    count, device = len(images), images.device

    def even(*shape: int) -> Tensor:
        return 2 * torch.rand(count, *shape, generator=generator) - 1

    numbers = strength * even(5, 1, 1, 1)
    lattice = strength * _FIELD * even(1, 4, 4)
    changed_ones = (even(1, 1, 1) > 0).to(device)
    noise = torch.randn(images.shape, generator=generator)
    gamma, gain, blur, level, black = numbers.to(device).unbind(dim=1)
    changed = _blurred(images, blur.abs() * _BLUR_PIXELS)
    changed = changed.clamp(min=1e-4) ** torch.exp(_GAMMA * gamma)
    field = functional.interpolate(
        lattice.to(device), size=images.shape[2:], mode="bicubic", align_corners=True
    )
    changed = changed * torch.exp(field + _GAIN * gain)
    floor = black.clamp(min=0) * _BLACK
    changed = (changed - floor).clamp(min=0) / (1 - floor)
    # Of a magnitude image: noise in the air is weaker, and never negative.
    seen = (changed / 0.05).clamp(0, 1)
    changed = changed + level.abs() * _NOISE * seen * noise.to(device)
    return torch.where(changed_ones, changed.clamp(0, 1), images)


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Every image with a Gaussian of its own width (pixels, ``[n, 1, 1, 1]``, up to about 1)."""
    steps = torch.arange(-2, 3, device=images.device, dtype=images.dtype)
    kernels = torch.exp(-0.5 * (steps / sigma.reshape(-1, 1).clamp(min=1e-3)) ** 2)
    kernels = kernels / kernels.sum(dim=1, keepdim=True)
    rows = images.transpose(0, 1)
    rows = functional.conv2d(rows, kernels[:, None, :, None], padding=(2, 0), groups=len(images))
    rows = functional.conv2d(rows, kernels[:, None, None, :], padding=(0, 2), groups=len(images))
    return rows.transpose(0, 1)
