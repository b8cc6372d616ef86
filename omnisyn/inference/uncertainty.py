"""Where a synthesized volume is likely to be wrong: a map of its expected absolute error.

The network says nothing about itself. Four signs are measured beside its output, each smoothed over
its neighbourhood in the slice, and their weighted sum is the expected error. The weights are fitted
once on patients whose truth is known (`fit_error_weights`). Of many signs that were tried these
ordered the errors on real heads best: `python -m benchmarks uncertainty` makes the table again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from omnisyn.listeners import Progress, unwatched
from omnisyn.settings import Settings
from omnisyn.volumes.normalize import head_mask

Slices = NDArray[np.float32]
"""(slices, rows, columns)"""
Synthesize = Callable[[Mapping[str, Slices], Sequence[str]], Mapping[str, Slices]]
"""Scaled sources by contrast name, and names of targets, to the targets' slices."""

TURNS_DEGREES = (-8.0, 8.0)
DETOURS = 2
_SMOOTHING_PIXELS = 2.0


class ErrorWeights(Settings):
    """Expected error in the head = constant + the weighted sum of the signs."""

    constant: float = Field(ge=0)
    gradient: float = Field(ge=0)
    turned: float = Field(ge=0)
    detour: float = Field(ge=0)
    disagreement: float = Field(ge=0)


class ErrorStatistics(Settings):
    """Weights for a synthesis from one source, and from several."""

    one_source: ErrorWeights
    several_sources: ErrorWeights


def smoothed(values: NDArray[np.floating]) -> Slices:
    """The mean over each voxel's neighbourhood in its slice."""
    from scipy import ndimage

    blurred: Slices = ndimage.gaussian_filter(
        values, (0, _SMOOTHING_PIXELS, _SMOOTHING_PIXELS), output=np.float32
    )
    return blurred


def gradient(made: Slices) -> Slices:
    """Edges of the output: there, a small displacement is a large error."""
    from scipy import ndimage

    rows, columns = (
        ndimage.gaussian_filter(made, (0, 1, 1), order=order) for order in ((0, 1, 0), (0, 0, 1))
    )
    return smoothed(np.hypot(rows, columns))


def turned(
    synthesize: Synthesize, sources: Mapping[str, Slices], made: Mapping[str, Slices]
) -> dict[str, Slices]:
    """How much each output depends on the position of the head: it is tilted to both sides."""
    differences = {name: np.zeros_like(slices) for name, slices in made.items()}
    for degrees in TURNS_DEGREES:
        tilted = {name: turn(slices, degrees) for name, slices in sources.items()}
        for name, slices in synthesize(tilted, list(made)).items():
            differences[name] += np.abs(turn(slices, -degrees) - made[name])
    return {name: smoothed(total / len(TURNS_DEGREES)) for name, total in differences.items()}


def turn(slices: Slices, degrees: float) -> Slices:
    """The slices tilted in their plane, linearly interpolated, zero from outside."""
    from scipy import ndimage

    tilted: Slices = ndimage.rotate(
        slices, degrees, axes=(2, 1), reshape=False, order=1, output=np.float32
    )
    return tilted


def detour(
    synthesize: Synthesize,
    sources: Mapping[str, Slices],
    made: Mapping[str, Slices],
    contrasts: Sequence[str],
) -> dict[str, Slices]:
    """Whether the output comes out the same by way of other contrasts, themselves synthesized.

    Args:
        contrasts: that the weights know; of those that are no source, each target takes the first
            `DETOURS` that are not itself.
    """
    ways = [name for name in contrasts if name not in sources]
    taken = {name: [way for way in ways if way != name][:DETOURS] for name in made}
    used = list(dict.fromkeys(way for some in taken.values() for way in some))
    unmade = [way for way in used if way not in made]
    stops = {**made, **(synthesize(sources, unmade) if unmade else {})}
    differences = {name: np.zeros_like(slices) for name, slices in made.items()}
    for way in used:
        through = [name for name in made if way in taken[name]]
        for name, slices in synthesize({way: stops[way]}, through).items():
            differences[name] += np.abs(slices - made[name]) / len(taken[name])
    return {name: smoothed(total) for name, total in differences.items()}


def disagreement(
    synthesize: Synthesize, sources: Mapping[str, Slices], made: Mapping[str, Slices]
) -> dict[str, Slices]:
    """How far what each source alone gives lies from what all give; zero for one source."""
    differences = {name: np.zeros_like(slices) for name, slices in made.items()}
    for source, shown in sources.items() if len(sources) > 1 else ():
        for name, slices in synthesize({source: shown}, list(made)).items():
            differences[name] += np.abs(slices - made[name]) / len(sources)
    return {name: smoothed(total) for name, total in differences.items()}


def signs(
    synthesize: Synthesize,
    sources: Mapping[str, Slices],
    made: Mapping[str, Slices],
    contrasts: Sequence[str],
    progress: Progress = unwatched,
) -> dict[str, dict[str, Slices]]:
    """By target, every sign of `ErrorWeights` by its name."""
    measures: dict[str, Callable[[], Mapping[str, Slices]]] = {
        "gradient": lambda: {name: gradient(slices) for name, slices in made.items()},
        "turned": lambda: turned(synthesize, sources, made),
        "detour": lambda: detour(synthesize, sources, made, contrasts),
        "disagreement": lambda: disagreement(synthesize, sources, made),
    }
    found: dict[str, dict[str, Slices]] = {name: {} for name in made}
    for number, (sign, measure) in enumerate(measures.items(), start=1):
        for name, values in measure().items():
            found[name][sign] = values
        progress(number, len(measures), "uncertainty")
    return found


def expected_errors(
    synthesize: Synthesize,
    sources: Mapping[str, Slices],
    made: Mapping[str, Slices],
    contrasts: Sequence[str],
    statistics: ErrorStatistics,
    progress: Progress = unwatched,
) -> dict[str, Slices]:
    """By target, the expected absolute error of each voxel, in the units of `made`; at most 1.

    Args:
        sources: what the network saw, (slices, rows, columns) in [0, 1] by contrast name.
        made: what it made of them, all by one model.
        contrasts: that its weights know.
    """
    weights = statistics.one_source if len(sources) == 1 else statistics.several_sources
    head = head_mask(list(sources.values()))
    found = signs(synthesize, sources, made, contrasts, progress)
    return {name: weighted(of_target, head, weights) for name, of_target in found.items()}


def weighted(
    of_target: Mapping[str, Slices], head: NDArray[np.bool_], weights: ErrorWeights
) -> Slices:
    """The expected error from the signs of one target; all of one shape."""
    total = np.float32(weights.constant) * head.astype(np.float32)
    for sign, values in of_target.items():
        total += np.float32(getattr(weights, sign)) * values
    expected: Slices = np.minimum(total, np.float32(1))
    return expected


def fit_error_weights(
    of_voxels: Mapping[str, NDArray[np.floating]], errors: NDArray[np.floating]
) -> ErrorWeights:
    """The weights with the least squared distance from the errors; none is negative.

    Args:
        of_voxels: each sign by name, (voxels,).
        errors: absolute errors of the same voxels of heads, (voxels,).
    """
    from scipy.optimize import nnls

    columns = [np.ones(errors.size), *(values.astype(np.float64) for values in of_voxels.values())]
    found, _ = nnls(np.stack(columns, axis=1), errors.astype(np.float64))
    named = zip(("constant", *of_voxels), found, strict=True)
    return ErrorWeights(**{name: round(float(weight), 5) for name, weight in named})
