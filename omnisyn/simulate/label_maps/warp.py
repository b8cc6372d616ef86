"""How one head of a label map comes to lie in a field of view: turned, stretched, bent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omnisyn.simulate.anatomy.grid import Grid, rotation_matrix
from omnisyn.simulate.fields import draw_lattice, interpolate_lattice, lattice_shape
from omnisyn.simulate.protocols import draw

# Correlation length and amplitude (mm) of the bending: growth that differs from place to place
# and side to side, and the finer differences between brains.
_BENDING_MM = ((90.0, 5.0), (35.0, 2.5))
_KNOTS_MM = 8.0
# Layers sampled at once: few enough to stay in a processor's cache.
_LAYERS = 8


@dataclass(frozen=True)
class Warp:
    """From mm in the field's head frame (x, y, z) to mm in the label map's.

    Attributes:
        matrix: 3 x 3, rotation, size, shear and flip.
        bending: per scale a lattice ``[3, slices, rows, columns]`` of displacements (mm).
    """

    matrix: Tensor
    bending: tuple[Tensor, ...]


def draw_warp(grid: Grid, generator: torch.Generator) -> Warp:
    """Draw a warp for a field of view."""
    turn = rotation_matrix(
        (draw((-9, 9), generator), draw((-6, 6), generator), draw((-6, 6), generator))
    )
    size = draw((0.90, 1.12), generator)
    stretch = torch.tensor([size * draw((0.93, 1.07), generator) for _ in range(3)])
    shear = torch.eye(3)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        shear[row, column] = draw((-0.06, 0.06), generator)
    flip = torch.tensor([-1.0 if draw((0.0, 1.0), generator) < 0.5 else 1.0, 1.0, 1.0])
    extent = [n * step for n, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    bending = []
    for period, amplitude in _BENDING_MM:
        shape = lattice_shape(extent, period)
        lattices = [draw_lattice(generator, shape) for _ in range(3)]
        bending.append(draw((0.2, 1.0), generator) * amplitude * torch.stack(lattices))
    return Warp(flip[:, None] * (turn @ shear / stretch), tuple(bending))


def sample_nearest(
    maps: Tensor,
    spacing_mm: tuple[float, float, float],
    origin: tuple[float, float, float],
    grid: Grid,
    warp: Warp,
    seed: int,
) -> Tensor:
    """Values of several maps at the voxels of a grid, by the nearest voxel of the maps.

    Each place is first moved by up to half a voxel of the maps at random: averaged over the finer
    samples of a pixel, edges are then as smooth as by linear interpolation, without steps.

    Args:
        maps: float ``[maps, slices, rows, columns]``.
        spacing_mm: of the maps.
        origin: index of the head's origin in the maps.
        seed: of the random moves.

    Returns:
        uint8 ``[maps, slices, rows, columns]`` on the grid; zero beyond the maps' ends.
    """
    device = maps.device
    extent = [size * step for size, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    knots = lattice_shape(extent, _KNOTS_MM)
    heights, backs, lefts = torch.meshgrid(*grid.axes(knots, torch.device("cpu")), indexing="ij")
    field = torch.stack([lefts, backs, heights])
    turned = torch.einsum("ij,jabc->iabc", warp.matrix @ grid.rotation(), field)
    places = turned + (warp.matrix @ torch.tensor(grid.centre_mm))[:, None, None, None]
    for lattice in warp.bending:
        for axis in range(3):
            places[axis] += interpolate_lattice(lattice[axis], knots)
    # grid_sample wants x, y, z (columns, rows, slices), from -1 to 1 between the maps' edges.
    steps = torch.tensor([spacing_mm[2], spacing_mm[1], spacing_mm[0]])
    starts = torch.tensor([origin[2], origin[1], origin[0]])
    sizes = torch.tensor(maps.shape[:0:-1], dtype=torch.float32)
    wide = (None, None, None)
    ends = (2 * (places / steps[:, *wide] + starts[:, *wide]) + 1) / sizes[:, *wide] - 1
    # What is linear between the knots is exact; the bending is smooth over several of them.
    dense = functional.interpolate(
        ends[None].to(device), size=grid.shape, mode="trilinear", align_corners=True
    )[0].movedim(0, -1)
    noise = torch.Generator(device).manual_seed(seed)
    spread = (2 / sizes).to(device)
    found = torch.empty((len(maps), *grid.shape), dtype=torch.uint8, device=device)
    for first in range(0, grid.shape[0], _LAYERS):
        layers = dense[first : first + _LAYERS]
        jitter = torch.rand(layers.shape, generator=noise, device=device).sub_(0.5)
        found[:, first : first + _LAYERS] = functional.grid_sample(
            maps[None],
            layers.addcmul(jitter, spread)[None],
            mode="nearest",
            padding_mode="zeros",
            align_corners=False,
        )[0]
    return found
