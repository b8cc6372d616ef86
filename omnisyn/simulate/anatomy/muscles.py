"""Muscles of mastication and of the neck, packed against one another with thin fat planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.canvas import Canvas, Region
from omnisyn.simulate.anatomy.shapes import Point
from omnisyn.simulate.anatomy.structures import structure_index


@dataclass(frozen=True)
class Muscle:
    """A belly swept along a line on the patient's left; its twin is its mirror image.

    It grows by up to `swell_mm` into the fat around it.
    """

    name: str
    points: tuple[Point, ...]
    radii: tuple[float, ...]
    squash: Point = (1.0, 1.0, 1.0)
    swell_mm: float = 5.5


MASTICATORS = (
    Muscle("temporalis", ((56.0, -20.0, 22.0), (57.0, -24.0, 0.0), (55.0, -28.0, -20.0),
                          (49.0, -32.0, -46.0)), (10.0, 10.0, 10.0, 5.0), (0.7, 2.2, 1.0)),
    Muscle("masseter", ((57.0, -42.0, -42.0), (58.0, -34.0, -62.0), (54.0, -22.0, -88.0)),
           (7.0, 9.0, 8.0), (0.75, 1.7, 1.0)),
    Muscle("lateral pterygoid", ((27.0, -31.0, -44.0), (37.0, -20.0, -42.0), (46.0, -7.0, -41.0)),
           (7.5, 8.5, 4.0), (1.0, 1.0, 1.1)),
    Muscle("medial pterygoid", ((26.0, -28.0, -54.0), (34.0, -22.0, -70.0), (42.0, -15.0, -90.0)),
           (6.0, 7.0, 5.5), (0.9, 1.5, 1.0)),
)  # fmt: skip

NECK = (
    Muscle("trapezius", ((10.0, 78.0, -52.0), (16.0, 70.0, -95.0), (38.0, 60.0, -150.0),
                         (60.0, 50.0, -210.0)), (3.0, 4.0, 6.0, 8.0), (2.6, 0.8, 1.0)),
    Muscle("paraspinal muscle", ((13.0, 66.0, -46.0), (12.0, 56.0, -80.0), (12.0, 52.0, -120.0),
                                 (13.0, 52.0, -210.0)), (7.0, 8.0, 8.0, 8.0), (1.2, 1.0, 1.0)),
    Muscle("paraspinal muscle", ((34.0, 54.0, -48.0), (29.0, 50.0, -85.0), (26.0, 48.0, -125.0),
                                 (26.0, 46.0, -210.0)), (6.0, 7.0, 7.0, 8.0), (1.3, 0.8, 1.0)),
    Muscle("paraspinal muscle", ((12.0, 40.0, -58.0), (17.0, 36.0, -74.0), (16.0, 37.0, -110.0),
                                 (16.0, 36.0, -210.0)), (5.0, 6.0, 6.5, 7.0)),
    Muscle("paraspinal muscle", ((36.0, 26.0, -62.0), (33.0, 26.0, -90.0), (37.0, 28.0, -130.0),
                                 (46.0, 36.0, -210.0)), (4.0, 6.0, 7.0, 8.0), (0.9, 1.4, 1.0)),
    Muscle("scalene muscle", ((27.0, 14.0, -98.0), (30.0, 13.0, -135.0), (38.0, 10.0, -210.0)),
           (4.0, 6.0, 9.0), (0.9, 1.2, 1.0)),
    Muscle("sternocleidomastoid", ((58.0, 22.0, -58.0), (53.0, 14.0, -92.0), (45.0, 0.0, -130.0),
                                   (28.0, -20.0, -200.0)), (6.0, 7.0, 7.5, 6.0),
           (0.75, 1.7, 1.0)),
    Muscle("digastric muscle", ((50.0, 16.0, -58.0), (39.0, 0.0, -84.0), (27.0, -26.0, -112.0)),
           (4.0, 4.0, 2.5)),
    Muscle("prevertebral muscle", ((7.0, -4.5, -50.0), (9.0, -5.5, -66.0), (9.5, -6.5, -90.0),
                                   (8.0, -6.0, -125.0), (7.0, -3.0, -210.0)),
           (4.2, 5.0, 4.6, 4.0, 3.5), (1.5, 0.85, 1.0), 1.2),
)  # fmt: skip

_DEEP = ("deep neck and facial fat",)


def paint_masticators(canvas: Canvas) -> None:
    """Masseter, temporalis and both pterygoids."""
    _pack(canvas, MASTICATORS, (18.0, -62.0, -100.0), (78.0, 20.0, 50.0), 1.1)


def paint_neck_muscles(canvas: Canvas) -> None:
    """Muscles of the back, front and sides of the neck, and the small ones under the chin."""
    canvas.tube("strap muscle", [(14.0, -34.0, -118.0), (17.0, -36.0, -150.0),
                (14.0, -30.0, -205.0)], [3.5, 5.0, 5.0], squash=(1.5, 0.7, 1.0), paired=True,
                only=_DEEP)  # fmt: skip
    canvas.tube("digastric muscle", [(26.0, -30.0, -112.0), (8.0, -72.0, -112.0)], [3.0, 4.5],
                paired=True, only=_DEEP)  # fmt: skip
    _pack(canvas, NECK, (-2.0, -30.0, -260.0), (80.0, 96.0, -38.0), 1.5)


def _pack(canvas: Canvas, muscles: Sequence[Muscle], low: Point, high: Point, plane: float) -> None:
    """Give the deep fat to the nearest belly, but for planes of fat where two bellies meet.

    Args:
        low, high: box (mm) of the left side.
        plane: half of the fat plane's width (mm) between two bellies.
    """
    for side in (1, -1):
        corners = (low, high) if side > 0 else ((-high[0], *low[1:]), (-low[0], *high[1:]))
        region = canvas.region(*corners)
        if region is None:
            continue
        nearest = torch.full_like(region.x, 99.0)
        second = torch.full_like(region.x, 99.0)
        owner = torch.zeros_like(region.structures)
        for muscle in muscles:
            _measure(canvas, region, muscle, side, nearest, second, owner)
        free = region.among(_DEEP) & (region.x * side > -0.5)
        belly = free & (nearest < 0) & (second - nearest > plane)
        region.structures.copy_(torch.where(belly, owner, region.structures))


def _measure(
    canvas: Canvas,
    region: Region,
    muscle: Muscle,
    side: int,
    nearest: Tensor,
    second: Tensor,
    owner: Tensor,
) -> None:
    """Enter one belly into the nearest and second nearest distances of a region."""
    numbers = canvas.variation(muscle.name, side)
    scale = math.exp(0.10 * max(-2.5, min(2.5, numbers[3])))
    points = [
        (p[0] + 0.8 * numbers[0], p[1] + 0.8 * numbers[1], p[2] + numbers[2]) for p in muscle.points
    ]
    widest = max(muscle.radii) * scale + muscle.swell_mm + 1.0
    low = [
        min(axis) - widest * f
        for axis, f in zip(zip(*points, strict=True), muscle.squash, strict=True)
    ]
    high = [
        max(axis) + widest * f
        for axis, f in zip(zip(*points, strict=True), muscle.squash, strict=True)
    ]
    if side < 0:
        low[0], high[0] = -high[0], -low[0]
    box = canvas.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    if box is None:
        return
    a, b, c = (
        slice(max(b.start, r.start) - r.start, max(min(b.stop, r.stop) - r.start, 0))
        for b, r in zip(box, region.slices, strict=True)
    )
    x, y, z = region.x[a, b, c] * side, region.y[a, b, c], region.z[a, b, c]
    distance = torch.full_like(x, 99.0)
    for index in range(len(points) - 1):
        part = shapes.capsule(
            x, y, z, points[index], points[index + 1], muscle.radii[index] * scale,
            muscle.radii[index + 1] * scale, muscle.squash,
        )  # fmt: skip
        distance = torch.minimum(distance, part)
    distance -= muscle.swell_mm
    best, rival, who = nearest[a, b, c], second[a, b, c], owner[a, b, c]
    rival.copy_(torch.minimum(rival, torch.maximum(best, distance)))
    who.masked_fill_(distance < best, structure_index(muscle.name))
    best.copy_(torch.minimum(best, distance))
