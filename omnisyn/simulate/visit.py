"""A patient's visit to a scanner as the scanner records it: every series on slices of its own.

Between series the head moves, and the next slices are placed anew. The anatomy is built on the grid
of each, so that no image is ever interpolated. Beside the contrasts there is what every exam holds
and nobody asked for: a localizer, and in some a diffusion or a coronal series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from omnisyn.geometry import Geometry
from omnisyn.simulate.acquisition import Acquisition, signal_table
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.patient import (
    AnatomyModel,
    ExamPlan,
    FieldOfView,
    child,
    draw_exam_plan,
    draw_field_of_view,
    scan,
)
from omnisyn.simulate.placement import Rigid, Triple, grid_of, header_geometry, seen_from
from omnisyn.simulate.protocols import Range, Scanner, SiteProfile, draw, draw_count
from omnisyn.simulate.rendering import Displacement
from omnisyn.simulate.scanner import draw_series
from omnisyn.simulate.tissues import AIR, tissue_index

LOCALIZER, DIFFUSION, CORONAL = "localizer", "DWI", "coronal T2"
B_VALUES = (0.0, 800.0)
"""Of the diffusion series, s/mm²."""

# Estimates of what is usual: how many exams lack a contrast or hold a further series, how a
# technician places slices, and how far a head moves between series that does not lie in a mask.
_LACKING, _WITH_DIFFUSION, _WITH_CORONAL = 0.2, 0.35, 0.35
_OBLIQUE_DEGREES: tuple[Range, Range, Range] = ((-10.0, 10.0), (-3.0, 3.0), (-3.0, 3.0))
_AGAINST_T1_DEGREES: tuple[Range, Range, Range] = ((-4.0, 4.0), (-1.5, 1.5), (-1.5, 1.5))
_AGAINST_T1_MM: tuple[Range, Range, Range] = ((-3.0, 3.0), (-4.0, 4.0), (-4.0, 4.0))
_HEAD_DEGREES: tuple[Range, Range, Range] = ((-2.5, 2.5), (-1.2, 1.2), (-2.0, 2.0))
_HEAD_MM: tuple[Range, Range, Range] = ((-2.0, 2.0), (-2.0, 2.0), (-2.5, 2.5))
_CORONAL_DEGREES, _SAGITTAL_DEGREES = (-90.0, 0.0, 0.0), (-90.0, 0.0, 90.0)
_CORONAL_SLICES, _CORONAL_SPACING_MM, _CORONAL_THICKNESS_MM = 16, 5.5, 5.0
_CORONAL_MATRIX = 160
_DIFFUSION_MATRIX, _DIFFUSION_PER_S = 96, 0.8e-3
_CUBE, _CUBE_MM, _BETWEEN = 81, 3.2, 5
# Series of one block share slices and place: both echoes of one scan.
_BLOCKS = (("T2", "PD"), ("FLAIR",), ("T1",), ("MRA",))


@dataclass(frozen=True)
class Block:
    """Series that share their slices, with the head lying still meanwhile.

    Attributes:
        view: the slices, in the frame of the head as it lies in this block.
        geometry: what the headers say of them.
        plan: of these series alone.
        motion: of the head since the T1: a point of the scanner → where what lay there lies now.
    """

    view: FieldOfView
    geometry: Geometry
    plan: ExamPlan
    motion: Rigid


@dataclass(frozen=True)
class Visit:
    """A visit, all random numbers drawn.

    Attributes:
        blocks: in the order in which they are scanned.
        anatomy: what the model of the anatomy drew.
        scanner: the machine.
        middle_mm: of the T1's slices, in the scanner.
        to_head: a point of the scanner → of the head during the T1.
    """

    blocks: tuple[Block, ...]
    anatomy: Any
    scanner: Scanner
    middle_mm: Triple
    to_head: Rigid


@dataclass(frozen=True)
class Recorded:
    """One SIMULATED series, or of a localizer one of its planes.

    Attributes:
        name: a contrast, ``LOCALIZER``, ``DIFFUSION`` or ``CORONAL``.
        image: a.u., ``[slices, rows, columns]``.
        geometry: voxel axes (column, row, slice).
        acquisition: how it was made.
        slice_thickness_mm: of its slices.
        b_value: of a diffusion image, s/mm².
    """

    name: str
    image: Tensor
    geometry: Geometry
    acquisition: Acquisition
    slice_thickness_mm: float
    b_value: float | None = None


def draw_visit(profile: SiteProfile, generator: torch.Generator, model: AnatomyModel) -> Visit:
    """Draw a visit: the same patient, and the same T1, that ``simulate_patient`` makes of it.

    Scanners know no brain extraction: heads are whole whatever the profile says.
    """
    view = draw_field_of_view(profile, child(generator))
    parameters = model.draw(child(generator))
    plan = replace(draw_exam_plan(profile, view, child(generator)), brain_extracted=False)
    own = child(generator)
    middle = view.grid.centre_mm
    at_rest = Rigid.of(view.grid.tilt_degrees, middle)
    oblique = Rigid.of(_triple(_OBLIQUE_DEGREES, own), middle)
    placing = _Placing(profile, view, plan, to_head=at_rest.after(oblique.inverse), slices=oblique)
    lacking = _lacking(plan.acquisitions, own)
    blocks = []
    for names in _BLOCKS:
        stream = child(own)
        made = tuple(name for name in names if name in plan.acquisitions and name != lacking)
        if made:
            blocks.append(placing.still() if made == ("T1",) else placing.anew(made, stream))
    stream = child(own)
    if "T2" in plan.acquisitions and draw((0.0, 1.0), stream) < _WITH_DIFFUSION:
        blocks.append(placing.diffusion(stream))
    stream = child(own)
    # Not in the place of a T2 that lacks: it would be taken for one.
    has_t2 = "T2" in plan.acquisitions and lacking != "T2"
    if has_t2 and draw((0.0, 1.0), stream) < _WITH_CORONAL:
        blocks.append(placing.coronal(stream))
    # Last, for the agent is given last; on the slices of the T1 where it is the same scan again.
    if "T1c" in plan.acquisitions and lacking != "T1c":
        again = plan.scanner.repeats_t1_with_agent
        blocks.append(placing.anew(("T1c",), child(own), same_slices=again))
    return Visit(tuple(blocks), parameters, plan.scanner, middle, placing.to_head)


def record(
    visit: Visit, model: AnatomyModel, device: torch.device | str = "cpu"
) -> Iterator[Recorded]:
    """The series of a visit, one after the other, the localizer's planes first."""
    yield from _localizer(visit, model, torch.device(device))
    for block in visit.blocks:
        anatomy = model.build(visit.anatomy, block.view.fine, torch.device(device))
        images = scan(anatomy, block.view, block.plan, device).images
        thickness = block.view.thickness_mm
        for name, image in images.items():
            acquisition = block.plan.acquisitions[name]
            whole = Recorded(name, image, block.geometry, acquisition, thickness)
            if name != DIFFUSION:
                yield whole
                continue
            for value in B_VALUES:
                # One coefficient for all tissues: the series is there to be passed over.
                faded = image * math.exp(-value * _DIFFUSION_PER_S)
                yield replace(whole, image=faded, b_value=value)


