"""Air is as dark as the sources show it.

Far from the head there is nothing to synthesize. What a network paints there (grain, and stripes at
the edge of the frame, where a scanner's noise ends) is its own invention.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from omnisyn.inference.uncertainty import Slices
from omnisyn.volumes.normalize import head_mask

MARGIN_MM = 10.0
"""Scalp, where its fat is suppressed in every source, may be as dark as air: so far it reaches."""
_SPECK_MM2 = 50.0
"""What is smaller, and apart from all else, is a speck of noise and no head."""


def brightest_possible(sources: Mapping[str, Slices], pixel_mm: tuple[float, float]) -> Slices:
    """How bright a synthesis may be: 1 in the head and near it, in the air the brightest source.

    Air is what lies farther than `MARGIN_MM` from the head, in the plane of a slice; all of a slice
    without head.

    Args:
        sources: what is synthesized from, each (slices, rows, columns) in [0, 1].
        pixel_mm: size of a pixel along rows and columns.
    """
    from scipy.ndimage import distance_transform_edt

    rows_mm, columns_mm = pixel_mm
    shown = list(sources.values())
    brightest: Slices = np.max(shown, axis=0)
    for plane, found in zip(brightest, head_mask(shown), strict=True):
        head = without_specks(found, rows_mm * columns_mm)
        if head.any():
            plane[distance_transform_edt(~head, sampling=pixel_mm) <= MARGIN_MM] = 1
    return brightest


def without_specks(head: NDArray[np.bool_], pixel_mm2: float) -> NDArray[np.bool_]:
    """A slice's mask (rows, columns) without the parts that are too small to be of a head.

    Args:
        pixel_mm2: area of a pixel.
    """
    from scipy.ndimage import label

    parts, _ = label(head)
    large = np.bincount(parts.ravel()) >= _SPECK_MM2 / pixel_mm2
    large[0] = False
    kept: NDArray[np.bool_] = large[parts]
    return kept
