"""Figures over patients: mean ± SD and a 95 % bootstrap interval. The unit is the patient.

The interval is the percentile bootstrap (Efron & Tibshirani, "An Introduction to the Bootstrap",
1993, chapter 13): patients are drawn with replacement within each site, and a mean over sites gives
every site the same weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """One figure over the patients of a site, or over several sites.

    `deviation` is the sample standard deviation over patients; for several sites, over their means.
    NaN where it is not defined: no patient, or a deviation or interval from one. Infinite
    values (the PSNR of identical images) and undefined ones are left out and counted.
    """

    count: int
    mean: float
    deviation: float
    low: float
    high: float
    infinite: int = 0
    undefined: int = 0


def summarize(groups: Sequence[Sequence[float]], generator: np.random.Generator) -> Summary:
    """Summary of patients' values, one group a site; a single group is one site's figure."""
    arrays = [np.asarray(group, np.float64) for group in groups]
    everything = np.concatenate(arrays) if arrays else np.empty(0)
    infinite = int(np.isinf(everything).sum())
    undefined = int(np.isnan(everything).sum())
    finite = [array[np.isfinite(array)] for array in arrays]
    finite = [array for array in finite if array.size]
    count = sum(array.size for array in finite)
    if not finite:
        nan = math.nan
        return Summary(0, nan, nan, nan, nan, infinite, undefined)
    means = np.array([array.mean() for array in finite])
    spread = finite[0] if len(finite) == 1 else means
    deviation = float(spread.std(ddof=1)) if spread.size > 1 else math.nan
    low, high = _interval(finite, generator)
    return Summary(count, float(means.mean()), deviation, low, high, infinite, undefined)


def _interval(
    groups: Sequence[NDArray[np.float64]], generator: np.random.Generator
) -> tuple[float, float]:
    if all(group.size == 1 for group in groups):
        return math.nan, math.nan
    replicates = np.zeros(RESAMPLES)
    for group in groups:
        drawn = generator.integers(group.size, size=(RESAMPLES, group.size))
        replicates += group[drawn].mean(axis=1)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(replicates / len(groups), [tail, 100 - tail])
    return float(low), float(high)


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of those that are defined; NaN where none is, infinite where one of them is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def gains(model: Sequence[float], control: Sequence[float]) -> list[float]:
    """Model minus control, patient by patient; NaN where both are infinite or one is undefined."""
    return [
        math.nan if math.isinf(one) and math.isinf(other) else one - other
        for one, other in zip(model, control, strict=True)
    ]
