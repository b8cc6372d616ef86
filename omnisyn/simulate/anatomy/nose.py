"""Nasal cavity with turbinates and septum, and the paranasal sinuses."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.noise import NoiseField
from omnisyn.simulate.anatomy.skull import HeadFields


@dataclass(frozen=True)
class NoseParameters:
    """Nose and sinuses of one patient.

    Attributes:
        cells: fine noise that makes the septa of ethmoid and mastoid.
        pneumatization: 0 (small sinuses) to 1 (large).
        septum_bend_mm: deviation of the septum to the left.
        swelling: multiplier of the turbinates' thickness (nasal cycle), left and right.
        mucus: fill level of the maxillary sinuses, left and right, 0 to 1.
        inspissated: the mucus is dried out.
        lining_mm: thickness of the sinuses' mucosa.
    """

    cells: NoiseField
    pneumatization: float
    septum_bend_mm: float
    swelling: tuple[float, float]
    mucus: tuple[float, float]
    inspissated: bool
    lining_mm: float


def paint_facial_bone(canvas: Canvas) -> None:
    """Maxilla, zygoma and the bony frame around nose and orbits, with marrow."""
    cortex: tuple[tuple[str, float], ...] = (("facial bone", 1.4),)
    canvas.ellipsoid("facial bone", (0.0, -68.0, -4.0), (26.0, 9.0, 9.0), exponent=2.5)
    canvas.ellipsoid("maxilla", (0.0, -56.0, -61.0), (22.0, 21.0, 3.2), exponent=2.5, shells=cortex)
    canvas.ellipsoid(
        "facial bone", (30.0, -52.0, -38.0), (17.0, 20.0, 20.0), exponent=2.4, paired=True
    )
    canvas.ellipsoid(
        "zygoma",
        (45.0, -54.0, -30.0),
        (9.0, 7.0, 7.0),
        angles=(0, 0, 45),
        paired=True,
        shells=cortex,
    )
    canvas.tube(
        "zygoma",
        [(48.0, -50.0, -32.0), (60.0, -30.0, -35.0), (63.0, -12.0, -35.0), (58.0, -2.0, -34.0)],
        [3.2, 1.6, 1.8, 2.5],
        squash=(0.7, 1.0, 1.5),
        paired=True,
        shells=cortex,
    )
    canvas.tube(
        "zygoma",
        [(47.0, -56.0, -28.0), (46.0, -60.0, -8.0), (40.0, -66.0, 6.0)],
        [2.6, 2.0, 2.6],
        paired=True,
        shells=cortex,
    )


def paint_sinuses(canvas: Canvas, parameters: NoseParameters) -> None:
    """Maxillary, ethmoid, sphenoid and frontal sinuses with lining and, in some, mucus."""
    grow = 0.88 + 0.22 * parameters.pneumatization
    lining = (("sinus mucosa", parameters.lining_mm),)
    canvas.ellipsoid(
        "maxillary sinus",
        (30.0, -50.0, -36.5),
        (13.5 * grow, 16.5 * grow, 16.0 * grow),
        exponent=2.4,
        angles=(0, 12, 12),
        paired=True,
        shells=lining,
    )
    mucus = "inspissated sinus mucus" if parameters.inspissated else "sinus mucus"
    for side, level in zip((1, -1), parameters.mucus, strict=True):
        if level <= 0.0:
            continue
        low, high = (8.0, 52.0) if side > 0 else (-52.0, -8.0)
        region = canvas.region((low, -74.0, -58.0), (high, -28.0, -14.0))
        if region is not None:
            # Patients lie on their backs: fluid collects at the posterior wall.
            surface = -33.0 - 34.0 * level
            region.paint(region.y > surface, mucus, only=("maxillary sinus",))
    canvas.ellipsoid(
        "sphenoid sinus",
        (8.0, -20.0, -27.0),
        (7.0 * grow, 11.0 * grow, 8.0 * grow),
        exponent=2.6,
        paired=True,
        shells=(("sinus mucosa", 0.7),),
    )
    canvas.ellipsoid(
        "frontal sinus",
        (10.0, -69.0, 6.0),
        (10.0 * grow, 4.0 * grow, 10.0 * grow),
        angles=(-12, 0, 0),
        exponent=2.3,
        paired=True,
        only=_FRONTAL,
        shells=(("sinus mucosa", 0.7),),
    )
    region = canvas.region((-15.0, -66.0, -24.0), (15.0, -28.0, 0.0))
    if region is None:
        return
    block = shapes.ellipsoid(
        region.x, region.y, region.z, (0.0, -47.0, -12.0), (12.5, 18.0, 10.0), 4.0
    )
    noise = parameters.cells.at(region.x, region.y, region.z)[0]
    region.paint(block < 1.2, "facial bone")
    region.paint(block < 0, "sinus mucosa")
    region.paint((block < -0.5) & (noise.abs() > 0.32) & (region.x.abs() > 1.5), "ethmoid sinus")


def paint_nasal_cavity(canvas: Canvas, parameters: NoseParameters, fields: HeadFields) -> None:
    """Airway lined by mucosa, septum, inferior and middle turbinates, hard palate."""
    region = canvas.region((-19.0, -102.0, -66.0), (19.0, -24.0, -12.0))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    # The cavity is a pear in coronal cuts: wide at the floor, a slit at the roof.
    wide = 13.5 - 0.24 * (z + 54.0).clamp_min(0.0)
    wide = wide - 0.22 * (-74.0 - y).clamp_min(0.0)
    cavity = torch.maximum(x.abs() - wide.clamp_min(2.0), torch.maximum(-57.0 - z, z + 16.0))
    inside_nose = canvas.upsample(fields.surface, region.slices) + 5.0
    cavity = torch.maximum(cavity, torch.maximum(y + 29.0, inside_nose))
    region.paint(cavity < 1.5, "facial bone", only=_NOT_SOFT_NOSE)
    region.paint(cavity < 0, "nasal mucosa")
    region.paint(cavity < -1.2, "nasal airway")
    bend = parameters.septum_bend_mm * torch.exp(-(((y + 60.0) / 14.0) ** 2))
    from_septum = (x - bend).abs()
    for side, swelling in zip((1, -1), parameters.swelling, strict=True):
        half = x * side
        curl = 1.5 * torch.cos((z + 44.0) / 5.0)
        for centre, radii in (
            ((8.0, -57.0, -46.0), (3.4, 21.0, 7.5)),
            ((7.0, -52.0, -31.0), (2.5, 16.0, 7.5)),
            ((5.0, -42.0, -21.0), (1.6, 9.0, 3.5)),
        ):
            grown = (radii[0] * swelling, radii[1], radii[2])
            leaf = shapes.ellipsoid(half + 0.5 * curl, y, z, centre, grown)
            region.paint((leaf < 0) & (half > 0), "turbinate", only=("nasal airway",))
    region.paint(
        (from_septum < 2.0) & (cavity < 0) & (y < -33.0),
        "nasal mucosa",
        only=("nasal airway", "turbinate"),
    )
    region.paint((from_septum < 0.9) & (cavity < 1.0) & (y < -33.0), "nasal septum")
    canvas.ellipsoid("hard palate", (0.0, -55.0, -61.0), (20.0, 23.0, 2.2), exponent=3.0)
    nostril = (("nasal cartilage", 1.2),)
    canvas.tube(
        "nasal airway",
        [(6.0, -74.0, -53.0), (6.5, -92.0, -55.0)],
        [3.6, 2.8],
        paired=True,
        shells=nostril,
    )


_FRONTAL = (
    "outer table",
    "diploe",
    "inner table",
    "facial bone",
    "skull base cortex",
    "skull base marrow",
)
_NOT_SOFT_NOSE = (
    "subcutaneous fat",
    "deep neck and facial fat",
    "facial muscle",
    "facial bone",
    "maxilla",
)
