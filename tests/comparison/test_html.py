"""The page, its pictures left empty: they are looked at by themselves."""

import re
from dataclasses import replace

import numpy as np
import pytest

from omnisyn.comparison.html import comparison_html
from omnisyn.comparison.results import FailedUnit
from omnisyn.comparison.summary import summarize_comparison
from omnisyn.evaluation.results import Failure
from tests.comparison.made_up import (
    comparison,
    constant,
    nine_arms,
    site_scores,
    two_arms,
    unit,
)


def page_of(found):
    findings = summarize_comparison(found, np.random.default_rng(0))
    return comparison_html(found, findings, {place.title: b"" for place in findings.places})


@pytest.fixture(scope="module")
def whole():
    """The page of nine arms, two budgets, a simulated and a real site."""
    return page_of(nine_arms(patients=4, seeds=2))


def test_the_page_is_self_contained_and_its_links_lead_somewhere(whole):
    assert not re.search(r"https?:|@import|url\(|<script|<link|<iframe", whole)
    assert set(re.findall(r'href="#([^"]+)"', whole)) == set(re.findall(r'id="([^"]+)"', whole))
    assert whole.count('src="data:image/png;base64,') == 2


def test_the_head_says_what_was_equal_the_data_and_the_reference(whole):
    head = whole.split("<h2", 1)[0]
    for words in ("equal steps", "equal compute", "1000 steps of 8 slices"):
        assert words in head
    assert "six patients a site, made up" in head
    assert "small: the others are tested against it" in head


def test_the_page_shows_the_sweep_and_every_arm_and_control(whole):
    assert "0.0001: 0.71<br>0.0003: 0.74<br>0.001: –" in whole
    for name in ("brainmvp", "swinunetrv2"):
        assert f"<td>{name}<small>" in whole
    for name in ("blind LUT", "oracle LUT", "copied source", "shifted truth"):
        assert f"<td><em>{name}</em>" in whole


def test_simulated_is_said_exactly_where_it_is():
    real = page_of(two_arms("clinic", simulated=False))
    assert "SIMULATED" not in real
    trained = page_of(two_arms("clinic", simulated=True))
    assert "The arms were trained on simulated patients." in trained
    assert "figures come from" not in trained
    tested = page_of(two_arms("sim-one", simulated=False))
    assert "All figures come from simulated patients." in tested
    assert "were trained on simulated" not in tested


def test_failed_units_and_failed_cases_are_told():
    found = two_arms(failed=[FailedUnit("large", "steps", 1, "out of <memory>")])
    scores = found.results[1].scores[0]
    failed = replace(scores, failures=(Failure("sim-one", "sub-07", None, "no T2"),))
    results = (found.results[0], replace(found.results[1], scores=(failed,)))
    page = page_of(replace(found, results=results))
    assert "<strong>1 unit failed</strong>" in page
    assert "large, equal steps, seed 1: out of &lt;memory&gt;" in page
    assert "<strong>1 case failed</strong>" in page
    assert "sub-07" in page
    assert "1 seed, 1 failed" in page


def test_five_patients_show_n_and_the_smallest_p_and_no_verdict():
    page = page_of(two_arms(patients=5))
    assert "0.0625 (0.0625)<small>n = 5</small><small>smallest 0.0625</small>" in page
    assert "No difference here can come below 0.05, however large it is." in page
    assert '<td class="better">+0.073' not in page


def test_six_patients_can_show_a_difference():
    page = page_of(two_arms(patients=6))
    assert "0.0312 (0.0312)<small>n = 6</small>" in page
    assert "No difference here" not in page
    assert '<td class="better">+0.075' in page


def test_holm_can_take_the_verdict_away_again():
    units = [unit("small", [site_scores(constant(0.65))])]
    units += [unit(f"arm {n}", [site_scores(constant(0.7 + n / 100, 0.002))]) for n in range(2)]
    page = page_of(comparison(units))
    assert "0.0312 (0.0625)" in page
    assert "correction over 2 arms: 0.0625. No difference here" in page
    assert "<td>+0.055 ± 0.004" in page
    assert '"better">+0.055 ± 0.004' not in page


def test_foreign_words_are_escaped():
    found = replace(two_arms(), name="<b>x</b>", description="<i>y</i>", data="a < b & c")
    page = page_of(found)
    assert "<b>" not in page
    assert "<i>" not in page
    assert "a &lt; b &amp; c" in page
