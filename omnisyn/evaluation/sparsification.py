"""How well an uncertainty orders the errors: the sparsification curve and the area to its oracle.

The most uncertain voxels are taken away, part by part; what mean absolute error is left? The
oracle takes the largest errors away first: no order leaves less. The area between the two curves
("AUSE", Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow", ECCV
2018) is zero for a perfect order. An order that knows nothing leaves the mean error as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
_PARTS = 50


@dataclass(frozen=True)
class Sparsification:
    """The curves of one volume.

    Attributes:
        removed: part of the voxels that is taken away, from 0 to below 1: (points,).
        remaining: mean absolute error of the rest, the most uncertain away: (points,).
        oracle: the same, the largest errors away: (points,).
    """

    removed: Curve
    remaining: Curve
    oracle: Curve

    @property
    def area(self) -> float:
        """AUSE: mean distance from the oracle, in units of the error."""
        return float(np.mean(self.remaining - self.oracle))

    @property
    def relative_area(self) -> float:
        """AUSE as a part of a constant's: 0 is the oracle, 1 knows nothing, above 1 misleads.

        NaN where all errors are equal.
        """
        constant = float(np.mean(self.remaining[0] - self.oracle))
        # The means of equal errors differ by what summing rounds off.
        least = 1e-9 * float(self.remaining[0])
        return self.area / constant if constant > least else float("nan")


def sparsify(errors: NDArray[np.floating], uncertainty: NDArray[np.floating]) -> Sparsification:
    """The curves of some voxels' absolute errors under an uncertainty; both of any one shape.

    Voxels of equal uncertainty count as one: the order within them is of no use to anyone, so that
    each gets the mean error of its equals.

    Raises:
        ValueError: the shapes differ, or there is no voxel.
    """
    if errors.shape != uncertainty.shape or errors.size == 0:
        raise ValueError(f"errors {errors.shape} and uncertainty {uncertainty.shape}")
    error = np.asarray(errors, np.float64).ravel()
    _, level = np.unique(uncertainty.ravel(), return_inverse=True)
    counts = np.bincount(level)
    means = np.bincount(level, weights=error) / counts
    kept = np.ceil(error.size * (1 - np.arange(_PARTS) / _PARTS)).astype(int)
    return Sparsification(
        removed=1 - kept / error.size,
        remaining=_means_of_first(np.repeat(means, counts), kept),
        oracle=_means_of_first(np.sort(error), kept),
    )


def _means_of_first(ordered: Curve, kept: NDArray[np.int_]) -> Curve:
    means: Curve = np.cumsum(ordered)[kept - 1] / kept
    return means
