"""What a model must beat: the copied source, intensity curves without anatomy, a shifted truth.

The curve (LUT) of a direction holds, for each of 64 bins of source intensity, the mean target
intensity in the head. Fitted on other patients it is *blind*; fitted on the very truth it is the
*oracle*: no map of single voxels with that many steps has a smaller squared error in the head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 64

COPY = "copied source"
BLIND = "blind LUT"
ORACLE = "oracle LUT"
SHIFTED = "shifted truth"
CONTROLS = (COPY, BLIND, ORACLE, SHIFTED)

Voxels = NDArray[np.floating]


@dataclass(frozen=True)
class Curve:
    """Target intensity by bin of source intensity; every bin defined."""

    levels: NDArray[np.float64]

    def apply(self, source: Voxels) -> NDArray[np.float32]:
        """Replace each intensity in [0, 1] by its bin's level; any shape."""
        return self.levels.astype(np.float32)[bin_indices(source)]


@dataclass(frozen=True)
class CurveSums:
    """What a curve is fitted from; the sums of several patients add up."""

    counts: NDArray[np.int64]
    totals: NDArray[np.float64]

    @classmethod
    def measure(cls, source: Voxels, target: Voxels, mask: NDArray[np.bool_]) -> CurveSums:
        """Sums of one patient: source and target in [0, 1] of one shape, over the mask."""
        indices = bin_indices(source[mask])
        counts = np.bincount(indices, minlength=BINS)
        totals = np.bincount(indices, weights=target[mask], minlength=BINS)
        return cls(counts.astype(np.int64), totals.astype(np.float64))

    def __add__(self, other: CurveSums) -> CurveSums:
        return CurveSums(self.counts + other.counts, self.totals + other.totals)

    @property
    def explained(self) -> float:
        """Squared target energy that the curve explains: larger is a smaller squared error."""
        filled = self.counts > 0
        return float(np.sum(self.totals[filled] ** 2 / self.counts[filled]))

    def curve(self) -> Curve | None:
        """The curve, empty bins interpolated and the ends continued; None without any voxel."""
        filled = np.flatnonzero(self.counts)
        if filled.size == 0:
            return None
        means = self.totals[filled] / self.counts[filled]
        return Curve(np.interp(np.arange(BINS), filled, means))


def bin_indices(source: Voxels) -> NDArray[np.intp]:
    """The bin (0 … 63) of each intensity in [0, 1]; 1 belongs to the last bin."""
    return np.clip(np.floor(source * BINS), 0, BINS - 1).astype(np.intp)


def total(parts: Iterable[CurveSums]) -> CurveSums:
    """The sums over patients; no patients give empty bins."""
    result = CurveSums(np.zeros(BINS, np.int64), np.zeros(BINS, np.float64))
    for part in parts:
        result = result + part
    return result


def shift_by_one(volume: Voxels) -> Voxels:
    """The volume (slices, rows, columns) moved by one column; the border column is repeated."""
    return np.concatenate([volume[..., :1], volume[..., :-1]], axis=-1)


@dataclass(frozen=True)
class Controls:
    """The control images of one case, and which source each curve took."""

    images: Mapping[str, Voxels]
    sources: Mapping[str, str]


def curve_image(
    sources: Mapping[str, Voxels], sums: Mapping[str, CurveSums]
) -> tuple[NDArray[np.float32], str] | None:
    """What the curves make of the sources, and of which one: that which explains most.

    Args:
        sources: source name → array in [0, 1].
        sums: source name → what its curve is fitted from; empty where nothing is known.

    Returns:
        None without sums, or where they are empty.
    """
    if not sums:
        return None
    best = max(sums, key=lambda name: sums[name].explained)
    curve = sums[best].curve()
    return None if curve is None else (curve.apply(sources[best]), best)


def build_controls(
    truth: Voxels,
    sources: Mapping[str, Voxels],
    head: NDArray[np.bool_],
    others: Mapping[str, CurveSums],
) -> Controls:
    """The four controls of a case.

    With several sources each control takes one of them: the copy the one nearest to the truth, the
    blind curve the one that explains the other patients best, the oracle the one that explains this
    truth best. The blind curve is missing where no other patient has the direction.

    Args:
        truth: (slices, rows, columns) in [0, 1].
        sources: source name → array of the same shape in [0, 1].
        head: boolean array of the same shape, in which curves are fitted.
        others: source name → sums over patients that do not include this one.
    """
    own = {name: CurveSums.measure(source, truth, head) for name, source in sources.items()}
    inside = truth[head]
    nearest = min(sources, key=lambda name: float(np.mean((sources[name][head] - inside) ** 2)))
    images: dict[str, Voxels] = {COPY: sources[nearest]}
    chosen = {COPY: nearest}
    for label, sums in ((BLIND, others), (ORACLE, own)):
        curved = curve_image(sources, sums)
        if curved is not None:
            images[label], chosen[label] = curved
    images[SHIFTED] = shift_by_one(truth)
    return Controls(images, chosen)
