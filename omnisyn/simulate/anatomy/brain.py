"""Cerebrum with folded cortex, its deep nuclei and ventricles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omnisyn.simulate.anatomy import shapes
from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.noise import NoiseField
from omnisyn.simulate.anatomy.skull import HeadFields


@dataclass(frozen=True)
class BrainParameters:
    """The brain of one patient.

    Attributes:
        primary_folds, secondary_folds: band-limited noise, two channels (left, right), whose
            zero surfaces are the sulci.
        depth_noise: slow noise that varies how deep and open the sulci are.
        cortex_mm: thickness of the cortical ribbon.
        sulcus_mm: half width of an open sulcus at the surface (grows with atrophy).
        subarachnoid_mm: distance of the gyral crowns from the dura.
        ventricle: multiplier of the lateral ventricles' calibre.
        folia: noise that bends the cerebellar folia.
    """

    primary_folds: NoiseField
    secondary_folds: NoiseField
    depth_noise: NoiseField
    cortex_mm: float
    sulcus_mm: float
    subarachnoid_mm: float
    ventricle: float
    folia: NoiseField


def tentorium(across: Tensor, y: Tensor) -> Tensor:
    """Height z (mm) of the tentorium over |x| and y."""
    return -4.0 - 0.38 * (y - 22.0).clamp_min(0.0) - 0.0085 * across * across


def paint_cerebrum(canvas: Canvas, parameters: BrainParameters, fields: HeadFields) -> None:
    """White matter, cortex, sulci, insula and Sylvian fissure, interhemispheric fissure.

    The sulci are zero surfaces of noise that is constant along the inward normal of the brain's
    hull, cut off at a varying depth: sheets that dive from the surface and branch where the two
    families of folds cross.
    """
    box = canvas.box((-74.0, -72.0, -48.0), (74.0, 102.0, 82.0))
    if box is None:
        return
    x, y, z = canvas.coarse
    depth = _hemisphere_depth(canvas, parameters, fields)
    inward, evenness = _gradient(canvas, depth)
    # Where the normals of two walls meet, no sulcus arrives.
    seam = 30.0 * (0.78 - evenness).clamp_min(0.0)
    reach = depth.clamp(-6.0, 30.0)
    foot = [axis - reach * slope for axis, slope in zip((x, y, z), inward, strict=True)]
    right = x < 0
    slow = parameters.depth_noise.at(*foot)[0]
    families = (
        (parameters.primary_folds, 17.0, 4.0, 0.40),
        (parameters.secondary_folds, 8.0, 3.0, 0.55),
    )
    folds = []
    for noise, deep, vary, steepest in families:
        both = noise.at(*foot)
        sheet = _sheet_distance(canvas, torch.where(right, both[1], both[0]), steepest)
        folds.append((sheet, torch.maximum(depth - (deep + vary * slow).clamp(3.0, 24.0), seam)))

    region = canvas.cut(box)
    depth = canvas.upsample(depth, box)
    sheets = torch.full_like(depth, 40.0)
    for sheet, below in folds:
        bottom = canvas.upsample(below, box).clamp_min(0.0)
        sheets = torch.minimum(sheets, torch.hypot(canvas.upsample(sheet, box), bottom))
    sylvian = _sylvian(region.x.abs(), region.y, region.z)
    open_width = parameters.sulcus_mm * (1.25 - 0.04 * depth).clamp_min(0.45)
    fluid = (sheets < open_width) | (sylvian < 1.1 * parameters.sulcus_mm)
    ribbon = parameters.cortex_mm
    grey = (depth < ribbon) | (sheets < open_width + ribbon)
    insula = sylvian < 1.1 * parameters.sulcus_mm + ribbon
    brain = depth > 0
    intracranial = ("subarachnoid CSF",)
    here = brain & region.among(intracranial)
    region.paint(here, "white matter")
    region.paint(here & (grey | insula), "cortex")
    deep_fold = (region.x.abs() > 30) & (region.x.abs() < 42) & (depth > 14)
    region.paint(here & insula & deep_fold, "insula")
    region.paint(here & fluid, "sulcal CSF")


def _hemisphere_depth(canvas: Canvas, parameters: BrainParameters, fields: HeadFields) -> Tensor:
    x, y, z = canvas.coarse
    across = x.abs()
    outer = -fields.cavity - parameters.subarachnoid_mm - 1.0
    # Above the corpus callosum the falx parts the hemispheres; inside its arch they are one.
    arch = shapes.ellipsoid(x * 0.0, y, z, (0.0, 4.0, 2.0), (1.0, 40.0, 25.0))
    bridged = (-arch).clamp_min(0.0) * (z > -9.0)
    medial = torch.where(bridged > 0, torch.hypot(across, bridged * 7.0), across) - 1.0
    # Below, the cerebral peduncles and the cisterns push the temporal lobes apart.
    notch = 14.0 * torch.exp(-(((y - 8.0) / 17.0) ** 4)) * ((-5.0 - z) / 8.0).clamp(0.0, 1.0)
    medial = medial - notch
    above = (z - tentorium(across, y)) * 0.93 - 1.2
    # In front of the petrous ridge there is no tentorium: the temporal lobe reaches the floor.
    ahead = (2.0 + 0.46 * across - y).clamp_min(0.0)
    above = above + 1.5 * ahead
    depth = shapes.smooth_intersection(-outer, -medial, 3.0)
    return -shapes.smooth_intersection(depth, -above, 3.0)


def _sylvian(across: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Distance (mm) to the Sylvian fissure with the insula's cleft at its bottom."""
    height = -9.0 + 0.36 * (y + 18.0) - 0.12 * (across - 40.0)
    slit = (z - height).abs() / 1.06
    beyond = (37.0 - across).clamp_min(0.0)
    ends = torch.maximum((-24.0 - y), (y - 36.0)).clamp_min(0.0)
    fissure = torch.sqrt(slit**2 + beyond**2 + ends**2)
    patch = torch.sqrt(((y + 1.0) / 19.0) ** 2 + ((z - height - 5.0) / 11.0) ** 2)
    curved = 37.5 - 0.008 * (y + 1.0) ** 2 - 0.012 * (z - height - 4.0) ** 2
    cleft = torch.hypot(across - curved, 15.0 * (patch - 1.0).clamp_min(0.0))
    return torch.minimum(fissure, cleft)


