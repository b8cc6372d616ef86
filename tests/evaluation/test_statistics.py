import math

import numpy as np
import pytest

from omnisyn.evaluation.statistics import gains, summarize


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_mean_and_sample_deviation_over_patients(generator):
    found = summarize([[0.2, 0.4, 0.9]], generator)
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    assert found.count == 3
    assert 0.2 <= found.low < 0.5 < found.high <= 0.9


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    draws = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = summarize([draws.normal(3.0, 1.0, 40)], draws)
        hits += found.low <= 3.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_is_the_same_for_the_same_generator():
    values = [[0.1, 0.5, 0.7, 0.2]]
    one, other = (summarize(values, np.random.default_rng(7)) for _ in range(2))
    assert one == other


def test_a_mean_over_sites_weighs_sites_alike(generator):
    found = summarize([[1.0, 1.0, 1.0, 1.0], [3.0, 3.0]], generator)
    assert found.mean == pytest.approx(2.0)
    assert found.deviation == pytest.approx(math.sqrt(2))
    assert (found.low, found.high) == pytest.approx((2.0, 2.0))
    assert found.count == 6


def test_one_patient_has_neither_deviation_nor_interval(generator):
    found = summarize([[0.4]], generator)
    assert found.mean == 0.4
    assert all(math.isnan(value) for value in (found.deviation, found.low, found.high))


def test_infinite_and_undefined_values_are_left_out_and_counted(generator):
    found = summarize([[20.0, math.inf, 22.0, math.nan]], generator)
    assert found.mean == pytest.approx(21.0)
    assert (found.count, found.infinite, found.undefined) == (2, 1, 1)
    nothing = summarize([[math.inf]], generator)
    assert math.isnan(nothing.mean)
    assert (nothing.count, nothing.infinite) == (0, 1)


def test_no_patients_give_an_undefined_summary(generator):
    assert summarize([], generator).count == 0
    assert math.isnan(summarize([[]], generator).mean)


def test_gains_are_paired_and_two_perfect_images_have_none():
    found = gains([0.9, math.inf, math.inf, 0.5], [0.7, math.inf, 30.0, math.nan])
    assert found[0] == pytest.approx(0.2)
    assert math.isnan(found[1])
    assert found[2] == math.inf
    assert math.isnan(found[3])
