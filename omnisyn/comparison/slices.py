"""The training slices of a comparison: made once, and shown to every arm alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from omnisyn.comparison.plan import DataSettings
from omnisyn.studies.slices import SliceBatch, SliceSource, evenly_thinned


class SharedSlices:
    """A ``SliceSource`` that keeps the batches and validation slices of another one.

    Simulated heads take seconds each: arms that are trained one after the other would wait for the
    same ones again and again.

    Args:
        source: of the slices.
        settings: how many distinct batches there are, and what is validated on.
    """

    def __init__(self, source: SliceSource, settings: DataSettings) -> None:
        self._source, self._settings = source, settings
        self._kept: dict[int, SliceBatch] = {}
        self._validated: tuple[SliceBatch, ...] | None = None
        self.name, self.simulated, self.credits = source.name, source.simulated, source.credits

    def batch(self, step: int) -> SliceBatch:
        """See ``SliceSource``; kept where batches come again."""
        if self._settings.batches is None:
            return self._source.batch(step)
        number = step % self._settings.batches
        if number not in self._kept:
            self._kept[number] = self._source.batch(number)
        return self._kept[number]

    def validation(self) -> Sequence[SliceBatch]:
        """See ``SliceSource``; some patients, and some slices of each."""
        if self._validated is None:
            patients = self._source.validation()
            few = evenly_thinned(range(len(patients)), self._settings.validation_patients)
            most = self._settings.validation_slices
            self._validated = tuple(_thinned(patients[number], most) for number in few)
        return self._validated

    def close(self) -> None:
        """See ``SliceSource``."""
        self._source.close()


def _thinned(patient: SliceBatch, most: int) -> SliceBatch:
    kept = torch.tensor(evenly_thinned(range(len(patient)), most))
    return replace(
        patient,
        images=patient.images[kept],
        present=patient.present[kept],
        fat_suppressed=patient.fat_suppressed[kept],
        patients=tuple(patient.patients[place] for place in kept.tolist()),
        pixel_mm=patient.pixel_mm[kept],
        acquisition=patient.acquisition[kept],
    )
