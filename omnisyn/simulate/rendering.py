"""From a map of tissues to the ideal signal of a series: mixture, slice profile, displacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from omnisyn.simulate.acquisition import SignalTable
from omnisyn.studies.pixels import move_in_plane


@dataclass(frozen=True)
class Displacement:
    """How the head lay in one series against the first: mm, and degrees about the slice axis."""

    slices_mm: float = 0.0
    rows_mm: float = 0.0
    columns_mm: float = 0.0
    degrees: float = 0.0


@dataclass(frozen=True)
class Mixture:
    """Signal per voxel ``[slices, rows, columns]``: water, fat and the water signal's slopes.

    A slope that is zero for every tissue is None.
    """

    water: Tensor
    fat: Tensor
    slopes: tuple[Tensor | None, ...]


def slice_profile(
    sublayers: int, spacing_mm: float, thickness_mm: float, shift_mm: float
) -> Tensor:
    """Weights of the ``sublayers`` fine layers of a slice, with one more at either end.

    A box of ``thickness_mm`` (the rest of ``spacing_mm`` is gap), moved up by ``shift_mm``;
    the weights sum to one.
    """
    height = spacing_mm / sublayers
    centres = (torch.arange(-1, sublayers + 1) - (sublayers - 1) / 2) * height
    upper = torch.minimum(centres + height / 2, torch.tensor(shift_mm + thickness_mm / 2))
    lower = torch.maximum(centres - height / 2, torch.tensor(shift_mm - thickness_mm / 2))
    weights = (upper - lower).clamp(min=0.0)
    return weights / weights.sum()


def mix(
    labels: Tensor, table: SignalTable, sublayers: int, profile: Tensor, pixels: Tensor
) -> Mixture:
    """Average the tissues' signals over each voxel's finer samples (partial volume).

    ``labels`` is uint8 ``[slices * sublayers, samples, samples]``; ``profile`` comes from
    ``slice_profile``, ``pixels`` from ``studies.pixels``. Layers beyond the ends repeat the
    outermost one.
    """
    fine, rows, columns = labels.shape
    slices, side = fine // sublayers, len(pixels)
    pixels = pixels.to(labels.device)
    used = [table.water, table.fat, *table.slopes]
    kept = [index for index, column in enumerate(used) if bool(column.abs().max() > 0)]
    depths, tissues = table.water.shape
    # [depth * tissues, columns]: one gather brings all columns of a voxel.
    rows_of_table = torch.stack([used[index] for index in kept], dim=-1).reshape(
        depths * tissues, len(kept)
    )
    rows_of_table = rows_of_table.to(labels.device)
    layers = [index for index in range(sublayers + 2) if profile[index] > 0]
    weights = profile[layers].to(labels.device)
    mixed = torch.empty(len(kept), slices, side, side, device=labels.device)
    # Slice by slice the gathered values stay in the processor's cache; a GPU takes them at once.
    step = 1 if labels.device.type == "cpu" else slices
    for first in range(0, slices, step):
        chosen = torch.arange(first, min(first + step, slices), device=labels.device)
        layer = chosen[:, None] * sublayers - 1 + torch.tensor(layers, device=labels.device)
        layer = layer.clamp(0, fine - 1)
        entry = labels[layer].int()
        if depths > 1:
            entry = entry + (layer * tissues).int()[..., None, None]
        values = functional.embedding(entry.flatten(2), rows_of_table)
        averaged = weights @ values.flatten(2)
        planes = averaged.reshape(-1, rows, columns, len(kept)).movedim(-1, 0)
        mixed[:, first : first + len(chosen)] = pixels @ planes.contiguous() @ pixels.T
    found = {index: mixed[position] for position, index in enumerate(kept)}
    empty = torch.zeros_like(mixed[0])
    return Mixture(
        water=found.get(0, empty),
        fat=found.get(1, empty),
        slopes=tuple(found.get(index) for index in range(2, len(used))),
    )


def displace(images: Tensor, displacement: Displacement, spacing_mm: tuple[float, float]) -> Tensor:
    """Move ``[slices, rows, columns]`` within the slice planes (bicubic), the same in each."""
    if displacement.rows_mm == displacement.columns_mm == displacement.degrees == 0:
        return images
    _, rows, columns = images.shape
    down, across, degrees = torch.tensor(
        [[displacement.rows_mm], [displacement.columns_mm], [displacement.degrees]],
        dtype=torch.float64,
    )
    size = rows * spacing_mm[0], columns * spacing_mm[1]
    return move_in_plane(images[None], down, across, torch.deg2rad(degrees), size)[0]


def shift_pixels(images: Tensor, pixels: float, axis: int) -> Tensor:
    """Shift along ``axis`` by a fraction of a pixel (linear), for the chemical shift of fat."""
    whole = math.floor(pixels)
    part = pixels - whole
    return (1 - part) * images.roll(whole, axis) + part * images.roll(whole + 1, axis)
