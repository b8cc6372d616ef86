"""Training slices of which some contrasts are left aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from omnisyn.contrasts import NAMES
from omnisyn.studies.slices import SliceBatch, SliceSource


class ChosenContrasts:
    """A ``SliceSource`` that hides all but some contrasts of another one.

    Args:
        source: of the slices.
        contrasts: names of those that stay.
    """

    def __init__(self, source: SliceSource, contrasts: Sequence[str]) -> None:
        self._source = source
        self._chosen = torch.tensor([name in contrasts for name in NAMES])
        self.name = f"{source.name}, of them {', '.join(contrasts)}"
        self.simulated = source.simulated
        self.credits = source.credits

    def _only_chosen(self, batch: SliceBatch) -> SliceBatch:
        present = batch.present & self._chosen
        return replace(batch, present=present, images=batch.images * present[:, :, None, None])

    def batch(self, step: int) -> SliceBatch:
        """See ``SliceSource``."""
        return self._only_chosen(self._source.batch(step))

    def validation(self) -> Sequence[SliceBatch]:
        """See ``SliceSource``."""
        return [self._only_chosen(batch) for batch in self._source.validation()]

    def close(self) -> None:
        """See ``SliceSource``."""
        self._source.close()
