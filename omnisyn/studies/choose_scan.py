"""Which of several scans of one contrast is taken, where an exam holds more than one.

The rule goes by what the models need, whole heads in axial slices of fine pixels:

1. A slab beside a whole head is left: less than a third of the volume that the largest covers.
2. Axial slices before sagittal or coronal ones. Voxels of nearly equal edges count as axial: any
   slicing of them is as good.
3. Finer voxels, by their volume.
4. The last one: a scan is repeated because the one before was poor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omnisyn.geometry import Geometry

# A small field around a whole head is about half of a large one; a slab is a fifth at most.
_SLAB = 1 / 3
# In an axial cut through sagittal or coronal slices, the thickness of these is an edge of a pixel.
_NEARLY_EQUAL_EDGES = 1.5
# Headers round the voxel size, and a repeat is planned anew.
_SAME_SIZE = 1.05

UNREADABLE = Geometry((1, 1, 1), [[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 1]])
"""In the place of the grid of a scan that cannot be read: any other is preferred to it."""


@dataclass(frozen=True)
class Candidate:
    """One of several scans of a contrast.

    Attributes:
        name: what the scan is called in messages.
        geometry: its grid, as its header says it.
        order: when it was made among the others: a run, series or file number.
    """

    name: str
    geometry: Geometry
    order: int


def preferred(candidates: Sequence[Candidate]) -> int:
    """The place of the scan to take; of scans equal in all, the last one given.

    Raises:
        ValueError: there is nothing to choose from.
    """
    return _narrowed(candidates)[0]


def why_preferred(candidates: Sequence[Candidate]) -> str:
    """Why that scan and none of the others, as one clause: "its voxels are finer".

    Raises:
        ValueError: there is nothing to choose from.
    """
    return " and ".join(_narrowed(candidates)[1]) or "there is no other"


def _narrowed(candidates: Sequence[Candidate]) -> tuple[int, list[str]]:
    """The place of the chosen scan, and what spoke against the others."""
    if not candidates:
        raise ValueError("no scan to choose from")
    places = list(range(len(candidates)))
    reasons = []
    for rule, reason in _RULES:
        kept = rule([candidates[place] for place in places])
        if not all(kept):
            reasons.append(reason)
        places = [place for place, keep in zip(places, kept, strict=True) if keep]
    if len(places) > 1:
        reasons.append("it is the last of its like")
    return max(places, key=lambda place: (candidates[place].order, place)), reasons


def _whole(candidates: Sequence[Candidate]) -> list[bool]:
    covered = [
        math.prod(each.geometry.shape) * math.prod(each.geometry.spacing) for each in candidates
    ]
    return [volume >= _SLAB * max(covered) for volume in covered]


def _axial(candidates: Sequence[Candidate]) -> list[bool]:
    pixels = [each.geometry.slice_spacing[1:] for each in candidates]
    axial = [max(pixel) < _NEARLY_EQUAL_EDGES * min(pixel) for pixel in pixels]
    return axial if any(axial) else [True] * len(candidates)


def _fine(candidates: Sequence[Candidate]) -> list[bool]:
    sizes = [math.prod(each.geometry.spacing) for each in candidates]
    return [size <= _SAME_SIZE * min(sizes) for size in sizes]


_RULES: tuple[tuple[Callable[[Sequence[Candidate]], list[bool]], str], ...] = (
    (_whole, "it covers more of the head"),
    (_axial, "its slices are axial"),
    (_fine, "its voxels are finer"),
)
