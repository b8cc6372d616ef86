"""The head's outline, its skin and fat, and the vault and base of the skull around the brain."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.noise import NoiseField


@dataclass(frozen=True)
class SkullParameters:
    """Layers of the head (mm).

    Attributes:
        vault_mm: thickness of the vault, both tables and diploe.
        table_mm: thickness of one cortical table.
        scalp_mm: fat and aponeurosis between skin and bone.
        fat_mm: subcutaneous fat of face and neck.
        skin_mm: skin.
        neck_radii_mm: half width and half depth of the neck.
        relief: slow noise that varies the layers over the head.
        marrow_red: the skull's marrow is red (young) instead of fatty.
    """

    vault_mm: float
    table_mm: float
    scalp_mm: float
    fat_mm: float
    skin_mm: float
    neck_radii_mm: tuple[float, float]
    relief: NoiseField
    marrow_red: bool


@dataclass(frozen=True)
class HeadFields:
    """Signed distances (mm, negative inside) on the coarse lattice of a canvas.

    Attributes:
        cavity: the space inside the skull, up to the dura.
        surface: the skin's surface.
    """

    cavity: Tensor
    surface: Tensor


def head_fields(canvas: Canvas, parameters: SkullParameters) -> HeadFields:
    """Cranial cavity and body surface of a head."""
    x, y, z = canvas.coarse
    across = x.abs()
    # The vault is egg-shaped: narrow at the forehead, widest above the ears.
    narrow = x * (1.0 + 0.09 * torch.nn.functional.softplus((10.0 - y) / 22.0))
    vault = shapes.ellipsoid(narrow, y, z, (0.0, 14.0, 4.0), (69.0, 80.0, 69.5), 2.25)
    occiput = 15.0 * ((y - 42.0) / 26.0).clamp(0.0, 1.0)
    floor = -9.0 - 7.0 * ((y + 10.0) / 40.0).clamp(0.0, 1.0) - occiput - z
    roof_of_orbit = 5.0 * torch.exp(-(((across - 30.0) / 16.0) ** 2)) * (y < -15.0)
    cavity = shapes.smooth_intersection(vault, floor + roof_of_orbit, 8.0)
    middle = shapes.ellipsoid(across, y, z, (40.0, 6.0, -17.0), (24.0, 36.0, 25.0), 2.2)
    posterior = shapes.ellipsoid(x, y, z, (0.0, 40.0, -32.0), (51.0, 40.0, 33.0), 2.2)
    foramen = shapes.capsule(x, y, z, (0.0, 17.0, -45.0), (0.0, 20.0, -68.0), 17.0, 12.0)
    sella = shapes.ellipsoid(x, y, z, (0.0, -6.0, -13.0), (12.0, 12.0, 8.0))
    front_of_pons = shapes.ellipsoid(x, y, z, (0.0, 10.0, -25.0), (20.0, 15.0, 28.0))
    for part, blend in ((middle, 7.0), (posterior, 7.0), (foramen, 4.0), (sella, 4.0)):
        cavity = shapes.smooth_union(cavity, part, blend)
    cavity = shapes.smooth_union(cavity, front_of_pons, 5.0)
    ridge = shapes.capsule(across, y, z, (15.0, -3.0, -40.0), (56.0, 26.0, -42.0), 7.0, 14.0)
    cavity = shapes.smooth_intersection(cavity, -ridge, 5.0)

    relief = parameters.relief.at(x, y, z)[0]
    scalp_mm = parameters.scalp_mm * (1.0 + 0.15 * relief).clamp_min(0.5)
    cover = _vault_thickness(canvas, parameters) + scalp_mm + parameters.skin_mm
    scalp = cavity - cover
    face = shapes.ellipsoid(x, y, z, (0.0, -32.0, -42.0), (63.0, 53.0, 62.0), 2.4)
    cheeks = shapes.ellipsoid(across, y, z, (34.0, -40.0, -55.0), (29.0, 36.0, 45.0), 2.2)
    jaw = shapes.ellipsoid(x, y, z, (0.0, -42.0, -92.0), (52.0, 44.0, 34.0), 2.3)
    chin = shapes.ellipsoid(x, y, z, (0.0, -76.0, -106.0), (20.0, 16.0, 16.0))
    lips = shapes.ellipsoid(x, y, z, (0.0, -80.0, -78.0), (22.0, 14.0, 14.0))
    bridge = shapes.capsule(x, y, z, (0.0, -74.0, -8.0), (0.0, -98.0, -46.0), 6.0, 8.5)
    wings = shapes.ellipsoid(x, y, z, (0.0, -88.0, -50.0), (16.0, 13.0, 8.0))
    lids = shapes.ellipsoid(across, y, z, (31.0, -60.0, -8.0), (20.0, 15.5, 17.0))
    mastoids = shapes.ellipsoid(across, y, z, (42.0, 14.0, -42.0), (28.0, 32.0, 34.0))
    angles = shapes.capsule(across, y, z, (45.0, -14.0, -58.0), (42.0, -22.0, -92.0), 15.0, 14.0)
    wide, deep = parameters.neck_radii_mm
    # Below C5 the neck opens towards the shoulders.
    shoulders = (-150.0 - z).clamp_min(0.0)
    neck = shapes.ellipsoid(
        x / (1.0 + 0.03 * shoulders),
        (y - 12.0) / (1.0 + 0.006 * shoulders),
        z,
        (0.0, 0.0, -150.0),
        (wide, deep, 130.0),
        3.0,
    )
    surface = shapes.smooth_union(scalp, face, 10.0)
    for part, blend in (
        (cheeks, 10.0),
        (jaw, 14.0),
        (chin, 8.0),
        (lips, 8.0),
        (mastoids, 12.0),
        (angles, 12.0),
        # The box-like norm overstates depth in a long narrow body.
        (0.7 * neck, 18.0),
        (lids, 6.0),
        (bridge, 6.0),
        (wings, 5.0),
    ):
        surface = shapes.smooth_union(surface, part, blend)
    return HeadFields(cavity, surface)


def paint_soft_cover(canvas: Canvas, parameters: SkullParameters, fields: HeadFields) -> None:
    """Skin, subcutaneous fat and the fatty planes that later structures fill."""
    region = canvas.whole()
    depth = -canvas.upsample(fields.surface, region.slices)
    relief = parameters.relief.at(*canvas.coarse)[0]
    fat = canvas.upsample(parameters.fat_mm * (1.0 + 0.25 * relief).clamp_min(0.4), region.slices)
    region.paint(depth > 0, "skin")
    region.paint(depth > parameters.skin_mm, "subcutaneous fat")
    below = depth - parameters.skin_mm - fat
    region.paint(below > 0, "deep neck and facial fat")
    # The muscles of expression and the platysma: a thin torn sheet between the two layers of fat.
    patchy = canvas.upsample(
        parameters.relief.at(*(1.7 * axis for axis in canvas.coarse))[0], region.slices
    )
    sheet = (below.abs() < 0.9) & (region.z < -12.0) & (region.y < 30.0) & (patchy > -0.4)
    region.paint(sheet, "facial muscle")


def paint_skull(canvas: Canvas, parameters: SkullParameters, fields: HeadFields) -> None:
    """Vault with two tables and diploe, and the thinner base; the cavity itself stays free."""
    box = canvas.box((-88.0, -90.0, -75.0), (88.0, 118.0, 100.0))
    if box is None:
        return
    region = canvas.cut(box)
    _, y, z = canvas.coarse
    thickness = _vault_thickness(canvas, parameters)
    # The squama of the temporal bone and the base are thin; the occiput is thick.
    thickness = thickness * (1.0 - 0.45 * torch.exp(-(((z + 10.0) / 28.0) ** 2)) * (y < 60.0))
    outside = canvas.upsample(fields.cavity, box)
    thick = canvas.upsample(thickness.clamp_min(3.0), box)
    table = parameters.table_mm
    vault = region.z > -12.0 + 0.35 * (region.y - 20.0).clamp_max(0.0).abs() - 0.45 * (
        region.y - 40.0
    ).clamp_min(0.0)
    thick = torch.where(vault, thick, thick.clamp_max(4.5))
    shell = (outside > -1.0) & (outside < thick)
    marrow = shell & (outside > table) & (outside < thick - table)
    region.paint(shell & vault, "outer table")
    region.paint(shell & ~vault, "skull base cortex")
    region.paint(shell & vault & (outside <= table), "inner table")
    region.paint(marrow & vault, "diploe")
    region.paint(marrow & ~vault, "skull base marrow")


def _vault_thickness(canvas: Canvas, parameters: SkullParameters) -> Tensor:
    x, y, z = canvas.coarse
    return parameters.vault_mm * (1.0 + 0.12 * parameters.relief.at(y, x, z)[0]).clamp_min(0.6)


def paint_meninges(canvas: Canvas, fields: HeadFields) -> None:
    """Dura and, inside it, the subarachnoid space that the brain is painted into."""
    box = canvas.box((-80.0, -80.0, -75.0), (80.0, 108.0, 90.0))
    if box is None:
        return
    region = canvas.cut(box)
    depth = -canvas.upsample(fields.cavity, box)
    region.paint(depth > -0.2, "dura", only=_BONE)
    region.paint(depth > 1.0, "subarachnoid CSF")


_BONE = ("inner table", "skull base cortex", "outer table")


def paint_skull_base(canvas: Canvas) -> None:
    """Sphenoid body, clivus, petrous bones with mastoid cells, occipital condyles."""
    base: tuple[tuple[str, float], ...] = (("skull base cortex", 1.3),)
    canvas.ellipsoid(
        "skull base marrow", (0.0, -20.0, -27.0), (17.0, 15.0, 11.0), exponent=3.0, shells=base
    )
    canvas.ellipsoid(
        "skull base marrow", (26.0, -18.0, -31.0), (13.0, 7.0, 5.0), paired=True, shells=base
    )
    canvas.tube(
        "clivus",
        [(0.0, -9.0, -25.0), (0.0, -6.0, -40.0), (0.0, 0.0, -52.0)],
        [5.5, 5.0, 2.6],
        squash=(2.4, 1.0, 1.0),
        shells=(("clivus cortex", 1.2),),
    )
    canvas.ellipsoid(
        "petrous bone",
        (34.0, 8.0, -36.0),
        (24.0, 9.0, 10.0),
        angles=(0.0, 0.0, 38.0),
        paired=True,
        exponent=2.4,
    )
    canvas.ellipsoid(
        "skull base marrow",
        (19.0, 1.0, -38.0),
        (7.0, 4.0, 4.0),
        angles=(0.0, 0.0, 38.0),
        paired=True,
    )
    canvas.ellipsoid("petrous bone", (54.0, 20.0, -46.0), (12.0, 14.0, 17.0), paired=True)
    canvas.ellipsoid(
        "skull base marrow", (16.0, 12.0, -58.0), (6.0, 10.0, 5.0), paired=True, shells=base
    )


def paint_mastoid_cells(canvas: Canvas, cells: NoiseField, pneumatization: float) -> None:
    """Air cells of the mastoid: the middle of a fine noise inside the bone."""
    for side in (1, -1):
        centre, reach = 54.0 * side, 14.0
        region = canvas.region((centre - reach, 4.0, -66.0), (centre + reach, 38.0, -28.0))
        if region is None:
            continue
        inside = shapes.ellipsoid(
            region.x, region.y, region.z, (centre, 20.0, -46.0), (10.5, 12.0, 15.0)
        )
        noise = cells.at(region.x, region.y, region.z)[0]
        air = (inside < 0) & (noise > 1.1 - 1.6 * pneumatization)
        region.paint(air, "mastoid air cells", only=("petrous bone",))
