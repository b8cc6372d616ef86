"""Air is as dark as the sources show it.

Far from the head there is nothing to synthesize. What a network paints there (grain, and stripes at
the edge of the frame, where a scanner's noise ends) is its own invention.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from omnisyn.volumes.normalize import head_mask

Slices = NDArray[np.float32]
"""(slices, rows, columns)"""

MARGIN_MM = 10.0
"""Scalp, where its fat is suppressed in every source, may be as dark as air: so far it reaches."""
_SPECK_MM2 = 50.0
"""What is smaller, and apart from all else, is a speck of noise and no head."""


def with_dark_air(
    made: Slices, sources: Mapping[str, Slices], pixel_mm: tuple[float, float]
) -> Slices:
    """A synthesis that is nowhere in the air brighter than the brightest source.

    Air is what lies farther than `MARGIN_MM` from the head, in the plane of a slice; all of a slice
    without head.

    Args:
        made: (slices, rows, columns) in [0, 1].
        sources: what it was made from, of the same shape, in [0, 1].
        pixel_mm: size of a pixel along rows and columns.
    """
    from scipy.ndimage import distance_transform_edt

    rows_mm, columns_mm = pixel_mm
    shown = list(sources.values())
    limited = made.copy()
    for index, found in enumerate(head_mask(shown)):
        head = _without_specks(found, _SPECK_MM2 / (rows_mm * columns_mm))
        away = distance_transform_edt(~head, sampling=pixel_mm) if head.any() else np.inf
        darkest = np.minimum(made[index], np.max([source[index] for source in shown], axis=0))
        limited[index] = np.where(away > MARGIN_MM, darkest, made[index])
    return limited


def _without_specks(head: NDArray[np.bool_], least_pixels: float) -> NDArray[np.bool_]:
    from scipy.ndimage import label

    parts, _ = label(head)
    large = np.bincount(parts.ravel()) >= least_pixels
    large[0] = False
    kept: NDArray[np.bool_] = large[parts]
    return kept
