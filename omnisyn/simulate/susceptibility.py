"""Where spectral fat suppression fails: the static field that air cavities leave.

Air (chi = 0.4 ppm) beside tissue (-9.0 ppm) distorts the field as dipoles do; the shim removes the
linear part. Saturation tuned to -3.4 ppm misses fat where the rest exceeds about one ppm: around
the sinuses and the skull base, at the chin and in the lower neck, as is read of clinical scans
(frequency-selective saturation worked in 85-88 % from nasopharynx to mouth, but in 33-46 % in the
hypopharynx and larynx; STIR in all). Field by convolution with the dipole kernel, Salomir 2003,
Marques and Bowtell 2005.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

AIR_TISSUE_DIFFERENCE_PPM = 9.4
# How gradually saturation fails as the field leaves the bandwidth.
_EDGE_PPM = 0.25


def static_field_ppm(air: Tensor, spacing_mm: Sequence[float]) -> Tensor:
    """Off-resonance in ppm after a linear shim, as ``dipole_field_ppm``."""
    field = dipole_field_ppm(air, spacing_mm)
    return field - _linear_fit(field, weight=(1.0 - air))


def dipole_field_ppm(air: Tensor, spacing_mm: Sequence[float]) -> Tensor:
    """Off-resonance in ppm, ``[slices, rows, columns]``.

    ``air`` is the share of air per coarse voxel; the main field runs along the slices. Below the
    lowest slice the body goes on as in that slice; elsewhere outside is air.
    """
    slices, rows, columns = air.shape
    # Against air, so that the padding with zeros is air as well.
    chi = AIR_TISSUE_DIFFERENCE_PPM * (air - 1.0)
    below = chi[:1].expand(slices, rows, columns)
    padded = functional.pad(
        torch.cat([below, chi]), (columns // 2, columns // 2, rows // 2, rows // 2, 0, slices)
    )
    frequencies = [
        torch.fft.fftfreq(size, d=float(spacing), device=air.device)
        for size, spacing in zip(padded.shape, spacing_mm, strict=True)
    ]
    along, down, across = torch.meshgrid(*frequencies, indexing="ij")
    square = along.square() + down.square() + across.square()
    kernel = 1 / 3 - along.square() / square.clamp(min=1e-12)
    kernel[0, 0, 0] = 0.0
    field: Tensor = torch.fft.ifftn(torch.fft.fftn(padded) * kernel).real
    top, left = rows // 2, columns // 2
    return field[slices : 2 * slices, top : top + rows, left : left + columns]


def failure(field_ppm: Tensor, bandwidth_ppm: float) -> Tensor:
    """Share of fat that escapes saturation, in [0, 1], where the field is off by a bandwidth."""
    return torch.sigmoid((field_ppm.abs() - bandwidth_ppm) / _EDGE_PPM)


def coarse_air(labels: Tensor, air_index: int, factor: int) -> Tensor:
    """Share of air in in-plane blocks of ``factor`` squared voxels, ``[slices, r, c]``."""
    air = (labels == air_index).float()[:, None]
    return functional.avg_pool2d(air, factor, ceil_mode=True)[:, 0]


def _linear_fit(field: Tensor, weight: Tensor) -> Tensor:
    axes = [torch.linspace(-1.0, 1.0, size, device=field.device) for size in field.shape]
    terms = [torch.ones_like(field), *torch.meshgrid(*axes, indexing="ij")]
    design = torch.stack([term.reshape(-1) for term in terms], dim=1)
    root = weight.reshape(-1, 1).clamp(min=1e-3).sqrt()
    # Normal equations: four unknowns, well conditioned on centred axes.
    left = (design * root).T @ (design * root)
    right = (design * root).T @ (field.reshape(-1, 1) * root)
    fit: Tensor = design @ torch.linalg.solve(left, right)
    return fit.reshape(field.shape)
