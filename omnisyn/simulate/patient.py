"""One simulated patient: draw every random number into a plan, then build and scan it.

The anatomy is built on a grid several times finer through the plane than the images; each series
averages its own slice profile over those layers (partial volume). All series of a patient lie on
one grid, those after the first displaced as the profile's misregistration says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as functional
from torch import Tensor

from omnisyn.geometry import Geometry
from omnisyn.simulate.acquisition import Acquisition, signal_table
from omnisyn.simulate.anatomy import LabelledHead, Stage, build_anatomy, draw_anatomy
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.protocols import (
    Scanner,
    SiteProfile,
    draw,
    draw_acquisition,
    draw_count,
    draw_scanner,
    repeat_with_agent,
)
from omnisyn.simulate.rendering import Displacement, mix, slice_profile
from omnisyn.simulate.scanner import (
    Exam,
    Series,
    acquire,
    draw_exam,
    draw_series,
    exam_maps,
)
from omnisyn.simulate.tissues import AIR, TissueValues, draw_tissues, tissue_index
from omnisyn.studies.pixels import pixel_average

# The anatomy is built of layers of about this height (slices of 4-6 mm hold three), and of more
# samples than pixels in the plane: an edge then fills its pixels by degrees, as real ones do.
_LAYER_MM = 1.7
_SAMPLES_PER_PIXEL = 1.4
_BRAIN_TISSUES = (
    "white_matter",
    "grey_matter",
    "thalamus",
    "putamen",
    "caudate",
    "pallidum",
    "dentate_red_nucleus_SN",
    "cerebellar_GM",
    "cerebellar_WM",
    "brainstem",
    "oedema_brain",
    "MS_lesion",
    "glioma_enhancing",
    "glioma_necrosis",
    "metastasis_brain",
)
_FLUID_TISSUES = ("CSF", "choroid_plexus")


class AnatomyModel(Protocol):
    """Where heads come from: random numbers apart from the label map they lead to."""

    @property
    def name(self) -> str:
        """What the heads are, for logs and weight cards."""
        ...

    @property
    def credits(self) -> tuple[str, ...]:
        """Whom to thank for them."""
        ...

    def draw(self, generator: torch.Generator) -> Any:
        """Every random number of one head."""
        ...

    def build(self, parameters: Any, grid: Grid, device: torch.device) -> LabelledHead:
        """The head on a grid."""
        ...


class ProceduralAnatomy:
    """The procedural head and neck with a tumour, of ``simulate.anatomy``."""

    name = "procedural heads"
    credits = ()

    def draw(self, generator: torch.Generator) -> Any:
        """See AnatomyModel."""
        return draw_anatomy(generator)

    def build(self, parameters: Any, grid: Grid, device: torch.device) -> LabelledHead:
        """See AnatomyModel."""
        return build_anatomy(parameters, grid, device)


@dataclass(frozen=True)
class FieldOfView:
    """The image grid in the head's frame, and how finely the anatomy is sampled in it.

    ``sublayers`` fine layers per slice, ``samples`` along the image's rows and columns.
    """

    grid: Grid
    sublayers: int
    samples: int
    thickness_mm: float

    @property
    def fine(self) -> Grid:
        """The grid that the anatomy is built on."""
        slices, rows, columns = self.grid.shape
        height, down, across = self.grid.spacing_mm
        return Grid(
            shape=(slices * self.sublayers, self.samples, self.samples),
            spacing_mm=(
                height / self.sublayers,
                down * rows / self.samples,
                across * columns / self.samples,
            ),
            centre_mm=self.grid.centre_mm,
            tilt_degrees=self.grid.tilt_degrees,
        )

    @property
    def geometry(self) -> Geometry:
        """World coordinates (RAS+) with the origin at the head's own."""
        halves = [
            0.5 * (size - 1) * spacing
            for size, spacing in zip(self.grid.shape, self.grid.spacing_mm, strict=True)
        ]
        left, back, top = self.grid.centre_mm
        first = (halves[2] - left, halves[1] - back, top - halves[0])
        return Geometry.axial(self.grid.shape, self.grid.spacing_mm, first)


@dataclass(frozen=True)
class ExamPlan:
    """One visit to one scanner, all random numbers drawn."""

    scanner: Scanner
    tissues: TissueValues
    exam: Exam
    acquisitions: Mapping[str, Acquisition]
    series: Mapping[str, Series]
    brain_extracted: bool
    sinuses_kept: bool = False


