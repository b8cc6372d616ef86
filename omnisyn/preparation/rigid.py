"""The rigid motion between two scans of one head, from several starts and coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from omnisyn.preparation.similarity import metric, registration_method

# Shrink factor of the working grid → smoothing in mm.
_COARSE, _FINE = {4: 4.0, 2: 2.0}, {1: 0.0}
# Of the mutual information: starts that end this near to the best one might be right, too.
_ABOUT_AS_WELL = 0.05
_COARSE_ITERATIONS = 15
_LINE_SEARCHES = 10
_FINE_SAMPLES = 40_000
_FINE_ITERATIONS = 60
_FIRST_STEP_MM, _LAST_STEP_MM = 0.5, 0.01


@dataclass(frozen=True)
class Search:
    """What was found from several starts: SimpleITK's transforms, fixed to moving points.

    Attributes:
        best: refined.
        approached: where the best start had led before that.
        others: where other starts led that fit about as well.
    """

    best: Any
    approached: Any
    others: tuple[Any, ...]


def rigid_start(centre: NDArray[np.float64], shift: NDArray[np.float64]) -> Any:
    """A shift (mm, LPS+) that turns about a centre."""
    start = SimpleITK.Euler3DTransform()
    start.SetCenter(centre.tolist())
    start.SetTranslation(shift.tolist())
    return start


def searched(fixed: Any, moving: Any, starts: list[Any], mask: Any | None = None) -> Search:
    """The best motion by the metric, which is never worse than the first start.

    Args:
        fixed: SimpleITK's image on the working grid, as ``moving``.
        starts: SimpleITK's transforms.
        mask: of the fixed image's places that count when the best is refined.
    """
    before = metric(fixed, moving, starts[0])
    ends = [_approached(fixed, moving, start) for start in starts]
    metrics = [metric(fixed, moving, end) for end in ends]
    least = min(metrics)
    approached = ends[metrics.index(least)]
    others = tuple(
        end
        for end, its in zip(ends, metrics, strict=True)
        if end is not approached and its < least + _ABOUT_AS_WELL * abs(least)
    )
    best = approached if least < before else starts[0]
    fine = refined(fixed, moving, best, mask)
    inside = metric(fixed, moving, fine, mask) < metric(fixed, moving, best, mask)
    if inside and metric(fixed, moving, fine) <= before:
        best = fine
    return Search(best, approached, others)


def refined(fixed: Any, moving: Any, start: Any, mask: Any | None = None) -> Any:
    """The transform of the start's own kind that is found from it at the full resolution.

    Args:
        fixed: SimpleITK's image on the working grid, as ``moving``.
        mask: of the fixed image's places that count; None for all.
    """
    method = registration_method(fixed, _FINE, mask=mask, samples=_FINE_SAMPLES)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=_FIRST_STEP_MM, minStep=_LAST_STEP_MM, numberOfIterations=_FINE_ITERATIONS
    )
    return _run(method, fixed, moving, start)


def _approached(fixed: Any, moving: Any, start: Any) -> Any:
    """What is found from a start at coarse resolutions."""
    method = registration_method(fixed, _COARSE)
    method.SetOptimizerAsConjugateGradientLineSearch(
        learningRate=1.0,
        numberOfIterations=_COARSE_ITERATIONS,
        lineSearchMaximumIterations=_LINE_SEARCHES,
    )
    return _run(method, fixed, moving, start)


def _run(method: Any, fixed: Any, moving: Any, start: Any) -> Any:
    """What a method finds; the start where that leads out of the moving image."""
    found = type(start)(start)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(found, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        return start
    return found
