"""T1 and T1c show the same tissue: where no agent goes, the detail of one is that of the other.

A network learns to take faint detail for noise, and paints flat tissue flat. Between these two
contrasts it need not: a curve, fitted to the output as a function of the source, carries the
source's detail over wherever the output has little of its own and does not contradict it. What
enhances, or ceases to, and all that changes slowly, stays as the network made it. Between other
contrasts it was tried and did harm (docs/experiments.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnisyn.volumes.normalize import head_mask

Slices = NDArray[np.float32]
"""(slices, rows, columns)"""

PARTNERS = {"T1": "T1c", "T1c": "T1"}
"""By target, the source whose detail it shares."""
FAINT = 0.08
"""Local standard deviation, a.u., at which the network's own detail counts half."""
_DETAIL_MM = 2.0
_SLOW_MM = 6.0
_BINS = 64


def with_shared_detail(made: Slices, source: Slices, pixel_mm: tuple[float, float]) -> Slices:
    """The synthesis of one of the two from the other, with the other's faint detail.

    Args:
        made: (slices, rows, columns) in [0, 1].
        source: its partner, of the same shape, in [0, 1].
        pixel_mm: size of a pixel along rows and columns.
    """
    head = head_mask([source])
    if not head.any():
        return made
    grey_values, means = _curve(source[head], made[head])
    detailed = made.copy()
    for index in np.flatnonzero(head.any(axis=(1, 2))):
        inside = head[index]
        curved = np.where(inside, np.interp(source[index], grey_values, means), made[index])
        rest = made[index] - curved
        share = _blurred(inside.astype(np.float64), _SLOW_MM, pixel_mm)
        slow = inside * _blurred(rest, _SLOW_MM, pixel_mm) / np.maximum(share, 1e-6)
        varied = np.maximum(_variance(made[index], pixel_mm), _variance(rest, pixel_mm))
        kept = varied**2 / (varied**2 + FAINT**4)
        detailed[index] = np.where(inside, curved + slow + kept * (rest - slow), made[index])
    return detailed.clip(0, 1)


def _curve(
    source: NDArray[np.float32], made: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grey values of the source, and the mean of the output at each."""
    from scipy.ndimage import gaussian_filter1d

    places = np.clip((source * _BINS).astype(int), 0, _BINS - 1)
    counts, sums = (
        gaussian_filter1d(np.bincount(places, weights, _BINS).astype(np.float64), 1.0)
        for weights in (None, made)
    )
    return (np.arange(_BINS) + 0.5) / _BINS, sums / np.maximum(counts, 1e-6)


def _variance(image: NDArray[np.floating], pixel_mm: tuple[float, float]) -> NDArray[np.float64]:
    wide = image.astype(np.float64)
    mean = _blurred(wide, _DETAIL_MM, pixel_mm)
    variance: NDArray[np.float64] = np.maximum(
        _blurred(wide * wide, _DETAIL_MM, pixel_mm) - mean * mean, 0
    )
    return variance


def _blurred(
    image: NDArray[np.floating], width_mm: float, pixel_mm: tuple[float, float]
) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter

    rows_mm, columns_mm = pixel_mm
    blurred: NDArray[np.float64] = gaussian_filter(
        image, (width_mm / rows_mm, width_mm / columns_mm), output=np.float64
    )
    return blurred
