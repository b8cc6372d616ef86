import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.simulate.any_protocol import HELD_OUT
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.patient import scan
from omnisyn.simulate.rendering import Displacement
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.slices import SliceSource, SourceClosed
from omnisyn.volumes.sidecar import FACTS


@pytest.fixture
def source(small_cohort, ellipsoids):
    def make(seed=3, **more):
        options = {"pool": 2, "visits": 2, "window": 3, "validation_patients": 2} | more
        return SimulatedSlices(
            small_cohort, batch_size=4, crop=48, seed=seed, anatomy=ellipsoids, **options
        )

    return make


def test_it_is_a_slice_source_that_says_it_is_simulated(source):
    made = source()
    assert isinstance(made, SliceSource)
    assert made.simulated
    assert "SIMULATED" in made.name


def test_a_batch_is_a_pure_function_of_seed_and_step(source):
    forward, backward = (source(visits=1) for _ in range(2))
    steps = (0, 2, 7)
    first = {step: forward.batch(step) for step in steps}
    second = {step: backward.batch(step) for step in reversed(steps)}
    for step in steps:
        assert torch.equal(first[step].images, second[step].images)
        assert first[step].patients == second[step].patients
    assert not torch.equal(first[0].images, first[2].images)
    assert not torch.equal(first[0].images, source(seed=4).batch(0).images)


def test_batches_hold_all_contrasts_of_training_hospitals_in_the_unit_range(source):
    batch = source().batch(0)
    assert batch.images.shape == (4, 6, 48, 48)
    assert batch.images.dtype == torch.float32
    assert float(batch.images.min()) >= 0
    assert 0.5 < float(batch.images.max()) <= 1
    assert bool(batch.present.all())
    assert all(label.startswith("sim-hospital") for label in batch.patients)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_facts_of_the_acquisition_are_those_that_were_simulated(source, monkeypatch, share):
    drawn = []

    def watched(anatomy, view, plan, device):
        drawn.append(plan.acquisitions)
        return scan(anatomy, view, plan, device)

    monkeypatch.setattr("omnisyn.simulate.stream.scan", watched)
    (batch,) = source(validation_patients=1, any_protocol=share).validation()
    for place, name in enumerate(NAMES):
        told = drawn[-1][name]
        times = (told.repetition_time_ms, told.echo_time_ms, told.inversion_time_ms or math.nan)
        expected = (*times, told.field_tesla)
        for facts in batch.acquisition[:, place].tolist():
            assert facts == pytest.approx(expected, nan_ok=True)


def acquired(batch):
    """(contrast, fact, value in ms) of every time in a batch."""
    return [
        (name, fact, value)
        for facts in batch.acquisition.tolist()
        for name, values in zip(NAMES, facts, strict=True)
        for fact, value in zip(FACTS, values, strict=True)
        if fact != "field_tesla"
    ]


def test_no_image_has_times_that_are_held_out(source):
    def held_out(made):
        batches = [*made.validation(), *(made.batch(step) for step in (0, 3))]
        return [
            (name, fact, value)
            for name, fact, value in {each for batch in batches for each in acquired(batch)}
            if any(low < value < high for low, high in HELD_OUT[name].get(fact, ()))
        ]

    # By this profile the T2 has an echo time of 80 to 95 ms.
    assert held_out(source(any_protocol=0.0))
    assert not held_out(source(any_protocol=0.01))
    assert not held_out(source(any_protocol=1.0))


def test_times_drawn_anew_change_the_images_and_follow_from_the_seed(source):
    plain, wide, again = (source(visits=1, any_protocol=share) for share in (0.0, 1.0, 1.0))
    batches = [made.batch(0) for made in (plain, wide, again)]
    assert torch.equal(batches[1].images, batches[2].images)
    assert not torch.equal(batches[0].images, batches[1].images)


