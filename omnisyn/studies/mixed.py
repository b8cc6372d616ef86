"""Batches that hold slices of several sources side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from omnisyn.errors import UsageError
from omnisyn.studies.slices import SliceBatch, SliceSource

OpenSource = Callable[[int], SliceSource]
"""A batch size → a source whose batches have it."""


class MixedSlices:
    """A ``SliceSource`` whose every batch holds slices of each of several sources.

    Each source fills an equal part of the batch; what does not divide goes to the first ones.
    Validation is that of all sources, one after the other.

    Args:
        openers: of the sources, told the size of their part.
        batch_size: slices a batch, of all sources together.

    Raises:
        UsageError: fewer slices a batch than sources.
    """

    def __init__(self, openers: Sequence[OpenSource], batch_size: int) -> None:
        if batch_size < len(openers):
            raise UsageError(
                f"a batch of {batch_size} slices cannot hold slices of {len(openers)} sources",
                remedy="raise batch_size in the recipe, or name fewer sources",
            )
        whole, rest = divmod(batch_size, len(openers))
        self._sources = [opener(whole + (place < rest)) for place, opener in enumerate(openers)]
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
    )
