"""Batches that hold slices of several sources side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from omnisyn.errors import UsageError
from omnisyn.studies.slices import SliceBatch, SliceSource

OpenSource = Callable[[int], SliceSource]
"""A batch size → a source whose batches have it."""


def parts_of_batch(batch_size: int, shares: Sequence[float]) -> list[int]:
    """The slices of a batch that each of several sources fills: one at least, else as `shares` say.

    What does not divide goes to the sources that are furthest below their share.

    Args:
        batch_size: slices a batch, of all sources together.
        shares: of the sources, above zero; only their ratios count.

    Raises:
        UsageError: fewer slices a batch than sources.
    """
    if batch_size < len(shares):
        raise UsageError(
            f"a batch of {batch_size} slices cannot hold slices of {len(shares)} sources",
            remedy="raise batch_size in the recipe, or name fewer sources",
        )
    parts = [1] * len(shares)
    for _ in range(batch_size - len(shares)):
        parts[max(range(len(shares)), key=lambda place: shares[place] / parts[place])] += 1
    return parts


class MixedSlices:
    """A ``SliceSource`` whose every batch holds slices of each of several sources.

    Validation is that of all sources, one after the other.

    Args:
        openers: of the sources, told the size of their part.
        parts: slices of a batch that each source fills, as of `parts_of_batch`.
    """

    def __init__(self, openers: Sequence[OpenSource], parts: Sequence[int]) -> None:
        self._sources = [opener(part) for opener, part in zip(openers, parts, strict=True)]
        self.name = " + ".join(source.name for source in self._sources)
        self.simulated = any(source.simulated for source in self._sources)
        self.credits = tuple(
            dict.fromkeys(name for source in self._sources for name in source.credits)
        )

    def batch(self, step: int) -> SliceBatch:
        """See ``SliceSource``."""
        return concatenate([source.batch(step) for source in self._sources])

    def validation(self) -> Sequence[SliceBatch]:
        """See ``SliceSource``."""
        return [batch for source in self._sources for batch in source.validation()]

    def close(self) -> None:
        """See ``SliceSource``."""
        for source in self._sources:
            source.close()


def concatenate(batches: Sequence[SliceBatch]) -> SliceBatch:
    """One batch of several; smaller images get zeros below and to the right."""
    rows = max(batch.images.shape[2] for batch in batches)
    columns = max(batch.images.shape[3] for batch in batches)
    images = [
        functional.pad(
            batch.images,
            (0, columns - batch.images.shape[3], 0, rows - batch.images.shape[2]),
        )
        for batch in batches
    ]
    return SliceBatch(
        torch.cat(images),
        torch.cat([batch.present for batch in batches]),
        torch.cat([batch.fat_suppressed for batch in batches]),
        tuple(patient for batch in batches for patient in batch.patients),
        torch.cat([batch.pixel_mm for batch in batches]),
        torch.cat([batch.acquisition for batch in batches]),
    )
