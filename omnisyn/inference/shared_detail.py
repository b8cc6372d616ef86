"""Faint detail of a contrast that another one shows as well, taken from there.

A network learns to take faint detail for noise, and paints flat tissue flat. Where two contrasts
show the same of flat tissue, it need not: a curve, fitted to the output as a function of the
source, carries the source's detail over wherever the output has little of its own and does not
contradict it. Lesions, what enhances or ceases to, and all that changes slowly stay as the network
made them.

T1 and T1c show the same tissue, but where an agent goes. T2 shows, inside a brain, T1 turned upside
down: water makes the one dark and the other bright. Fat, muscle and marrow, which a head with skull
has too, break that rule; then the output is no longer the inverse of its source, and nothing is
taken. Between other contrasts it was tried and did harm (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from omnisyn.inference.uncertainty import Slices
from omnisyn.volumes.normalize import head_mask

_PARTNERS = {"T1": ("T1c",), "T1c": ("T1",), "T2": ("T1", "T1c")}
"""By target, the sources whose detail it shares, the best first."""
_BRAIN_ONLY = ("T2",)
"""Targets that share it inside a brain alone, where they are the inverse of their partners."""
_INVERSE_BELOW = -0.5
"""Correlation of an output with its source: brains have -0.9 to -0.7, heads with skull 0.0 to
0.8."""
FAINT = 0.12
"""Local standard deviation, a.u., at which the network's own detail counts half."""
_DETAIL_MM = 2.0
_SLOW_MM = 6.0
_BINS = 64


def with_shared_detail(
    target: str, made: Slices, sources: Mapping[str, Slices], pixel_mm: tuple[float, float]
) -> Slices:
    """A synthesis with the faint detail of the source that shares it; where none does, as it was.

    Args:
        target: the contrast that was made.
        made: (slices, rows, columns) in [0, 1].
        sources: what it was made from, of the same shape, in [0, 1].
        pixel_mm: size of a pixel along rows and columns.
    """
    partner = next((name for name in _PARTNERS.get(target, ()) if name in sources), None)
    if partner is None:
        return made
    source = sources[partner]
    head = head_mask([source])
    if not head.any() or (target in _BRAIN_ONLY and not _inverse(made[head], source[head])):
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
        # Steep, so that flat tissue gives way and a small vessel or lesion keeps its contrast.
        kept = varied**4 / (varied**4 + FAINT**8)
        detailed[index] = np.where(inside, curved + slow + kept * (rest - slow), made[index])
    return detailed.clip(0, 1)


def _inverse(made: NDArray[np.float32], source: NDArray[np.float32]) -> bool:
    if np.ptp(made) == 0 or np.ptp(source) == 0:
        return False
    return float(np.corrcoef(made, source)[0, 1]) < _INVERSE_BELOW


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
