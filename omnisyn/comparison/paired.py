"""Is an arm different from the reference? Paired tests over patients, never over slices.

For every patient the figure of the arm minus that of the reference is taken in each direction that
both have, and averaged over these. The patients' differences go through the two-sided signed-rank
test (Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945), and the
p-values of all arms of one site and budget through Holm's correction ("A simple sequentially
rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).

Several sites are pooled into one test: where arm and reference are alike, either sign of every
patient's difference is as likely, whatever the site, so that the test stays exact. It speaks of
these sites and not of others, and real and simulated ones are never pooled.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from omnisyn.evaluation.report.summary import values_of
from omnisyn.evaluation.results import MODEL, SiteScores
from omnisyn.evaluation.statistics import Summary, gains, mean_of_known, summarize

SIGNIFICANT = 0.05
_DECIMALS = 12
"""Differences that are equal up to rounding are ties."""


@dataclass(frozen=True)
class SignedRank:
    """The signed-rank test of differences.

    Attributes:
        p: two-sided; NaN without any difference, 1 where all of them are zero.
        floor: the smallest p that so many differences can reach, 2^(1−n).
        count: differences that were ranked (n).
        zeros: differences of zero, which are left out (Wilcoxon's own way).
    """

    p: float
    floor: float
    count: int
    zeros: int


@dataclass(frozen=True)
class PairedTest:
    """An arm against the reference.

    Attributes:
        difference: arm minus reference over the patients that both have.
        signed_rank: the test of these differences.
        holm: its p after Holm's correction over the arms of one site and budget.
    """

    difference: Summary
    signed_rank: SignedRank
    holm: float


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """Test whether differences lie about zero; an infinite one ranks highest, NaN is left out.

    The distribution is exact for ties as well: equal sizes share their mean rank, and every
    pattern of signs is counted, which scipy's table does for distinct sizes only.
    """
    known = np.array([value for value in differences if not math.isnan(value)], np.float64)
    rounded = np.round(known, _DECIMALS)
    kept = rounded[rounded != 0]
    count, zeros = len(kept), len(known) - len(kept)
    if count == 0:
        return SignedRank(1.0 if zeros else math.nan, 1.0, 0, zeros)
    # Mean ranks are halves at worst: doubled, they are whole numbers.
    ranks = np.round(2 * rankdata(np.abs(kept))).astype(int)
    chances = _sum_chances(ranks)
    positive = int(ranks[kept > 0].sum())
    smaller = min(positive, int(ranks.sum()) - positive)
    p = min(1.0, 2 * float(chances[: smaller + 1].sum()))
    return SignedRank(p, 2.0 ** (1 - count), count, zeros)


def _sum_chances(ranks: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The chance of each sum (0 … all ranks) when every rank counts with probability one half."""
    chances = np.zeros(int(np.sum(ranks)) + 1)
    chances[0] = 1.0
    for rank in ranks:
        without = chances / 2
        chances = without.copy()
        chances[rank:] += without[: len(without) - rank]
    return chances


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values in the order given; NaN stands for no test and does not count."""
    order = sorted(
        (index for index, p in enumerate(p_values) if not math.isnan(p)),
        key=lambda index: p_values[index],
    )
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - position) * p_values[index]))
        corrected[index] = largest
    return corrected


def patient_differences(
    arm: SiteScores, reference: SiteScores, figure: str, directions: Collection[str]
) -> dict[str, float]:
    """Subject → arm minus reference, mean over the directions that both have.

    NaN where no direction has a difference: one side undefined, or both infinite (PSNR of identical
    images).
    """
    found: dict[str, list[float]] = {}
    for direction in directions:
        one, other = (
            values_of(site, MODEL, (direction,)).get(figure, {}) for site in (arm, reference)
        )
        both = [subject for subject in one if subject in other]
        differences = gains([one[name] for name in both], [other[name] for name in both])
        for subject, difference in zip(both, differences, strict=True):
            found.setdefault(subject, []).append(difference)
    return {subject: mean_of_known(values) for subject, values in found.items()}


def compare_with_reference(
    arms: Mapping[str, Sequence[SiteScores]],
    reference: Sequence[SiteScores],
    figure: str,
    directions: Collection[str],
    generator: np.random.Generator,
) -> dict[str, PairedTest]:
    """The tests of one family: all arms of one site (or several) and budget, one figure.

    Args:
        arms: arm → its scores, one entry a site, seeds averaged; without the reference.
        reference: those of the reference, of the same sites in the same order.
        figure: its name (`ssim_head`).
        directions: those to average over; a single one gives the test of that direction.
        generator: draws the patients of the bootstrap.
    """
    tests = {}
    for name, sites in arms.items():
        groups = [
            list(patient_differences(site, other, figure, directions).values())
            for site, other in zip(sites, reference, strict=True)
        ]
        difference = summarize([group for group in groups if group], generator)
        found = signed_rank([value for group in groups for value in group])
        tests[name] = PairedTest(difference, found, math.nan)
    corrected = holm([test.signed_rank.p for test in tests.values()])
    return {
        name: replace(test, holm=p)
        for (name, test), p in zip(tests.items(), corrected, strict=True)
    }