@dataclass(frozen=True)
class SimulatedPatient:
    """A patient's SIMULATED images and what is known of them.

    ``images`` are a.u., float32 ``[slices, rows, columns]`` on the model grid; ``tissues`` uint8
    (indices of TISSUES), ``tumour``, ``nodes`` and ``head`` bool, all of that shape.
    """

    images: Mapping[str, Tensor]
    tissues: Tensor
    tumour: Tensor
    nodes: Tensor
    head: Tensor
    stage: Stage | None
    geometry: Geometry
    plan: ExamPlan

    @property
    def lesions(self) -> Tensor:
        """Bool, lesions of the white matter; the procedural head has none."""
        return (self.tissues == tissue_index("MS_lesion")) & self.head

    @property
    def acquisitions(self) -> Mapping[str, Acquisition]:
        """The parameters of every series."""
        return self.plan.acquisitions


def draw_field_of_view(profile: SiteProfile, generator: torch.Generator) -> FieldOfView:
    """Place and size of a patient's images."""
    thickness = draw(profile.slice_thickness_mm, generator)
    spacing = thickness + draw(profile.gap_mm, generator)
    pixel = draw(profile.field_of_view_mm, generator) / profile.matrix
    tilt = profile.tilt_degrees
    grid = Grid(
        shape=(draw_count(profile.slices, generator), profile.matrix, profile.matrix),
        spacing_mm=(spacing, pixel, pixel),
        centre_mm=(
            draw((-4.0, 4.0), generator),
            draw((4.0, 14.0), generator),
            draw(profile.centre_mm, generator),
        ),
        tilt_degrees=(
            draw((-tilt, tilt), generator),
            draw((-tilt / 3, tilt / 3), generator),
            draw((-tilt / 3, tilt / 3), generator),
        ),
    )
    return FieldOfView(
        grid=grid,
        sublayers=max(2, round(spacing / _LAYER_MM)),
        samples=round(_SAMPLES_PER_PIXEL * profile.matrix),
        thickness_mm=thickness,
    )


def draw_exam_plan(
    profile: SiteProfile,
    view: FieldOfView,
    generator: torch.Generator,
    contrasts: Sequence[str] | None = None,
) -> ExamPlan:
    """Draw scanner, tissues, effects and protocols of one visit.

    Every contrast has its own stream of random numbers: asking for fewer does not change the
    others. KeyError where the scanner does not make one of ``contrasts``.
    """
    scanner = draw_scanner(profile, generator)
    tissues = draw_tissues(child(generator), scanner.field_tesla, profile.effects.blood_agent)
    extent = [
        size * spacing for size, spacing in zip(view.grid.shape, view.grid.spacing_mm, strict=True)
    ]
    exam = draw_exam(profile.effects, extent, child(generator))
    extracted = draw((0.0, 1.0), generator) < profile.brain_extracted
    # Drawn only where it can be true: a profile without sinuses keeps its patients as they are.
    sinuses = profile.sinuses_kept > 0 and draw((0.0, 1.0), generator) < profile.sinuses_kept
    acquisitions, series = {}, {}
    streams = {name: child(generator) for name in profile.contrasts}
    for name in contrasts if contrasts is not None else profile.contrasts:
        stream = streams[name]
        acquisitions[name] = draw_acquisition(name, scanner, view.thickness_mm, stream)
        series[name] = draw_series(profile.effects, view.grid.shape[1], stream, first=name == "T1")
    if {"T1", "T1c"} <= set(acquisitions) and scanner.repeats_t1_with_agent:
        acquisitions["T1c"] = repeat_with_agent(acquisitions["T1"], acquisitions["T1c"])
        series["T1c"] = replace(series["T1c"], thickness_share=series["T1"].thickness_share)
    return ExamPlan(scanner, tissues, exam, acquisitions, series, extracted, sinuses)


def alike(plan: ExamPlan) -> ExamPlan:
    """The same visit with all series where the first lies, and with its measured lines."""
    first = next(iter(plan.series.values()))
    series = {
        name: replace(each, displacement=Displacement(), readout=first.readout, phase=first.phase)
        for name, each in plan.series.items()
    }
    return replace(plan, series=series)