def _steps(canvas: Canvas) -> tuple[float, float, float]:
    grid = canvas.grid
    sizes = [
        (size - 1) * spacing / (count - 1)
        for size, spacing, count in zip(
            grid.shape, grid.spacing_mm, canvas.coarse_shape, strict=True
        )
    ]
    return sizes[0], sizes[1], sizes[2]


def _gradient(canvas: Canvas, field: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Unit gradient (x, y, z) of a coarse field, in the field's axes (tilt is small), and its
    length.
    """
    along_z, along_y, along_x = torch.gradient(field, spacing=_steps(canvas), dim=(0, 1, 2))
    length = torch.sqrt(along_x**2 + along_y**2 + along_z**2).clamp_min(1e-3)
    return (along_x / length, along_y / length, along_z / length), length


def _sheet_distance(canvas: Canvas, noise: Tensor, steepest: float) -> Tensor:
    """Signed distance (mm) to the zero surface: value over slope, which is at most `steepest`."""
    slopes = torch.stack(torch.gradient(noise, spacing=_steps(canvas), dim=(0, 1, 2)))
    slope = (slopes.norm(dim=0) + 0.01).clamp_max(steepest)
    distance: Tensor = (noise / slope).clamp(-40.0, 40.0)
    return distance


def paint_deep_brain(canvas: Canvas, parameters: BrainParameters) -> None:
    """Corpus callosum, nuclei, hippocampi, ventricles and choroid plexus."""
    brain = ("white matter", "cortex", "insula", "sulcal CSF")
    size = parameters.ventricle
    canvas.tube(
        "corpus callosum",
        [(0, -24, 3), (0, -30, 10), (0, -22, 20), (0, 0, 26), (0, 24, 23), (0, 36, 14), (0, 34, 8)],
        [2.5, 4.0, 3.2, 2.6, 2.8, 4.2, 3.0],
        squash=(2.6, 1.0, 1.0),
        only=brain,
    )
    canvas.ellipsoid(
        "putamen", (25.5, 1.0, 3.5), (5.5, 17.0, 10.5), angles=(0, 8, -10), paired=True, only=brain
    )
    canvas.ellipsoid(
        "pallidum",
        (18.5, 3.0, 2.5),
        (4.5, 9.5, 6.5),
        angles=(0, 8, -16),
        paired=True,
        only=("white matter", "putamen"),
    )
    canvas.ellipsoid(
        "thalamus", (10.0, 17.0, 7.0), (8.5, 14.5, 9.0), angles=(0, 0, -18), paired=True, only=brain
    )
    canvas.tube(
        "hippocampus",
        [(22, -2, -12), (27, 10, -13), (30, 22, -9), (26, 33, -1)],
        [6.0, 5.0, 4.5, 3.5],
        paired=True,
        only=brain,
    )
    canvas.tube(
        "caudate",
        [(12.5, -20, 4), (14.0, -12, 11), (17.5, 4, 19), (21.0, 22, 19), (26.0, 32, 12)],
        [5.5, 5.5, 3.6, 2.6, 1.8],
        paired=True,
        only=brain,
    )
    over = (*brain, "caudate", "thalamus", "corpus callosum", "hippocampus")
    canvas.tube(
        "lateral ventricle",
        [
            (8.0, -27, 5),
            (8.5, -12, 14),
            (10.5, 4, 19),
            (14.0, 22, 19),
            (22.0, 38, 11),
            (24.0, 58, 6),
        ],
        [3.2 * size, 4.4 * size, 4.4 * size, 4.8 * size, 6.0 * size, 2.2 * size],
        paired=True,
        only=over,
    )
    canvas.tube(
        "lateral ventricle",
        [(24.0, 37, 8), (32.0, 28, -4), (33.0, 8, -10)],
        [4.6 * size, 2.6 * size, 1.8 * size],
        paired=True,
        only=over,
    )
    canvas.ellipsoid(
        "third ventricle", (0, 7, -1), (2.0 * size, 16.0, 9.0), only=(*over, "subarachnoid CSF")
    )
    canvas.tube(
        "choroid plexus",
        [(11.0, 10, 17), (16.0, 25, 16), (23.0, 36, 8), (29.0, 30, -1)],
        [1.4, 1.8, 3.2, 1.4],
        paired=True,
        only=("lateral ventricle",),
    )
