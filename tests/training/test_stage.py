import math

import pytest

from omnisyn.training.recipe import OptimizerSettings
from omnisyn.training.stage import mean, scheduled_rate

COSINE = OptimizerSettings(learning_rate=1.0, final_learning_rate=0.1, warmup_steps=10)


def test_rate_rises_linearly_then_falls_to_the_final_rate() -> None:
    rates = [scheduled_rate(COSINE, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_constant_rate_stays_after_the_warmup() -> None:
    constant = COSINE.model_copy(update={"schedule": "constant"})
    assert {scheduled_rate(constant, step, 110) for step in range(10, 110)} == {1.0}


def test_mean_of_nothing_is_no_number() -> None:
    assert mean([1.0, 2.0]) == 1.5
    assert math.isnan(mean([]))
