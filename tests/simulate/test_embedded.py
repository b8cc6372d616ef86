from functools import partial

import pytest

from omnisyn.errors import InputError
from omnisyn.simulate import embedded
from omnisyn.simulate.cohort import simulate_cohort


@pytest.fixture(autouse=True)
def small(monkeypatch, small_demo):
    monkeypatch.setattr(embedded, "load_cohort", lambda name: {"demo": small_demo}[name])


@pytest.fixture
def quick(monkeypatch, ellipsoids):
    """One patient of ellipsoids a site; counts how often anything is simulated."""
    calls = []

    def simulate(cohort, root, *, sites, progress):
        calls.append(tuple(sites))
        return simulate_cohort(
            cohort, root, sites=sites, patients=1, anatomy=ellipsoids, progress=progress
        )

    monkeypatch.setattr(embedded, "simulate_cohort", simulate)
    return calls


def test_a_site_is_simulated_once_and_found_again(quick, tmp_path):
    root = embedded.embedded_root(["sim-external2"], tmp_path)
    assert root.site("sim-external2").settings.simulated
    again = embedded.embedded_root(["sim-external2"], tmp_path)
    assert again.path == root.path
    assert quick == [("sim-external2",)]
    both = embedded.embedded_root(["external"], tmp_path)
    assert quick[1:] == [("sim-external1",)]
    assert set(both.names()) == {"sim-external1", "sim-external2"}


def test_the_public_dataset_is_never_taken_from_the_simulation(quick, tmp_path):
    with pytest.raises(InputError, match="--site sim-external2"):
        embedded.embedded_root(["external2"], tmp_path)
    assert quick == []


def test_unknown_sites_are_refused_with_the_known_ones(quick, tmp_path):
    with pytest.raises(InputError, match="sim-internal"):
        embedded.embedded_root(["sim-external7"], tmp_path)
    with pytest.raises(InputError, match="train"):
        embedded.embedded_root(["train"], tmp_path)


def test_a_site_that_another_process_finished_first_is_taken(monkeypatch, ellipsoids, tmp_path):
    small = partial(simulate_cohort, patients=1, anatomy=ellipsoids)

    def overtaken(cohort, root, *, sites, progress):
        small(cohort, root, sites=sites)
        return small(cohort, root, sites=sites)

    monkeypatch.setattr(embedded, "simulate_cohort", overtaken)
    root = embedded.embedded_root(["sim-internal"], tmp_path)
    assert root.names() == ("sim-internal",)


def test_a_fault_of_the_simulation_is_not_taken_for_another_process(monkeypatch, tmp_path):
    def faulty(cohort, root, *, sites, progress):
        raise InputError("broken")

    monkeypatch.setattr(embedded, "simulate_cohort", faulty)
    with pytest.raises(InputError, match="broken"):
        embedded.embedded_root(["sim-internal"], tmp_path)


def test_the_fingerprint_is_ten_digits_and_steady():
    assert len(embedded.fingerprint()) == 10
    assert embedded.fingerprint() == embedded.fingerprint()
