"""Lesions in a synthesis: whether they keep their contrast, and whether there are new ones.

**Contrast** of a lesion: its mean minus the mean of a ring of 2 to 4 voxels around it (in plane),
in the head and in no lesion. Kept is the synthesis' contrast over the truth's.

**Bright spots**: voxels of the head that rise above their surroundings by half of what the true
lesions do, after a blur of one voxel; the surroundings are a Gaussian mean (sigma 8 voxels, in
plane, in the head), in which whatever is darker than the slice's median counts as the median: else
all tissue beside dark fluid would be a spot. Invented are spots of the synthesis outside the lesion
mask where the truth has none within two voxels. Dark spots are not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Voxels = NDArray[np.floating]

LEAST_VOXELS = 5
RING = (2, 4)
LEAST_CONTRAST = 0.02
"""Lesions of less true contrast cannot be seen in a contrast and are not counted there."""

SURROUNDINGS = 8.0
SPOT_MARGIN = 2
_SPOT_BLUR = 1.0


@dataclass(frozen=True)
class Lesion:
    """Where a lesion and its ring lie: flat indices into the volume."""

    inside: NDArray[np.intp]
    ring: NDArray[np.intp]

    def contrast(self, image: Voxels) -> float:
        """The mean in the lesion minus the mean in the ring."""
        flat = image.reshape(-1)
        return float(flat[self.inside].mean() - flat[self.ring].mean())


@dataclass(frozen=True)
class ContrastKept:
    """How lesions come through a synthesis.

    Attributes:
        lesions: how many can be seen in the truth (contrast of 0.02 or more, of either sign).
        ratio: the median of synthesized over true contrast; 1 is perfect, NaN without lesions.
        right_sign: the share that is brighter or darker than its surroundings as in the truth.
        half: the share that keeps at least half of the true contrast.
    """

    lesions: int
    ratio: float
    right_sign: float
    half: float


@dataclass(frozen=True)
class BrightSpots:
    """Bright spots of a synthesis.

    Attributes:
        height: what counts as a spot: half of the median height of the true lesions' voxels.
        found: the share of lesion voxels that are spots in the synthesis.
        found_in_truth: the same for the truth itself, the most that can be asked for.
        invented: invented voxels per thousand voxels of the head away from lesions.
        invented_spots: their connected groups (in plane) of five voxels or more.
        elsewhere_in_truth: spots of the truth itself, in the same thousandths: bright cortex and
            vessels, which a synthesis may show too.
    """

    height: float
    found: float
    found_in_truth: float
    invented: float
    invented_spots: int
    elsewhere_in_truth: float


def label_lesions(mask: Mask) -> NDArray[np.int32]:
    """Number the lesions of a mask (slices, rows, columns) from 1; neighbours touch at corners.

    Lesions of fewer than five voxels have no number.
    """
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    labels[(sizes < LEAST_VOXELS)[labels]] = 0
    numbered: NDArray[np.int32] = labels.astype(np.int32)
    return numbered


def find_lesions(labels: NDArray[np.int32], mask: Mask, head: Mask) -> tuple[Lesion, ...]:
    """Each numbered lesion with its ring; those without a voxel in the head or a ring are left out.

    Args:
        labels: as from `label_lesions`, (slices, rows, columns); slices may have been left out.
        mask: all lesions, also the small ones: no ring touches them.
        head: of the same shape.
    """
    margin = RING[1] + 1
    found = []
    flat = np.arange(labels.size).reshape(labels.shape)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        around = (
            box[0],
            *(slice(max(0, side.start - margin), side.stop + margin) for side in box[1:]),
        )
        lesion = labels[around] == number
        # Other slices are out of reach, so that the distance is one in plane.
        far = 1e3
        distance = ndimage.distance_transform_edt(~lesion, sampling=(far, 1, 1))
        ring = (distance >= RING[0]) & (distance <= RING[1]) & head[around] & ~mask[around]
        inside = lesion & head[around]
        if inside.any() and ring.any():
            found.append(Lesion(flat[around][inside], flat[around][ring]))
    return tuple(found)


def contrast_kept(lesions: Sequence[Lesion], truth: Voxels, image: Voxels) -> ContrastKept:
    """Compare the lesions' contrasts in two volumes of one shape, each in [0, 1]."""
    pairs = [(lesion.contrast(truth), lesion.contrast(image)) for lesion in lesions]
    ratios = [made / true for true, made in pairs if abs(true) >= LEAST_CONTRAST]
    if not ratios:
        return ContrastKept(0, math.nan, math.nan, math.nan)
    found = np.array(ratios)
    return ContrastKept(
        len(ratios),
        float(np.median(found)),
        float(np.mean(found > 0)),
        float(np.mean(found >= 0.5)),
    )


def spot_heights(image: Voxels, head: Mask) -> NDArray[np.float32]:
    """How far each voxel of the head rises above its surroundings, (slices, rows, columns).

    Outside the head the image is continued by the median of the slice's head, so that its rim is
    no spot.
    """
    heights = np.zeros(image.shape, np.float32)
    for index in np.flatnonzero(head.any(axis=(1, 2))):
        inside = head[index]
        middle = np.median(image[index][inside])
        plane = np.where(inside, np.maximum(image[index], middle), middle).astype(np.float64)
        weight = ndimage.gaussian_filter(inside.astype(np.float64), SURROUNDINGS)
        around = ndimage.gaussian_filter(plane * inside, SURROUNDINGS) / np.maximum(weight, 1e-6)
        heights[index] = (ndimage.gaussian_filter(plane, _SPOT_BLUR) - around) * inside
    return heights


def are_bright(lesions: Sequence[Lesion], truth: Voxels) -> bool:
    """Whether most lesions are visibly brighter than their surroundings in the truth."""
    contrasts = [lesion.contrast(truth) for lesion in lesions]
    return bool(contrasts) and float(np.median(contrasts)) >= LEAST_CONTRAST


def bright_spots(
    true_heights: NDArray[np.float32], heights: NDArray[np.float32], mask: Mask, head: Mask
) -> BrightSpots:
    """Find the spots of a synthesis that the truth has, and those that it has not.

    It means something only for lesions that `are_bright`.

    Args:
        true_heights, heights: `spot_heights` of truth and synthesis in the same head.
        mask: the lesions, with at least one voxel in the head.
        head: of the same shape (slices, rows, columns).
    """
    mask = mask & head
    height = float(np.median(true_heights[mask])) / 2
    disc = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), SPOT_MARGIN)
    near = disc[np.newaxis]
    true_spots = true_heights >= height
    away = head & ~ndimage.binary_dilation(mask, near)
    invented = (heights >= height) & away & ~ndimage.binary_dilation(true_spots, near)
    in_plane = np.zeros((3, 3, 3))
    in_plane[1] = 1
    groups, _ = ndimage.label(invented, in_plane)
    sizes = np.bincount(groups.ravel())[1:]
    per_thousand = 1000 / max(1, int(away.sum()))
    return BrightSpots(
        height=height,
        found=float(np.mean(heights[mask] >= height)),
        found_in_truth=float(np.mean(true_spots[mask])),
        invented=per_thousand * int(invented.sum()),
        invented_spots=int(np.count_nonzero(sizes >= LEAST_VOXELS)),
        elsewhere_in_truth=per_thousand * int((true_spots & away).sum()),
    )
