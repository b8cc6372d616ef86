import math
from dataclasses import replace

import numpy as np
import pytest

from omnisyn.comparison.results import FailedUnit
from omnisyn.comparison.summary import summarize_comparison
from omnisyn.errors import InputError
from omnisyn.evaluation.controls import BLIND, CONTROLS
from omnisyn.evaluation.results import MODEL, Failure
from tests.comparison.made_up import comparison, constant, nine_arms, site_scores, unit


def summarize(*units, **settings):
    return summarize_comparison(comparison(units, **settings), np.random.default_rng(0))


def standing(findings, name, budget="steps", place=0):
    return next(item for item in findings.places[place].rankings[budget] if item.name == name)


def test_arms_and_controls_stand_in_the_order_of_their_quality():
    findings = summarize(
        unit("small", [site_scores(constant(0.65))]), unit("large", [site_scores(constant(0.75))])
    )
    names = [item.name for item in findings.places[0].rankings["steps"]]
    assert names == ["shifted truth", "large", "oracle LUT", "small", "blind LUT", "copied source"]


def test_seeds_are_averaged_by_patient_and_their_spread_is_told():
    findings = summarize(
        unit("small", [site_scores(constant(0.6, 0.01))], seed=0),
        unit("small", [site_scores(constant(0.7, 0.01))], seed=1),
    )
    found = standing(findings, "small")
    values = [0.65 + 0.01 * number for number in range(6)]
    assert found.mean("ssim_head") == pytest.approx(np.mean(values))
    assert found.quality["ssim_head"].deviation == pytest.approx(np.std(values, ddof=1))
    assert found.quality["ssim_head"].count == 6
    assert found.seeds["ssim_head"] == pytest.approx((0.625, 0.725))
    assert found.deviation_over_seeds("ssim_head") == pytest.approx(0.1 / math.sqrt(2))


def test_one_seed_has_no_spread():
    found = standing(summarize(unit("small", [site_scores(constant(0.6))])), "small")
    assert math.isnan(found.deviation_over_seeds("ssim_head"))


def test_gain_is_over_the_blind_curve_of_the_same_patients():
    scores = site_scores(constant(0.7))
    blind = [row.values["ssim_head"] for row in scores.rows if row.method == BLIND]
    found = standing(summarize(unit("small", [scores])), "small")
    assert found.gain["ssim_head"].mean == pytest.approx(0.7 - np.mean(blind))


def test_the_reference_is_tested_against_nothing_and_the_others_against_it():
    findings = summarize(
        unit("small", [site_scores(constant(0.6))]),
        unit("large", [site_scores(constant(0.62, 0.001))]),
    )
    assert standing(findings, "small").tests == {}
    test = standing(findings, "large").tests["ssim_head"]
    assert test.signed_rank.p == test.holm == 2 / 64
    assert test.difference.mean == pytest.approx(0.0225)


def test_without_a_reference_nothing_is_tested():
    findings = summarize(
        unit("large", [site_scores(constant(0.6))]),
        arms=("small", "large"),
        failed=[FailedUnit("small", "steps", 0, "out of memory")],
    )
    assert standing(findings, "large").tests == {}


def test_budgets_are_ranked_apart():
    findings = summarize(
        unit("small", [site_scores(constant(0.6))]),
        unit("small", [site_scores(constant(0.7))], budget="compute"),
    )
    assert standing(findings, "small").mean("ssim_head") == pytest.approx(0.6)
    assert standing(findings, "small", "compute").mean("ssim_head") == pytest.approx(0.7)


def test_means_over_sites_come_first_and_never_mix_real_with_simulated():
    def sites(level):
        names = ("sim-one", "sim-two", "clinic")
        return [site_scores(constant(level), site=name) for name in names]

    findings = summarize(unit("small", sites(0.6)), unit("large", sites(0.65)))
    titles = [place.title for place in findings.places]
    assert titles == ["mean over 2 simulated sites", "sim-one", "sim-two", "clinic"]
    assert [place.simulated for place in findings.places] == [True, True, True, False]
    assert standing(findings, "large").tests["ssim_head"].signed_rank.count == 12
    assert standing(findings, "large", place=3).tests["ssim_head"].signed_rank.count == 6


def test_a_failed_case_is_counted_and_leaves_the_pairs_of_the_others():
    scores = site_scores(constant(0.7))
    rows = tuple(
        row
        for row in scores.rows
        if row.method != MODEL or (row.patient, row.direction) != ("sub-00", "T1→T2")
    )
    failure = Failure("sim-one", "sub-00", "T1→T2", "no")
    findings = summarize(
        unit("small", [site_scores(constant(0.6))]),
        unit("large", [replace(scores, rows=rows, failures=(failure,))], seed=4),
    )
    found = standing(findings, "large")
    assert found.failed_cases == 1
    assert found.tests["ssim_head"].difference.mean == pytest.approx(0.1)
    assert found.arm.failures[0].reason == "seed 4: no"


def test_an_arm_that_scored_nothing_stands_last():
    empty = site_scores(constant(0.7), patients=0)
    findings = summarize(unit("small", [site_scores(constant(0.4))]), unit("large", [empty]))
    last = findings.places[0].rankings["steps"][-1]
    assert last.name == "large"
    assert math.isnan(last.mean("ssim_head"))
    assert math.isnan(last.tests["ssim_head"].signed_rank.p)


def test_units_that_scored_other_images_are_refused():
    scores = site_scores(constant(0.7))
    other = tuple(
        replace(row, values={name: value + 0.01 for name, value in row.values.items()})
        if row.method in CONTROLS
        else row
        for row in scores.rows
    )
    with pytest.raises(InputError, match="not scored on the same images"):
        summarize(unit("small", [scores]), unit("large", [replace(scores, rows=other)]))
    with pytest.raises(InputError, match="other sites"):
        summarize(unit("small", [scores]), unit("large", [replace(scores, site="clinic")]))


def test_no_results_give_no_places():
    findings = summarize(arms=("small",), failed=[FailedUnit("small", "steps", 0, "no")])
    assert findings.places == ()


def test_the_same_seed_gives_the_same_figures():
    several = nine_arms(sites=("sim-one",), patients=3, seeds=1)
    one, other = (summarize_comparison(several, np.random.default_rng(5)) for _ in range(2))
    assert str(one.places) == str(other.places)
