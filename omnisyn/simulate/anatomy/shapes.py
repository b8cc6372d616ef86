"""Implicit shapes: approximate signed distances (mm, negative inside) of points in space."""

from __future__ import annotations

import torch
from torch import Tensor

Point = tuple[float, float, float]


def ellipsoid(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    centre: Point,
    radii: Point,
    exponent: float = 2.0,
    rotation: Tensor | None = None,
) -> Tensor:
    """Superquadric |x/a|^e + |y/b|^e + |z/c|^e = 1; an ellipsoid at e = 2, box-like above.

    The distance is (k - 1) times the local radius scale, exact on the surface and of first order
    near it.
    """
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    if rotation is not None:
        turned = rotation.tolist()
        dx, dy, dz = (turned[0][i] * dx + turned[1][i] * dy + turned[2][i] * dz for i in range(3))
    u, v, w = dx / radii[0], dy / radii[1], dz / radii[2]
    if exponent == 2.0:
        norm = torch.sqrt(u * u + v * v + w * w)
        slope = torch.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
        return norm * (norm - 1.0) / slope.clamp_min(1e-6)
    norm = (u.abs() ** exponent + v.abs() ** exponent + w.abs() ** exponent) ** (1.0 / exponent)
    return (norm - 1.0) * (sum(radii) / 3.0)


def capsule(
    x: Tensor,
    y: Tensor,
    z: Tensor,
    start: Point,
    end: Point,
    start_radius: float,
    end_radius: float,
    squash: Point = (1.0, 1.0, 1.0),
) -> Tensor:
    """A segment swept by a ball whose radius changes linearly; `squash` scales it per axis."""
    ax, ay, az = (component / scale for component, scale in zip(start, squash, strict=True))
    bx, by, bz = (component / scale for component, scale in zip(end, squash, strict=True))
    px, py, pz = x / squash[0] - ax, y / squash[1] - ay, z / squash[2] - az
    dx, dy, dz = bx - ax, by - ay, bz - az
    length = max(dx * dx + dy * dy + dz * dz, 1e-9)
    along = ((px * dx + py * dy + pz * dz) / length).clamp(0.0, 1.0)
    gap = torch.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2 + (pz - along * dz) ** 2)
    return gap - (start_radius + along * (end_radius - start_radius))


def smooth_union(first: Tensor, second: Tensor, blend_mm: float) -> Tensor:
    """Union of two shapes with a fillet of about `blend_mm` (polynomial smooth minimum)."""
    mix = (0.5 + 0.5 * (second - first) / blend_mm).clamp(0.0, 1.0)
    return second + (first - second) * mix - blend_mm * mix * (1.0 - mix)


def smooth_intersection(first: Tensor, second: Tensor, blend_mm: float) -> Tensor:
    """Intersection of two shapes with a rounded edge of about `blend_mm`."""
    return -smooth_union(-first, -second, blend_mm)