def scan(
    anatomy: LabelledHead, view: FieldOfView, plan: ExamPlan, device: torch.device | str = "cpu"
) -> SimulatedPatient:
    """Render every series of the plan from an anatomy on ``view.fine``."""
    labels = anatomy.labels.to(device)
    sublayers = view.sublayers
    spacing, side = view.grid.spacing_mm, view.grid.shape[1]
    pixels = pixel_average(side, view.samples)
    nearest = ((torch.arange(side) + 0.5) * (view.samples / side)).long().to(labels.device)
    middle = labels[sublayers // 2 :: sublayers][:, nearest[:, None], nearest]
    maps = exam_maps(plan.exam, middle, spacing, view.grid.centre_mm)
    depths = (torch.arange(len(labels)) + 0.5) * (spacing[0] / sublayers)
    images = {}
    kept = _brain(middle, spacing, plan.sinuses_kept) if plan.brain_extracted else None
    for name, acquisition in plan.acquisitions.items():
        series = plan.series[name]
        table = signal_table(acquisition, plan.tissues, plan.exam.flow, depths)
        thickness = series.thickness_share * view.thickness_mm
        profile = slice_profile(sublayers, spacing[0], thickness, series.displacement.slices_mm)
        mixture = mix(labels, table, sublayers, profile, pixels)
        image = acquire(mixture, acquisition, series, maps, spacing)
        images[name] = image if kept is None else image * kept
    head = kept if kept is not None else _filled(middle != tissue_index(AIR))
    return SimulatedPatient(
        images=images,
        tissues=middle.contiguous(),
        tumour=_majority(anatomy.tumour.to(device), sublayers, pixels) & head,
        nodes=_majority(anatomy.nodes.to(device), sublayers, pixels) & head,
        head=head,
        stage=anatomy.stage,
        geometry=view.geometry,
        plan=plan,
    )


def simulate_patient(
    profile: SiteProfile,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    *,
    anatomy: AnatomyModel | None = None,
    contrasts: Sequence[str] | None = None,
) -> SimulatedPatient:
    """One patient of a site: anatomy, tissues and scans from ``generator`` (a CPU generator)."""
    model = anatomy if anatomy is not None else ProceduralAnatomy()
    view = draw_field_of_view(profile, child(generator))
    parameters = model.draw(child(generator))
    plan = draw_exam_plan(profile, view, child(generator), contrasts)
    return scan(model.build(parameters, view.fine, torch.device(device)), view, plan, device)


def child(generator: torch.Generator) -> torch.Generator:
    """A generator of its own stream, seeded from ``generator``."""
    seed = int(torch.randint(0, 2**31, (), generator=generator))
    return torch.Generator().manual_seed(seed)


def _majority(mask: Tensor, sublayers: int, pixels: Tensor) -> Tensor:
    layers = mask.reshape(-1, sublayers, *mask.shape[1:])
    pixels = pixels.to(mask.device)
    share: Tensor = pixels @ layers.float().mean(dim=1) @ pixels.T
    return share > 0.5


def _filled(body: Tensor) -> Tensor:
    """The body with its cavities: pixels with body on all four sides in their slice."""
    sides = []
    for axis in (1, 2):
        for flipped in (False, True):
            seen = body.flip(axis) if flipped else body
            seen = torch.cummax(seen.to(torch.uint8), dim=axis).values
            sides.append((seen.flip(axis) if flipped else seen).bool())
    return sides[0] & sides[1] & sides[2] & sides[3]


def _brain(labels: Tensor, spacing_mm: tuple[float, float, float], sinuses: bool) -> Tensor:
    """What a brain extraction keeps: brain, fluid in it or within 5 mm, vessels and folds between.

    With ``sinuses`` the veins there as well.
    """
    brain = torch.isin(labels, _values(_BRAIN_TISSUES, labels.device))
    beside = (*_FLUID_TISSUES, *(("blood_venous", "dura") if sinuses else ()))
    fluid = torch.isin(labels, _values(beside, labels.device))
    # Ventricles and cavities may be wider than twice the reach, and are no outside for all that.
    near = _dilated(brain, max(1, round(5.0 / spacing_mm[1]))) | _filled(brain)
    kept = brain | (fluid & near)
    reach = max(1, round(2.5 / spacing_mm[1]))
    return ~_dilated(~_dilated(kept, reach), reach)


def _dilated(mask: Tensor, pixels: int) -> Tensor:
    """A mask grown by a square of so many pixels, slice by slice."""
    grown = functional.max_pool2d(mask[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[
        :, 0
    ]
    return grown > 0


def _values(names: Sequence[str], device: torch.device) -> Tensor:
    return torch.tensor([tissue_index(name) for name in names], dtype=torch.uint8, device=device)
