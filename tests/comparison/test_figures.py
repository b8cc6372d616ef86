import io

import numpy as np
import pytest
from PIL import Image

from omnisyn.comparison.figures import quality_against_cost, stacked
from omnisyn.comparison.summary import summarize_comparison
from tests.comparison.made_up import comparison, constant, cost, site_scores, unit

TEAL, BLUE, OCHRE = (20, 116, 111), (59, 91, 169), (201, 139, 43)


def draw(found):
    findings = summarize_comparison(found, np.random.default_rng(0))
    content = stacked([quality_against_cost(found, place) for place in findings.places])
    assert content.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def pixels_like(picture, colour):
    return int((np.abs(picture - np.array(colour)).max(axis=2) < 40).sum())


@pytest.fixture(scope="module")
def two_budgets():
    sites = [site_scores(constant(0.65, 0.01))]
    return [unit("small", sites), unit("small", sites, budget="compute", operations=3e15)]


@pytest.fixture(scope="module")
def both(two_budgets):
    return draw(comparison(two_budgets))


def test_marks_of_both_budgets_and_the_blind_line_are_drawn(both):
    for colour in (TEAL, BLUE, OCHRE):
        assert pixels_like(both, colour) > 200


def test_a_budget_that_was_not_run_has_no_mark(two_budgets, both):
    one = draw(comparison(two_budgets[:1]))
    assert pixels_like(one, BLUE) < pixels_like(both, BLUE) / 2


def test_every_site_has_its_panels(two_budgets):
    def of(names):
        sites = [site_scores(constant(0.65), site=name) for name in names]
        return draw(comparison([unit("small", sites)]))

    one, two = of(["clinic"]), of(["clinic", "sim-one"])
    assert two.shape[0] == 2 * one.shape[0]
    assert (two[: one.shape[0]] == one).all()


def test_an_arm_without_a_measured_cost_is_left_out_of_that_panel_only(two_budgets):
    without = draw(comparison(two_budgets, costs={}))
    half = without.shape[1] // 2
    assert pixels_like(without[100:, half:], TEAL) == 0
    assert pixels_like(without[100:, :half], TEAL) > 100


def test_many_arms_of_one_cost_and_perfect_images_can_be_drawn():
    units = [unit(f"arm {n}", [site_scores(constant(1.0))]) for n in range(3)]
    found = comparison(units, reference="arm 0", costs={f"arm {n}": cost() for n in range(3)})
    assert draw(found).min() < 100


def test_the_same_results_give_the_same_picture(two_budgets):
    found = comparison(two_budgets)
    findings = summarize_comparison(found, np.random.default_rng(0))
    one, other = (quality_against_cost(found, findings.places[0]) for _ in range(2))
    assert one == other


def test_without_any_place_the_picture_says_so():
    picture = draw(comparison([], arms=("small",)))
    assert picture.shape[0] < 200
    assert picture.min() < 100