@dataclass(frozen=True)
class _Placing:
    """Places slices: ``slices`` of the T1 in the scanner, ``to_head`` from there to the head."""

    profile: SiteProfile
    view: FieldOfView
    plan: ExamPlan
    to_head: Rigid
    slices: Rigid

    def still(self) -> Block:
        """The T1's own block."""
        nowhere = Rigid.of((0.0, 0.0, 0.0))
        geometry = header_geometry(self.view.grid, self.slices)
        return _only(Block(self.view, geometry, self.plan, nowhere), ("T1",))

    def anew(
        self, names: tuple[str, ...], generator: torch.Generator, *, same_slices: bool = False
    ) -> Block:
        """A block of these contrasts after the head moved, usually on slices placed anew."""
        motion = self._motion(generator)
        if same_slices:
            grid, thickness, slices = self.view.grid, self.view.thickness_mm, self.slices
        else:
            grid, thickness = self._slices(generator)
            slices = self._turned(_triple(_AGAINST_T1_DEGREES, generator), generator)
        sublayers = round(self.view.sublayers * grid.spacing_mm[0] / self.view.grid.spacing_mm[0])
        view = replace(self.view, grid=grid, thickness_mm=thickness, sublayers=max(2, sublayers))
        return _only(self._block(view, slices, motion), names)

    def diffusion(self, generator: torch.Generator) -> Block:
        """A diffusion series: coarse pixels, the weighting of the T2."""
        shape, spacing = self.view.grid.shape, self.view.grid.spacing_mm
        pixel = spacing[1] * shape[1] / _DIFFUSION_MATRIX
        side = _DIFFUSION_MATRIX
        grid = Grid((shape[0], side, side), (spacing[0], pixel, pixel))
        view = replace(self.view, grid=grid, sublayers=2, samples=side)
        return self._further(DIFFUSION, view, self.slices, generator)

    def coronal(self, generator: torch.Generator) -> Block:
        """A coronal T2 through the middle of the head."""
        shape, spacing = self.view.grid.shape, self.view.grid.spacing_mm
        side, pixel = _CORONAL_MATRIX, spacing[1] * shape[1] / _CORONAL_MATRIX
        view = FieldOfView(
            Grid((_CORONAL_SLICES, side, side), (_CORONAL_SPACING_MM, pixel, pixel)),
            sublayers=2,
            samples=side,
            thickness_mm=_CORONAL_THICKNESS_MM,
        )
        slices = self._turned(_CORONAL_DEGREES, generator)
        return self._further(CORONAL, view, slices, generator)

    def _further(
        self, name: str, view: FieldOfView, slices: Rigid, generator: torch.Generator
    ) -> Block:
        block = self._block(view, slices, self._motion(generator))
        effects, side = self.profile.effects, view.grid.shape[1]
        series = replace(draw_series(effects, side, generator, first=True), motion=None)
        acquisition = replace(
            self.plan.acquisitions["T2"],
            fat_suppression="none",
            slice_thickness_mm=view.thickness_mm,
        )
        plan = replace(block.plan, acquisitions={name: acquisition}, series={name: series})
        return replace(block, plan=plan)

    def _block(self, view: FieldOfView, slices: Rigid, motion: Rigid) -> Block:
        """All series of the plan on this view, whose grid lacks its place in the head as yet."""
        # A point of these slices → where what they show there lay during the T1.
        before = motion.inverse.after(slices)
        grid = grid_of(view.grid.shape, view.grid.spacing_mm, self.to_head.after(before))
        exam = seen_from(
            self.plan.exam,
            self.view.grid,
            grid,
            of_scanner=self.slices.inverse.after(slices),
            of_head=self.slices.inverse.after(before),
        )
        acquisitions = {
            name: replace(acquisition, slice_thickness_mm=view.thickness_mm)
            for name, acquisition in self.plan.acquisitions.items()
        }
        series = {
            # The head's motion takes the place of the profile's misregistration.
            name: replace(series, displacement=Displacement())
            for name, series in self.plan.series.items()
        }
        plan = replace(self.plan, exam=exam, acquisitions=acquisitions, series=series)
        return Block(replace(view, grid=grid), header_geometry(grid, slices), plan, motion)

    def _slices(self, generator: torch.Generator) -> tuple[Grid, float]:
        """Slices of another height and number over about the same part of the head."""
        shape, spacing = self.view.grid.shape, self.view.grid.spacing_mm
        drawn = draw(self.profile.slice_thickness_mm, generator) * draw((0.85, 1.2), generator)
        thickness = max(1.0, round(2 * drawn) / 2)
        height = round(thickness + draw(self.profile.gap_mm, generator), 1)
        count = round(shape[0] * spacing[0] / height) + draw_count((-1, 2), generator)
        side = round(shape[1] * spacing[1] * draw((0.96, 1.06), generator))
        pixel = side / shape[1]
        return Grid((max(2, count), *shape[1:]), (height, pixel, pixel)), thickness

    def _turned(self, degrees: Triple, generator: torch.Generator) -> Rigid:
        """Slices turned against the T1's, their middle moved a little."""
        shift = self.slices.shift_mm + _triple(_AGAINST_T1_MM, generator)
        return Rigid(self.slices.rotation @ Rigid.of(degrees).rotation, shift)

    def _motion(self, generator: torch.Generator) -> Rigid:
        """A motion of the head about the middle of the T1's slices."""
        turn = Rigid.of(_triple(_HEAD_DEGREES, generator)).rotation
        middle = self.slices.shift_mm
        return Rigid(turn, middle - turn @ middle + _triple(_HEAD_MM, generator))


