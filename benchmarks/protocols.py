"""Whether a target that is asked for by its times comes out as those times make it.

SIMULATED patients of external profiles, which no training draws, are scanned under protocols with
times that a training with `any_protocol` holds out (`omnisyn.simulate.any_protocol`). The target is
asked for by the text of each, and every image is held against the truth of every protocol. Beside
it stand the canonical vector, which knows no protocol, and the truths among themselves: how far
apart protocols are.
"""

import argparse
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.patients import Slices
from benchmarks.table import Row, print_matrix, print_table
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.clip import texts
from omnisyn.simulate.acquisition import Acquisition
from omnisyn.simulate.anatomy import LabelledHead
from omnisyn.simulate.any_protocol import HELD_OUT, ranges_of
from omnisyn.simulate.cohort import load_cohort, patient_generator
from omnisyn.simulate.patient import (
    ExamPlan,
    FieldOfView,
    ProceduralAnatomy,
    alike,
    child,
    draw_exam_plan,
    draw_field_of_view,
)
from omnisyn.simulate.sweep import scan_under
from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.normalize import head_mask, head_slices

# Every contrast of the sweeps by spin echoes, at 1.5 and 3 T; the site's name is nobody else's.
_PROFILES, _SITE, _SEED = ("external12", "external13"), "sim-protocols", 0
_SLICES = 8
_SHORT = {"echo_time_ms": "TE", "repetition_time_ms": "TR", "inversion_time_ms": "TI"}
_DOTS_PER_INCH = 110


@dataclass(frozen=True)
class Sweep:
    """A target, the source it is made from, and the time that is asked for."""

    source: str
    target: str
    time: str

    @property
    def name(self) -> str:
        """For titles."""
        return f"{self.source} → {self.target} by {_SHORT[self.time]}"


SWEEPS = (
    Sweep("T1", "T2", "echo_time_ms"),
    Sweep("T1", "T2", "repetition_time_ms"),
    Sweep("T1", "FLAIR", "echo_time_ms"),
    Sweep("T2", "PD", "echo_time_ms"),
    Sweep("T2", "T1", "repetition_time_ms"),
)


class Model(Protocol):
    """What of a `Synthesizer` is asked here."""

    def on_pixels(self, rows_mm: float, columns_mm: float) -> "Model":
        """For slices with such pixels."""

    def asking(self, acquisition: texts.Acquisition) -> "Model":
        """For targets that are acquired so."""

    def synthesize_slices(
        self, sources: Mapping[str, Slices], targets: Sequence[str]
    ) -> Mapping[str, Slices]:
        """The targets."""


@dataclass(frozen=True)
class Patient:
    """A SIMULATED patient who can be scanned under any protocol."""

    head: LabelledHead
    view: FieldOfView
    plan: ExamPlan


@dataclass(frozen=True)
class Swept:
    """A patient's images of one sweep, some slices each; `values` are what was asked, in ms."""

    values: tuple[float, ...]
    source: Slices
    truths: Sequence[Slices]
    asked: Sequence[Slices]
    canonical: Slices
    mask: NDArray[np.bool_]

    def errors(self, images: Sequence[Slices]) -> NDArray[np.float64]:
        """[images, truths] mean absolute error in the head."""
        return np.array(
            [[np.abs(image - truth)[self.mask].mean() for truth in self.truths] for image in images]
        )


def main(arguments: Sequence[str]) -> None:
    """Print the tables, and draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks protocols", description=__doc__)
    parser.add_argument("--weights", help="name, path or hub address; default: the shipped ones")
    parser.add_argument("--patients", type=int, default=4, help="simulated patients")
    parser.add_argument("--picture", type=Path, help="PNG file for the first sweep of the first")
    chosen = parser.parse_args(arguments)
    model = Synthesizer.load(chosen.weights)
    patients = list(drawn_patients(chosen.patients))
    found = {sweep: [swept(model, patient, sweep) for patient in patients] for sweep in SWEEPS}
    for sweep, several in found.items():
        print_errors(sweep, several)
    print_table(
        f"SIMULATED patients ({len(patients)}): the nearest truth is that of the protocol asked",
        [summary(sweep, several) for sweep, several in found.items()],
    )
    if chosen.picture is not None:
        chosen.picture.write_bytes(picture(SWEEPS[0], found[SWEEPS[0]][0]))


def drawn_patients(count: int) -> Iterator[Patient]:
    """Patients whose series lie alike, so that what differs between images is their contrast."""
    profiles, anatomy = load_cohort("hospitals").profiles, ProceduralAnatomy()
    for number in range(count):
        profile = profiles[_PROFILES[number % len(_PROFILES)]]
        generator = patient_generator(_SEED, _SITE, number)
        view = draw_field_of_view(profile, child(generator))
        head = anatomy.build(anatomy.draw(child(generator)), view.fine, torch.device("cpu"))
        yield Patient(head, view, alike(draw_exam_plan(profile, view, child(generator))))


def swept(model: Model, patient: Patient, sweep: Sweep) -> Swept:
    """The images of one patient under every held-out value of the sweep's time."""
    own = patient.plan.acquisitions[sweep.target]
    values = held_out_values(own, sweep.time)
    protocols = [replace(own, **{sweep.time: value}) for value in values]
    scanned = patient.head, patient.view, patient.plan
    (source,) = scan_under(*scanned, [patient.plan.acquisitions[sweep.source]])
    truths = scan_under(*scanned, protocols)
    mask = head_mask([source, *truths])
    chosen = evenly_thinned(head_slices(mask).tolist(), _SLICES)
    _, rows_mm, columns_mm = patient.view.geometry.slice_spacing
    model = model.on_pixels(rows_mm, columns_mm)

    def made(by: Model) -> Slices:
        return by.synthesize_slices({sweep.source: source[chosen]}, [sweep.target])[sweep.target]

    return Swept(
        values=values,
        source=source[chosen],
        truths=[truth[chosen] for truth in truths],
        asked=[made(model.asking(facts(protocol))) for protocol in protocols],
        canonical=made(model),
        mask=mask[chosen],
    )


