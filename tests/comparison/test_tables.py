import json
import math

import numpy as np
import pytest

from omnisyn.comparison.results import FailedUnit
from omnisyn.comparison.summary import summarize_comparison
from omnisyn.comparison.tables import (
    ranking_markdown,
    ranking_tsv,
    scores_tsv,
    short_number,
    summary_json,
)
from omnisyn.evaluation.controls import CONTROLS
from tests.comparison.made_up import comparison, constant, cost, site_scores, unit


@pytest.fixture(scope="module")
def made():
    units = [
        unit("small", [site_scores(constant(0.65, 0.002), patients=5)], seed=0),
        unit("small", [site_scores(constant(0.66, 0.002), patients=5)], seed=1),
        unit("large|net", [site_scores(constant(0.72, 0.004), patients=5)], operations=4e16),
    ]
    found = comparison(
        units,
        costs={"small": cost(slice_operations=2.5e9)},
        failed=[FailedUnit("large|net", "steps", 1, "out of memory")],
    )
    return found, summarize_comparison(found, np.random.default_rng(0))


def rows_of(text):
    head, *lines = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(head, line, strict=True)) for line in lines]


def test_scores_have_a_row_for_each_arm_control_direction_and_figure(made):
    rows = rows_of(scores_tsv(*made))
    directions, figures = 3, 4
    assert len(rows) == (2 + len(CONTROLS)) * directions * figures
    (row,) = [
        row
        for row in rows
        if (row["name"], row["direction"], row["figure"]) == ("small", "T1→T2", "ssim_head")
    ]
    values = [0.655 + 0.002 * number for number in range(5)]
    assert float(row["mean"]) == pytest.approx(np.mean(values), abs=1e-6)
    assert float(row["sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert float(row["ci95_low"]) < float(row["mean"]) < float(row["ci95_high"])
    assert (row["patients"], row["seeds"], row["kind"]) == ("5", "2", "arm")
    assert row["simulated"] == "true"
    blind = next(
        other
        for other in rows
        if (other["name"], other["direction"], other["figure"])
        == ("blind LUT", "T1→T2", "ssim_head")
    )
    assert float(row["gain"]) == pytest.approx(float(row["mean"]) - float(blind["mean"]), abs=2e-6)
    assert (blind["kind"], blind["budget"], blind["gain"]) == ("control", "n/a", "n/a")


def test_a_lower_figure_that_is_better_has_no_gain(made):
    rows = [row for row in rows_of(scores_tsv(*made)) if row["figure"] == "mae_head"]
    assert {row["gain"] for row in rows} == {"n/a"}


def test_ranking_holds_quality_tests_and_costs(made):
    rows = rows_of(ranking_tsv(*made))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, 7)]
    means = [float(row["ssim_head_mean"]) for row in rows]
    assert means == sorted(means, reverse=True)
    found = {row["name"]: row for row in rows}
    small, large = found["small"], found["large|net"]
    assert float(small["ssim_head_sd_over_seeds"]) == pytest.approx(0.01 / math.sqrt(2), abs=1e-6)
    assert small["ssim_head_p"] == small["ssim_head_difference"] == "n/a"
    difference = np.mean([0.065 + 0.002 * number for number in range(5)])
    assert float(large["ssim_head_difference"]) == pytest.approx(difference, abs=1e-6)
    assert large["ssim_head_p"] == large["ssim_head_p_holm"] == "0.0625"
    assert large["ssim_head_smallest_p"] == "0.0625"
    assert large["ssim_head_n"] == "5"
    assert (small["parameters"], small["slice_operations"]) == ("1000000", "2.5e+09")
    assert large["parameters"] == "n/a"
    assert (large["training_operations"], large["learning_rates"]) == ("4e+16", "0.0003")
    assert found["blind LUT"]["kind"] == "control"
    assert found["blind LUT"]["training_operations"] == "n/a"


def test_infinite_psnr_is_told_as_such():
    found = comparison([unit("small", [site_scores(constant(1.0))])])
    findings = summarize_comparison(found, np.random.default_rng(0))
    row = rows_of(ranking_tsv(found, findings))[0]
    assert (row["psnr_head_mean"], row["psnr_head_patients"]) == ("inf", "0")
    assert "| ∞ |" in ranking_markdown(found, findings)
    entry = summary_json(found, findings)["places"][0]["rankings"]["steps"][0]
    assert entry["figures"]["psnr_head"]["mean"] is None
    assert "infinite in 6" in entry["figures"]["psnr_head"]["note"]


def test_markdown_says_simulated_n_the_smallest_p_and_what_failed(made):
    text = ranking_markdown(*made)
    assert text.startswith("**sim-one, SIMULATED**, equal steps: 1000 steps of 8 slices\n")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    (large,) = [line for line in lines if "large\\|net" in line]
    assert "| 0.0625 (0.0625) | 5 |" in large
    assert "| *blind LUT* |" in text
    assert "- failed: large|net, steps, seed 1: out of memory" in text


def test_summary_is_strict_json_with_units_sweeps_and_failures(made):
    content = json.loads(json.dumps(summary_json(*made), allow_nan=False))
    assert content["units"][0]["sweep"] == {"0.0001": 0.71, "0.0003": 0.74, "0.001": None}
    assert content["failed_units"] == [
        {"arm": "large|net", "budget": "steps", "seed": 1, "reason": "out of memory"}
    ]
    assert content["simulated_training_data"] is True
    (place,) = content["places"]
    large = next(item for item in place["rankings"]["steps"] if item["name"] == "large|net")
    test = large["against_reference"]["ssim_head"]
    assert (test["p"], test["smallest_p"], test["n"]) == (0.0625, 0.0625, 5)


def test_small_p_values_are_not_rounded_away():
    units = [
        unit("small", [site_scores(constant(0.6), patients=30)]),
        unit("large", [site_scores(constant(0.7, 0.001), patients=30)]),
    ]
    found = comparison(units)
    findings = summarize_comparison(found, np.random.default_rng(0))
    rankings = summary_json(found, findings)["places"][0]["rankings"]["steps"]
    large = next(item for item in rankings if item["name"] == "large")
    assert large["against_reference"]["ssim_head"]["p"] == pytest.approx(2.0**-29)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (12, "12"),
        (999.6, "1 k"),
        (1234, "1.23 k"),
        (12.34e12, "12.3 T"),
        (999.9e15, "1 E"),
        (5e24, "5000 Z"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers_are_short(value, text):
    assert short_number(value) == text