def _only(block: Block, names: tuple[str, ...]) -> Block:
    plan = replace(
        block.plan,
        acquisitions={name: block.plan.acquisitions[name] for name in names},
        series={name: block.plan.series[name] for name in names},
    )
    return replace(block, plan=plan)


def _lacking(contrasts: Mapping[str, Acquisition], generator: torch.Generator) -> str | None:
    """The contrast that was not made this time; never the T1."""
    lacks = draw((0.0, 1.0), generator) < _LACKING
    others = [name for name in contrasts if name != "T1"]
    chosen = draw_count((0, max(0, len(others) - 1)), generator)
    return others[chosen] if lacks and len(others) > 1 else None


def _localizer(visit: Visit, model: AnatomyModel, device: torch.device) -> Iterator[Recorded]:
    """Three planes of three slices each, cut from one coarse cube, without noise."""
    straight = Rigid.of((0.0, 0.0, 0.0), visit.middle_mm)
    grid = grid_of((_CUBE,) * 3, (_CUBE_MM,) * 3, visit.to_head.after(straight))
    labels = model.build(visit.anatomy, grid, device).labels
    block = next(block for block in visit.blocks if "T1" in block.plan.acquisitions)
    acquisition = block.plan.acquisitions["T1"]
    table = signal_table(acquisition, block.plan.tissues, block.plan.exam.flow, torch.zeros(1))
    cube = (table.water + table.fat)[0].to(device)[labels.int()].abs()
    cube = cube * (300.0 / cube[labels != tissue_index(AIR)].mean())
    middle = _CUBE // 2
    places = [middle - _BETWEEN, middle, middle + _BETWEEN]
    upright = cube.flip(0)
    planes = (
        ((0.0, 0.0, 0.0), cube[places]),
        (_CORONAL_DEGREES, upright[:, places].transpose(0, 1)),
        (_SAGITTAL_DEGREES, upright[:, :, places[::-1]].permute(2, 0, 1)),
    )
    spacing = (_BETWEEN * _CUBE_MM, _CUBE_MM, _CUBE_MM)
    shape = (len(places), _CUBE, _CUBE)
    for degrees, image in planes:
        geometry = header_geometry(Grid(shape, spacing), Rigid.of(degrees, visit.middle_mm))
        yield Recorded(LOCALIZER, image, geometry, acquisition, _CUBE_MM)


def _triple(ranges: tuple[Range, Range, Range], generator: torch.Generator) -> Triple:
    first, second, third = (draw(limits, generator) for limits in ranges)
    return first, second, third