def test_without_a_share_nothing_is_drawn_for_it(source, monkeypatch):
    def refused(*_):
        raise AssertionError("drawn")

    expected = source(visits=1).batch(0)
    monkeypatch.setattr("omnisyn.simulate.stream.any_protocols", refused)
    found = source(visits=1, any_protocol=0.0).batch(0)
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.acquisition.nan_to_num(-1), expected.acquisition.nan_to_num(-1))
    with pytest.raises(AssertionError, match="drawn"):
        source(visits=1, any_protocol=0.5).batch(0)


def test_a_share_beyond_one_is_refused(source):
    with pytest.raises(ValueError, match="any_protocol"):
        source(any_protocol=1.5)


def test_a_window_replaces_one_head(source):
    made = source(pool=2, visits=1)
    heads = [
        {
            label.rsplit("-", 1)[0].split("/")[1]
            for step in steps
            for label in made.batch(step).patients
        }
        for steps in (range(3), range(3, 6))
    ]
    assert heads[0] == {"stream-000000", "stream-000001"}
    assert heads[1] == {"stream-000001", "stream-000002"}


def test_validation_patients_are_the_same_for_every_seed_and_never_trained_on(source):
    one, other = source(seed=1).validation(), source(seed=2).validation()
    assert len(one) == 2
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine.images, theirs.images)
        assert len(set(mine.patients)) == 1
        assert "validation" in mine.patients[0]
    assert {batch.patients[0].split("/")[0] for batch in one} == {
        "sim-hospital01",
        "sim-hospital02",
    }


def test_series_are_alike_in_training_and_as_a_hospital_sends_them_in_validation(
    source, monkeypatch
):
    plans = []

    def listening(anatomy, view, plan, device):
        plans.append(dict(plan.series))
        return scan(anatomy, view, plan, device)

    monkeypatch.setattr("omnisyn.simulate.stream.scan", listening)
    made = source(visits=1, validation_patients=1)
    made.batch(0)
    assert plans
    for plan in plans:
        assert all(found.displacement == Displacement() for found in plan.values())
        assert len({(found.readout, found.phase) for found in plan.values()}) == 1
    plans.clear()
    made.validation()
    assert plans
    for plan in plans:
        others = [found for name, found in plan.items() if name != "T1"]
        assert plan["T1"].displacement == Displacement()
        assert all(found.displacement != Displacement() for found in others)
        assert all(found.readout != plan["T1"].readout for found in others)


class SlowAnatomy:
    """A head whose building takes minutes, in small steps."""

    name = "slow"
    credits = ()

    def __init__(self, inner):
        self.inner = inner
        self.begun = threading.Event()

    def draw(self, generator):
        return self.inner.draw(generator)

    def build(self, parameters, grid, device):
        self.begun.set()
        time.sleep(0.5)
        return self.inner.build(parameters, grid, device)


@pytest.mark.parametrize("asked", ["batch", "validation"])
def test_a_closed_source_gives_up_the_head_in_the_making(small_cohort, ellipsoids, asked):
    anatomy = SlowAnatomy(ellipsoids)
    made = SimulatedSlices(small_cohort, batch_size=1, crop=48, seed=0, anatomy=anatomy)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(made.batch, 0) if asked == "batch" else pool.submit(made.validation)
        assert anatomy.begun.wait(60)
        start = time.monotonic()
        made.close()
        with pytest.raises(SourceClosed):
            waiting.result(60)
        # What a process waits for at its end, too.
        made._worker.shutdown(wait=True)
    assert time.monotonic() - start < 5


def test_a_cohort_without_training_hospitals_is_refused():
    with pytest.raises(UsageError, match="train"):
        SimulatedSlices(load_cohort("demo"), batch_size=2, crop=32, seed=0)


def test_a_run_starts_with_two_heads(source):
    made = source(pool=6, visits=1)
    numbers = {
        label.rsplit("-", 1)[0].split("-")[-1] for s in range(3) for label in made.batch(s).patients
    }
    assert numbers == {"000000", "000001"}
