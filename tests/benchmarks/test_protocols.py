from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import protocols
from benchmarks.protocols import (
    SWEEPS,
    Patient,
    Sweep,
    drawn_patients,
    followed,
    held_out_values,
    main,
    nearest_share,
    print_errors,
    summary,
    swept,
)
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.clip import texts
from omnisyn.simulate.anatomy import LabelledHead
from omnisyn.simulate.any_protocol import is_held_out
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.patient import alike, draw_exam_plan, draw_field_of_view
from omnisyn.simulate.sweep import scan_under
from omnisyn.simulate.tissues import tissue_index

BY_ECHO = Sweep("T1", "T2", "echo_time_ms")
# (tissue, radius in parts of the field): later discs lie over earlier ones.
DISCS = (("muscle", 0.4), ("grey_matter", 0.33), ("white_matter", 0.25), ("CSF", 0.12))


@pytest.fixture(scope="module")
def patient():
    """A head of nested discs, a little larger from slice to slice."""
    profile = load_cohort("hospitals").profiles["external13"]
    small = {"matrix": 48, "slices": (6, 6), "tilt_degrees": 0.0, "brain_extracted": 0.0}
    profile = profile.model_copy(update=small)
    generator = torch.Generator().manual_seed(2)
    view = draw_field_of_view(profile, generator)
    layers, rows, columns = view.fine.shape
    down, across = torch.meshgrid(
        torch.linspace(-0.5, 0.5, rows), torch.linspace(-0.5, 0.5, columns), indexing="ij"
    )
    growing = torch.linspace(0.9, 1.1, layers)[:, None, None]
    labels = torch.zeros(view.fine.shape, dtype=torch.uint8)
    for name, radius in DISCS:
        labels[torch.hypot(down, across) < radius * growing] = tissue_index(name)
    nothing = torch.zeros_like(labels, dtype=torch.bool)
    head = LabelledHead(labels, nothing, nothing, None, view.fine)
    return Patient(head, view, alike(draw_exam_plan(profile, view, generator)))


@pytest.fixture(scope="module")
def a_head():
    """The first of the patients that the benchmark asks for."""
    return next(drawn_patients(1))


@dataclass(frozen=True)
class Physicist:
    """Gives the truth of what it is asked for; with `deaf` always that of the plan."""

    patient: Patient
    deaf: bool = False
    asked: texts.Acquisition | None = None

    def on_pixels(self, rows_mm, columns_mm):
        assert (rows_mm, columns_mm) == self.patient.view.geometry.slice_spacing[1:]
        return self

    def asking(self, acquisition):
        return replace(self, asked=acquisition)

    def synthesize_slices(self, sources, targets):
        ((source, shown),) = sources.items()
        (target,) = targets
        plan = self.patient.plan
        acquisition = plan.acquisitions[target]
        if self.asked is not None and not self.deaf:
            assert self.asked.field_tesla == acquisition.field_tesla
            assert self.asked.fat_suppressed == acquisition.fat_suppressed
            acquisition = replace(
                acquisition,
                repetition_time_ms=self.asked.repetition_time_ms,
                echo_time_ms=self.asked.echo_time_ms,
                inversion_time_ms=self.asked.inversion_time_ms,
            )
        whole, truth = (
            scan_under(self.patient.head, self.patient.view, plan, [each])[0]
            for each in (plan.acquisitions[source], acquisition)
        )
        places = [int(np.abs(whole - each).max(axis=(1, 2)).argmin()) for each in shown]
        return {target: truth[places]}


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_a_model_that_knows_the_physics_meets_every_protocol(patient, sweep):
    found = swept(Physicist(patient), patient, sweep)
    errors = found.errors(found.asked)
    assert len(errors) >= 2
    np.testing.assert_array_equal(errors, found.errors(found.truths))
    assert not errors.diagonal().any()
    assert errors[~np.eye(len(errors), dtype=bool)].min() > 0.003
    assert nearest_share(errors[None]).tolist() == [1] * len(errors)
    assert followed(found) == pytest.approx(1)
    halfway = [(image + found.canonical) / 2 for image in found.asked]
    assert followed(replace(found, asked=halfway)) == pytest.approx(0.5)


