import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import false_discovery_control, rankdata, wilcoxon

from omnisyn.comparison.paired import (
    compare_with_reference,
    holm,
    patient_differences,
    signed_rank,
)
from tests.comparison.made_up import DIRECTIONS, constant, site_scores


def enumerated(differences):
    """The two-sided p over all patterns of signs, by brute force."""
    ranks = rankdata(np.abs(differences))
    observed = abs(sum(np.sign(differences) * ranks))
    patterns = list(itertools.product((-1, 1), repeat=len(ranks)))
    extreme = sum(abs(np.dot(signs, ranks)) >= observed - 1e-9 for signs in patterns)
    return extreme / len(patterns)


def test_five_patients_cannot_give_less_than_a_sixteenth():
    found = signed_rank([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found.p == found.floor == 0.0625
    assert (found.count, found.zeros) == (5, 0)
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).floor == 0.03125


def test_p_of_a_textbook_case():
    # Ranks 1 to 6, only that of size 2 negative: sums up to 2 are {}, {1}, {2}: 3 of 64, twice.
    assert signed_rank([1.0, -2.0, 3.0, 4.0, 5.0, 6.0]).p == pytest.approx(6 / 64)


@pytest.mark.parametrize("count", [1, 2, 7, 12, 30])
def test_p_equals_that_of_scipy_where_sizes_are_distinct(count):
    differences = np.random.default_rng(count).normal(0.3, 1, count)
    expected = wilcoxon(differences, method="exact").pvalue
    assert signed_rank(differences).p == pytest.approx(expected)


@pytest.mark.parametrize(
    "differences",
    [
        [1, 1, -1, 2, 2, 3],
        [0.5, -0.5, 0.5, 0.5, 0.5, 0.5, -2],
        [1, 1, 1, 1],
        [-1, -1, 2, -3, -3, -3, -4, 5],
    ],
)
def test_p_is_exact_with_ties(differences):
    assert signed_rank(differences).p == pytest.approx(enumerated(differences))


def test_sizes_that_are_equal_up_to_rounding_are_ties():
    nearly = [0.3 - 0.2, 0.2 - 0.1, -(0.4 - 0.3), 0.5]
    assert len(set(np.abs(nearly))) > 2
    assert signed_rank(nearly).p == pytest.approx(enumerated([1, 1, -1, 5]))


def test_differences_of_zero_are_left_out_and_raise_the_floor():
    found = signed_rank([0.0, 0.1, 0.2, 0.3, 1e-15])
    assert (found.count, found.zeros, found.floor) == (3, 2, 0.25)
    assert found.p == wilcoxon([0.1, 0.2, 0.3], method="exact").pvalue
    alike = signed_rank([0.0, 0.0])
    assert (alike.p, alike.floor, alike.count, alike.zeros) == (1.0, 1.0, 0, 2)


def test_no_differences_are_no_test_and_undefined_ones_do_not_count():
    assert math.isnan(signed_rank([]).p)
    assert math.isnan(signed_rank([math.nan]).p)
    assert signed_rank([math.nan, 1.0, 2.0]).count == 2


def test_an_infinite_difference_ranks_highest():
    assert signed_rank([1.0, -2.0, math.inf]).p == signed_rank([1.0, -2.0, 9.0]).p


def test_holm_of_a_known_example():
    # Holm 1979 as R's p.adjust gives it.
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.005, 0.6]) == pytest.approx([0.08, 0.015, 0.6])
    assert holm([0.5, 0.7]) == [1.0, 1.0]


def test_holm_keeps_the_order_and_is_never_below_the_rate_of_false_discoveries():
    p_values = np.random.default_rng(0).uniform(0, 0.2, 9)
    corrected = np.array(holm(p_values))
    assert (corrected >= p_values).all()
    assert (corrected >= false_discovery_control(p_values) - 1e-12).all()
    assert (np.diff(corrected[np.argsort(p_values)]) >= 0).all()


def test_holm_does_not_count_what_was_not_tested():
    found = holm([math.nan, 0.01, 0.04])
    assert math.isnan(found[0])
    assert found[1:] == pytest.approx([0.02, 0.04])
    assert holm([]) == []


def test_a_patient_is_one_difference_over_the_directions_that_both_have():
    reference = site_scores(lambda number, direction: 0.5 if direction == "T1→T2" else 0.7)
    arm = site_scores(lambda number, direction: 0.6 if direction == "T1→T2" else 0.9)
    found = patient_differences(arm, reference, "ssim_head", DIRECTIONS)
    assert len(found) == 6
    assert found["sim-one/sub-00"] == pytest.approx(0.15)
    missing = tuple(row for row in arm.rows if (row.patient, row.direction) != ("sub-00", "T2→T1"))
    found = patient_differences(replace(arm, rows=missing), reference, "ssim_head", DIRECTIONS)
    assert found["sim-one/sub-00"] == pytest.approx(0.1)
    single = patient_differences(arm, reference, "ssim_head", ["T2→T1"])
    assert single["sim-one/sub-00"] == pytest.approx(0.2)


def test_two_studies_of_one_subject_are_one_patient():
    arm, reference = site_scores(constant(0.7)), site_scores(constant(0.6))

    def of_one_subject(scores):
        return replace(
            scores, rows=tuple(replace(row, subject="sim-one/anna") for row in scores.rows)
        )

    found = patient_differences(
        of_one_subject(arm), of_one_subject(reference), "ssim_head", DIRECTIONS
    )
    assert found == {"sim-one/anna": pytest.approx(0.1)}


def test_identical_images_of_both_are_no_difference():
    perfect, good = site_scores(constant(1.0)), site_scores(constant(0.9))
    found = patient_differences(perfect, perfect, "psnr_head", DIRECTIONS)
    assert all(math.isnan(value) for value in found.values())
    found = patient_differences(perfect, good, "psnr_head", DIRECTIONS)
    assert set(found.values()) == {math.inf}


def test_a_family_is_corrected_together_and_its_differences_are_those_of_numpy():
    reference = [site_scores(constant(0.6))]
    draws = np.random.default_rng(3)
    levels = {name: draws.normal(0.6, 0.02, 6) for name in ("one", "other")}
    arms = {
        name: [site_scores(lambda number, direction, of=level: of[number])]
        for name, level in levels.items()
    }
    found = compare_with_reference(
        arms, reference, "ssim_head", DIRECTIONS, np.random.default_rng(0)
    )
    raw = [wilcoxon(level - 0.6, method="exact").pvalue for level in levels.values()]
    assert [test.signed_rank.p for test in found.values()] == pytest.approx(raw)
    assert [test.holm for test in found.values()] == pytest.approx(holm(raw))
    for name, level in levels.items():
        assert found[name].difference.mean == pytest.approx(np.mean(level) - 0.6)
        assert found[name].difference.count == 6


def test_sites_are_pooled_by_patient_and_their_means_weigh_alike():
    sites = {"a": (0.70, 4), "b": (0.64, 2)}
    arm = [site_scores(constant(x), site=name, patients=n) for name, (x, n) in sites.items()]
    reference = [
        site_scores(constant(0.6), site=name, patients=n) for name, (_, n) in sites.items()
    ]
    found = compare_with_reference(
        {"arm": arm}, reference, "ssim_head", DIRECTIONS, np.random.default_rng(0)
    )["arm"]
    assert found.signed_rank.count == 6
    assert found.signed_rank.p == 2 / 64
    assert found.difference.mean == pytest.approx((0.10 + 0.04) / 2)
