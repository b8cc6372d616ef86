"""Changes of appearance: what another scanner, another gain or another filter makes of an image.

Training shows the *sources* so, and asks for the targets as they are: the grey values that a model
is given vary, those that it must give do not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# The strongest of each change, at strength 1. Estimates; `docs/experiments.md` says what they gave.
_GAMMA, _GAIN, _FIELD, _NOISE, _BLUR_PIXELS = 0.35, 0.12, 0.20, 0.04, 1.0


def vary_appearance(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Each image changed by its own gamma, gain, smooth field, blur and noise; half of them not.

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

    numbers = strength * even(4, 1, 1, 1)
    lattice = strength * _FIELD * even(1, 4, 4)
    changed_ones = (even(1, 1, 1) > 0).to(device)
    noise = torch.randn(images.shape, generator=generator)
    gamma, gain, blur, level = (numbers[:, number].to(device) for number in range(4))
    changed = _blurred(images, blur.abs() * _BLUR_PIXELS)
    changed = changed.clamp(min=1e-4) ** torch.exp(_GAMMA * gamma)
    field = functional.interpolate(
        lattice.to(device), size=images.shape[2:], mode="bicubic", align_corners=True
    )
    changed = changed * torch.exp(field + _GAIN * gain)
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