def test_a_model_that_ignores_the_protocol_is_no_better_than_the_canonical_vector(patient):
    found = swept(Physicist(patient, deaf=True), patient, BY_ECHO)
    errors = found.errors(found.asked)
    np.testing.assert_array_equal(errors, found.errors([found.canonical] * len(errors)))
    assert nearest_share(errors[None]).mean() == pytest.approx(1 / len(errors))
    assert followed(found) == pytest.approx(0, abs=1e-6)
    assert summary(BY_ECHO, [found]).value == pytest.approx(1 / len(errors))


def test_errors_are_taken_in_the_head(patient):
    found = swept(Physicist(patient), patient, BY_ECHO)
    wrong = [truth + 0.25 * ~found.mask for truth in found.truths]
    np.testing.assert_allclose(found.errors(wrong), found.errors(found.truths), atol=1e-7)
    darker = [truth - 0.125 * found.mask for truth in found.truths]
    assert found.errors(darker).diagonal() == pytest.approx(0.125)


def test_nearest_truths_are_counted_over_patients():
    first = np.array([[0.1, 0.2], [0.1, 0.2]])
    second = np.array([[0.1, 0.2], [0.3, 0.2]])
    assert nearest_share(np.array([first, second])).tolist() == [1.0, 0.5]


def test_only_times_are_asked_for_that_training_never_drew(patient):
    for sweep in SWEEPS:
        own = patient.plan.acquisitions[sweep.target]
        values = held_out_values(own, sweep.time)
        for value in values:
            assert is_held_out(replace(own, **{sweep.time: value}))
    t2 = patient.plan.acquisitions["T2"]
    assert held_out_values(t2, "echo_time_ms") == (58.5, 90.0, 132.5, 164.0)
    # The band of a T1 by inversion recovery is none of a spin echo's.
    t1 = patient.plan.acquisitions["T1"]
    assert held_out_values(t1, "repetition_time_ms") == (420.0, 550.0, 890.0)


def test_the_matrix_has_asked_canonical_and_true_rows(patient, capsys):
    print_errors(BY_ECHO, [swept(Physicist(patient), patient, BY_ECHO)])
    lines = capsys.readouterr().out.splitlines()
    (title,) = (line for line in lines if line.startswith("### "))
    assert title.startswith("### SIMULATED: T1 → T2 by TE")
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert [row[0] for row in rows[:2]] == ["asked for TE 58.5 ms", "asked for TE 90 ms"]
    assert rows[4][0] == "canonical vector"
    assert [rows[0][1], rows[1][2], rows[5][1]] == ["0", "0", "0"]
    assert [row[-1] for row in rows] == ["1"] * 4 + ["0.25"] + ["1"] * 4


def test_tables_and_picture_are_of_the_model_that_is_named(patient, tmp_path, monkeypatch, capsys):
    loaded = []

    def load(weights):
        loaded.append(weights)
        return Physicist(patient)

    monkeypatch.setattr(protocols.Synthesizer, "load", load)
    monkeypatch.setattr(protocols, "drawn_patients", lambda count: [patient] * count)
    out = tmp_path / "sweep.png"
    main(["--weights", "mine", "--patients", "2", "--picture", str(out)])
    assert loaded == ["mine"]
    printed = capsys.readouterr().out
    assert printed.count("### SIMULATED") == len(SWEEPS) + 1
    assert "2 patients" in printed
    assert sum(
        line.endswith("|") and "| of the images |" in line for line in printed.splitlines()
    ) == len(SWEEPS)
    with Image.open(out) as image:
        assert image.size[0] > image.size[1] > 300


@pytest.mark.parametrize(
    "sweep", [BY_ECHO, Sweep("T2", "T1", "repetition_time_ms")], ids=lambda sweep: sweep.name
)
def test_the_shipped_weights_heed_times_that_training_never_drew(sweep, a_head, monkeypatch):
    monkeypatch.setattr(protocols, "_SLICES", 4)
    found = swept(Synthesizer.load(), a_head, sweep)
    asked, own = found.errors(found.asked), np.eye(len(found.values), dtype=bool)
    by_name = found.errors([found.canonical] * len(found.values))
    assert asked[own].mean() < 0.95 * asked[~own].mean()
    assert asked[own].mean() < 0.95 * by_name[own].mean()
    # Not by one vector for all times that happens to be good.
    assert asked[own].mean() < asked.mean(axis=1).min()