def held_out_values(acquisition: Acquisition, time: str) -> tuple[float, ...]:
    """The middles of the bands that are held out of what this sequence may have, in ms."""
    low, high = getattr(ranges_of(acquisition), time)
    bands = HELD_OUT[acquisition.contrast][time]
    return tuple(sum(band) / 2 for band in bands if low < sum(band) / 2 < high)


def facts(acquisition: Acquisition) -> texts.Acquisition:
    """What a text says of a simulated series."""
    return texts.Acquisition(
        fat_suppressed=acquisition.fat_suppressed,
        repetition_time_ms=acquisition.repetition_time_ms,
        echo_time_ms=acquisition.echo_time_ms,
        inversion_time_ms=acquisition.inversion_time_ms,
        field_tesla=acquisition.field_tesla,
    )


def followed(found: Swept) -> float:
    """How far the images change with what is asked, of how far the truth does: 1 all the way, 0 not
    at all, or elsewhere. The slope of the one on the other, each less its mean over the protocols,
    in the head."""
    asked, truths = (
        np.stack([image[found.mask] for image in images]) for images in (found.asked, found.truths)
    )
    change, of_truth = asked - asked.mean(axis=0), truths - truths.mean(axis=0)
    return float((change * of_truth).sum() / (of_truth**2).sum())


def nearest_share(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """[asked] how often the truth nearest to an image [patients, asked, truths] is that asked."""
    right: NDArray[np.bool_] = errors.argmin(axis=2) == np.arange(errors.shape[1])
    return right.mean(axis=0)


def print_errors(sweep: Sweep, found: Sequence[Swept]) -> None:
    """The matrix of one sweep, mean over its patients."""
    names = [f"{_SHORT[sweep.time]} {value:g} ms" for value in found[0].values]
    asked, canonical, truths = _errors(found)
    rows = {
        **{f"asked for {name}": row for name, row in zip(names, _lines(asked), strict=True)},
        "canonical vector": _lines(canonical).mean(axis=0),
        **{f"truth of {name}": row for name, row in zip(names, _lines(truths), strict=True)},
    }
    print_matrix(
        f"SIMULATED: {sweep.name}, mean absolute error in the head, {len(found)} patients",
        [*(f"truth of {name}" for name in names), "nearest is the asked"],
        rows,
    )


def summary(sweep: Sweep, found: Sequence[Swept]) -> Row:
    """How often a sweep's protocols are met, and the errors behind it."""
    asked, canonical, truths = _errors(found)
    own = np.eye(asked.shape[1], dtype=bool)
    return Row(
        sweep.name,
        float(nearest_share(asked).mean()),
        "of the images",
        f"canonical vector {nearest_share(canonical).mean():.2g}; error against the truth asked "
        f"{asked[:, own].mean():.4f}, against the others {asked[:, ~own].mean():.4f}; "
        f"canonical {canonical[:, own].mean():.4f}; truths apart {truths[:, ~own].mean():.4f}; "
        f"followed {np.mean([followed(each) for each in found]):.0%} of the way",
    )


def picture(sweep: Sweep, found: Swept) -> bytes:
    """The middle slice under every protocol, truth above synthesis, as the bytes of a PNG file.

    Before them the source, and what the canonical vector makes of it.
    """
    times = [f"{_SHORT[sweep.time]} {value:g} ms" for value in found.values]
    rows = (
        {f"source, {sweep.source}": found.source}
        | {f"truth, {time}": truth for time, truth in zip(times, found.truths, strict=True)},
        {"canonical vector": found.canonical}
        | {f"asked for {time}": asked for time, asked in zip(times, found.asked, strict=True)},
    )
    canvas = Figure(figsize=(2.2 * len(rows[0]), 5.2), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(canvas)
    for panels, images in zip(canvas.subplots(2, len(rows[0])), rows, strict=True):
        for panel, (title, slices) in zip(panels, images.items(), strict=True):
            middle = slices[len(slices) // 2]
            panel.imshow(middle, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
            panel.set_axis_off()
            panel.set_title(title, fontsize=8.5)
    canvas.suptitle(
        f"SIMULATED patient: {sweep.name}, times that any_protocol holds out", fontsize=9
    )
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": "omnisyn"})
    return stream.getvalue()


def _errors(found: Sequence[Swept]) -> tuple[NDArray[np.float64], ...]:
    """Asked, canonical (the same whatever is asked) and true images: [patients, asked, truths]."""
    return (
        np.array([each.errors(each.asked) for each in found]),
        np.array([each.errors([each.canonical] * len(each.values)) for each in found]),
        np.array([each.errors(each.truths) for each in found]),
    )


def _lines(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """[asked, truths + 1] mean over the patients, and behind it the share of nearest truths."""
    return np.column_stack([errors.mean(axis=0), nearest_share(errors)])
