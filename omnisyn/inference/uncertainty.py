"""Where a synthesized volume is likely to be wrong: a map of its expected absolute error.

The network says nothing about itself. Signs are measured beside its output, each smoothed over its
neighbourhood in the slice: edges of the output, and how far it lies from what the model makes in
other ways. Their sum orders the voxels; a constant and a scale, fitted once on patients whose truth
is known (`fit_error_weights`), make an expected error of it. Of many signs that were tried these
ordered the errors on real heads best: `python -m benchmarks uncertainty` makes the table again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
    """Expected error in the head = constant + scale · sign."""

    constant: float = Field(ge=0)
    scale: float = Field(ge=0)


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
) -> dict[str, Slices]:
    """By target, its gradient and half of what other ways of making it differ by.

    The other ways are tilts and detours for one source, and for several each of them alone.
    """
    if len(sources) > 1:
        others = [disagreement(synthesize, sources, made)]
    else:
        others = [
            turned(synthesize, sources, made),
            detour(synthesize, sources, made, contrasts),
        ]
    return {
        name: gradient(slices) + sum(other[name] for other in others) / np.float32(2)
        for name, slices in made.items()
    }


def expected_errors(
    synthesize: Synthesize,
    sources: Mapping[str, Slices],
    made: Mapping[str, Slices],
    contrasts: Sequence[str],
    statistics: ErrorStatistics,
) -> dict[str, Slices]:
    """By target, the expected absolute error of each voxel, in the units of `made`; at most 1.

    Args:
        sources: what the network saw, (slices, rows, columns) in [0, 1] by contrast name.
        made: what it made of them, all by one model.
        contrasts: that its weights know.
    """
    weights = statistics.one_source if len(sources) == 1 else statistics.several_sources
    head = head_mask(list(sources.values()))
    found = signs(synthesize, sources, made, contrasts)
    return {
        name: np.minimum(weights.constant * head + weights.scale * sign, 1).astype(np.float32)
        for name, sign in found.items()
    }


def fit_error_weights(sign: NDArray[np.floating], errors: NDArray[np.floating]) -> ErrorWeights:
    """Constant and scale with the least squared distance from the errors; none is negative.

    Args:
        sign: of voxels of heads, (voxels,).
        errors: their absolute errors, (voxels,).
    """
    from scipy.optimize import nnls

    columns = np.stack([np.ones(sign.size), sign.astype(np.float64)], axis=1)
    (constant, scale), _ = nnls(columns, errors.astype(np.float64))
    return ErrorWeights(constant=round(float(constant), 5), scale=round(float(scale), 5))
