"""Cerebellum with folia, brainstem, fourth ventricle, pituitary and chiasm."""

from __future__ import annotations

import torch

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.brain import BrainParameters, tentorium
from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.skull import HeadFields


def paint_cerebellum(canvas: Canvas, parameters: BrainParameters, fields: HeadFields) -> None:
    """Two hemispheres and vermis: leaves of cortex that fan out from the fourth ventricle."""
    box = canvas.box((-58.0, 4.0, -76.0), (58.0, 82.0, 2.0))
    if box is None:
        return
    x, y, z = canvas.coarse
    across = x.abs()
    inside = -fields.cavity - parameters.subarachnoid_mm - 0.8
    below = (tentorium(across, y) - z) * 0.93 - 1.0
    body = shapes.smooth_union(
        shapes.ellipsoid(across, y, z, (23.0, 42.0, -36.0), (32.0, 36.0, 33.0), 2.2),
        shapes.ellipsoid(x, y, z, (0.0, 42.0, -30.0), (14.0, 30.0, 28.0)),
        5.0,
    )
    depth = torch.minimum(torch.minimum(inside, below), -body)
    depth = canvas.upsample(depth, box)
    region = canvas.cut(box)
    bend = canvas.upsample(parameters.folia.at(x, y, z)[0], box)
    # Folia are planes through a transverse axis in front of the cerebellum, bent backwards
    # towards the sides, so that axial cuts show lines that follow the posterior outline.
    back = region.y - 18.0 + 0.010 * region.x * region.x
    angle = torch.atan2(region.z + 34.0, back)
    radius = torch.hypot(region.z + 34.0, back)
    phase = 21.0 * angle + 0.9 * bend
    leaf = (torch.sin(phase).abs() * radius / 21.0).clamp_max(6.0)
    major = (torch.sin(phase / 3.0 + 0.5).abs() * radius / 7.0).clamp_max(9.0)
    fluid = ((leaf < 0.4) & (depth < 6.0)) | ((major < 0.6) & (depth < 16.0))
    grey = (depth < 2.6) | ((leaf < 2.0) & (depth < 12.0)) | ((major < 2.7) & (depth < 22.0))
    here = (depth > 0) & region.among(("subarachnoid CSF", "white matter", "cortex"))
    region.paint(here, "cerebellar white matter")
    region.paint(here & grey, "cerebellar cortex")
    region.paint(here & fluid, "sulcal CSF")
    canvas.ellipsoid(
        "dentate nucleus",
        (14.0, 34.0, -36.0),
        (6.0, 5.0, 3.5),
        paired=True,
        only=("cerebellar white matter", "cerebellar cortex", "sulcal CSF"),
    )


def paint_brainstem(canvas: Canvas) -> None:
    """Midbrain with peduncles, pons, medulla, cerebellar peduncles, fourth ventricle."""
    stem = (
        "spinal CSF",
        "spinal cord",
        "subarachnoid CSF",
        "white matter",
        "cortex",
        "sulcal CSF",
        "cerebellar cortex",
        "cerebellar white matter",
    )
    canvas.tube(
        "brainstem", [(7.0, 6.0, -2.0), (8.0, 5.0, -14.0)], [8.0, 7.0], paired=True, only=stem
    )
    canvas.ellipsoid("brainstem", (0.0, 13.0, -13.0), (13.0, 11.0, 12.0), only=stem)
    canvas.ellipsoid("brainstem", (0.0, 9.5, -28.0), (16.5, 11.5, 13.0), exponent=2.3, only=stem)
    canvas.tube(
        "brainstem",
        [(0.0, 13.0, -36.0), (0.0, 16.5, -52.0), (0.0, 19.0, -64.0)],
        [9.5, 7.5, 6.0],
        squash=(1.15, 1.0, 1.0),
        only=stem,
    )
    canvas.tube(
        "brainstem", [(13.0, 12.0, -28.0), (19.0, 28.0, -32.0)], [7.0, 6.0], paired=True, only=stem
    )
    everything = (*stem, "brainstem")
    canvas.ellipsoid("fourth ventricle", (0.0, 24.5, -31.0), (7.5, 4.0, 10.0), only=everything)
    canvas.tube(
        "fourth ventricle", [(0.0, 20.5, -2.0), (0.0, 21.0, -22.0)], [1.1, 1.3], only=everything
    )
    canvas.tube(
        "fourth ventricle", [(0.0, 25.0, -36.0), (0.0, 27.0, -48.0)], [3.0, 1.8], only=everything
    )
    canvas.ellipsoid(
        "red nucleus", (5.0, 10.0, -9.0), (3.0, 3.0, 4.0), paired=True, only=("brainstem",)
    )


def paint_sella(canvas: Canvas) -> None:
    """Pituitary with its stalk, optic chiasm and tracts, cavernous sinuses."""
    canvas.ellipsoid(
        "cavernous sinus", (11.0, -13.0, -18.0), (4.5, 9.0, 6.0), paired=True, exponent=2.5
    )
    canvas.ellipsoid("pituitary", (0.0, -13.0, -18.0), (6.5, 5.0, 3.8), exponent=2.4)
    canvas.ellipsoid(
        "posterior pituitary",
        (0.0, -8.8, -18.0),
        (3.5, 2.0, 3.0),
        only=("pituitary", "subarachnoid CSF", "skull base cortex", "dura"),
    )
    canvas.tube("pituitary", [(0.0, -11.0, -15.0), (0.0, -6.0, -8.0)], [1.2, 1.2])
    canvas.tube(
        "optic chiasm",
        [(12.0, -20.0, -10.0), (3.0, -10.0, -8.5), (0.0, -8.0, -8.0)],
        [2.0, 2.2, 2.4],
        paired=True,
    )
    canvas.tube(
        "optic chiasm",
        [(3.0, -7.0, -8.0), (11.0, 4.0, -6.0)],
        [2.0, 1.8],
        paired=True,
        only=("subarachnoid CSF", "sulcal CSF", "cortex"),
    )


def paint_falx(canvas: Canvas) -> None:
    """The falx: a thin sheet of dura in the midline, above the corpus callosum."""
    region = canvas.region((-3.0, -68.0, -22.0), (3.0, 98.0, 80.0))
    if region is None:
        return
    arch = ((region.y - 4.0) / 44.0) ** 2 + ((region.z - 2.0) / 31.0) ** 2
    above = arch > 1.0 + 0.8 * ((20.0 - region.y) / 60.0).clamp(0.0, 1.0)
    sheet = above & (region.x.abs() < 0.6) & (region.z > tentorium(region.x, region.y))
    region.paint(sheet, "dura", only=("subarachnoid CSF", "sulcal CSF"))
