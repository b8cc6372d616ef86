from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from omnisyn.inference import uncertainty
from omnisyn.inference.uncertainty import ErrorStatistics, ErrorWeights, Slices

NAMES = ("T1", "T1c", "T2", "FLAIR")


@pytest.fixture
def head() -> Slices:
    """A disc of 0.5 in air, (2, 48, 48)."""
    rows, columns = np.mgrid[:48, :48] - 23.5
    disc = np.where(rows**2 + columns**2 < 18**2, 0.5, 0).astype(np.float32)
    return np.stack([disc, disc])


def echo(sources: Mapping[str, Slices], targets: Sequence[str]) -> dict[str, Slices]:
    """Gives back the mean of its sources."""
    mean = np.mean(list(sources.values()), axis=0, dtype=np.float32)
    return dict.fromkeys(targets, mean)


def test_the_gradient_lies_at_the_edge(head: Slices) -> None:
    found = uncertainty.gradient(head)
    assert found[0, 24, 6] > 5 * found[0, 24, 24]
    assert found[0, 24, 24] == pytest.approx(0, abs=1e-4)


def test_a_model_that_does_not_see_the_position_is_sure_of_it(head: Slices) -> None:
    sure = uncertainty.turned(echo, {"T1": head}, echo({"T1": head}, ["T2"]))["T2"]
    ramp = np.broadcast_to(np.linspace(0, 0.5, 48, dtype=np.float32), head.shape)

    def place_bound(sources: Mapping[str, Slices], targets: Sequence[str]) -> dict[str, Slices]:
        return {name: slices + ramp for name, slices in echo(sources, targets).items()}

    unsure = uncertainty.turned(place_bound, {"T1": head}, place_bound({"T1": head}, ["T2"]))["T2"]
    assert sure[0, 24, 24] == pytest.approx(0, abs=1e-5)
    # The top of the ramp moves most.
    assert unsure[0, 10, 24] > unsure[0, 24, 24] + 0.01


def test_a_detour_shows_what_does_not_come_out_the_same(head: Slices) -> None:
    def darker_from_flair(sources: Mapping[str, Slices], targets: Sequence[str]) -> dict:
        factor = 0.6 if "FLAIR" in sources else 1.0
        return {name: factor * slices for name, slices in echo(sources, targets).items()}

    made = darker_from_flair({"T1": head}, ["T2"])
    found = uncertainty.detour(darker_from_flair, {"T1": head}, made, NAMES)["T2"]
    # Two ways, T1c and FLAIR; one of them differs by 0.4 · 0.5.
    assert found[0, 24, 24] == pytest.approx(0.1, abs=1e-4)
    assert not uncertainty.detour(echo, {"T1": head}, made, ("T1", "T2"))["T2"].any()


def test_several_sources_disagree_and_one_cannot(head: Slices) -> None:
    both = {"T1": head, "T1c": 0.6 * head}
    found = uncertainty.disagreement(echo, both, echo(both, ["T2"]))["T2"]
    assert found[0, 24, 24] == pytest.approx(0.1, abs=1e-4)
    alone = uncertainty.disagreement(echo, {"T1": head}, echo({"T1": head}, ["T2"]))["T2"]
    assert not alone.any()


def test_the_map_is_scaled_signs_and_the_air_is_sure(head: Slices) -> None:
    both = {"T1": head, "T1c": 0.6 * head}
    statistics = ErrorStatistics(
        one_source=ErrorWeights(constant=0.05, scale=0),
        several_sources=ErrorWeights(constant=0.05, scale=2),
    )
    made = echo(both, ["T2", "FLAIR"])
    found = uncertainty.expected_errors(echo, both, made, NAMES, statistics)
    assert set(found) == {"T2", "FLAIR"}
    assert found["T2"].dtype == np.float32
    assert found["T2"][0, 24, 24] == pytest.approx(0.05 + 2 * 0.1 / 2, abs=1e-3)
    assert found["T2"][0, 0, 0] < 1e-6
    one = {"T1": head}
    found = uncertainty.expected_errors(echo, one, echo(one, ["T2"]), NAMES, statistics)
    assert found["T2"][0, 24, 24] == pytest.approx(0.05, abs=1e-4)


def test_the_fit_finds_constant_and_scale_and_neither_is_negative() -> None:
    sign = np.random.default_rng(0).exponential(0.1, 4000)
    found = uncertainty.fit_error_weights(sign, 0.02 + 0.5 * sign)
    assert (found.constant, found.scale) == pytest.approx((0.02, 0.5))
    assert uncertainty.fit_error_weights(sign, 0.5 - 0.2 * sign).scale == 0
