import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from omnisyn.errors import UsageError
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.patient import scan
from omnisyn.simulate.rendering import Displacement
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.slices import SliceSource, SourceClosed


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
