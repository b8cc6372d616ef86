"""Training slices from the caches of prepared sites."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.errors import InputError, UsageError
from omnisyn.studies.appearance import GreyScales, vary_protocol
from omnisyn.studies.augment import AugmentationSettings, apply_augmentation, draw_augmentation
from omnisyn.studies.cache_files import CachedPatient, open_cache
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.site import Site
from omnisyn.studies.slices import SliceBatch, StudySlice, evenly_thinned, stack_slices
from omnisyn.studies.splits import part_of_patients

SPLIT_SEED = 0
"""The split does not follow the run's seed: a stage that starts from another stage's weights must
not validate on patients that the other one was trained on."""


@dataclass(frozen=True)
class _Entry:
    label: str
    cached: CachedPatient
    array: NDArray[np.float16]
    head_slices: tuple[int, ...]
    acquisition: tuple[tuple[float, ...], ...]

    def slice(self, index: int) -> StudySlice:
        # A copy: a memory map is read-only, which a tensor cannot be.
        images = torch.from_numpy(np.array(self.array[index]))
        cached = self.cached
        pixel_mm = math.sqrt(cached.spacing_mm[1] * cached.spacing_mm[2])
        return StudySlice(
            images,
            cached.contrasts,
            cached.fat_suppressed,
            self.label,
            pixel_mm,
            self.acquisition,
        )


class CachedSlices:
    """A ``SliceSource`` over the caches of one or several sites of role ``train``.

    A batch draws patients uniformly, then for each a head slice (at least 5 % head) uniformly, so
    that a patient with many slices counts no more than one with few. ``batch(step)`` is a pure
    function of the cached data, the settings, ``seed`` and ``step``: all its random numbers come
    from ``generator_at(seed, step)``.

    Patients with a single contrast are left out: every objective pairs contrasts. Which patients
    are trained on follows from the ``split`` column of ``patients.tsv``, else from a stable hash of
    the identifier (see ``splits``), site by site; patients whose split is ``test`` are not touched.

    Args:
        sites: of role ``train``, with a valid cache.
        batch_size: slices a batch.
        crop: rows and columns of the training windows, pixels.
        seed: of the batches (not of the split).
        augmentation: how the geometry is changed.
        grey_scales: in which the contrasts of training slices are shown, see `vary_protocol`.
        validation_fraction: share of the patients kept for validation where no ``split`` is given.
        validation_slices: at most so many slices of a validation patient, evenly thinned.

    Raises:
        UsageError: no sites, or a site of another role.
        InputError: a missing, stale or torn cache, or no patient to train on.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        *,
        batch_size: int,
        crop: int,
        seed: int,
        augmentation: AugmentationSettings | None = None,
        grey_scales: Mapping[str, GreyScales] | None = None,
        validation_fraction: float = 0.1,
        validation_slices: int = 24,
    ) -> None:
        if batch_size < 1 or crop < 1:
            raise ValueError(f"batch_size {batch_size} and crop {crop} must be positive")
        _require_training_sites(sites)
        self.name = ", ".join(site.name for site in sites)
        self.simulated = any(site.settings.simulated for site in sites)
        named = [site.settings.credit for site in sites if site.settings.credit]
        self.credits = tuple(dict.fromkeys(named))
        self._batch_size = batch_size
        self._crop = crop
        self._seed = seed
        self._augmentation = augmentation or AugmentationSettings()
        self._grey_scales = grey_scales or {}
        self._validation_slices = validation_slices
        self._training: list[_Entry] = []
        self._validated: list[_Entry] = []
        for site in sites:
            self._add(site, validation_fraction)
        if not self._training:
            raise InputError(
                f"no patient of {self.name} can be trained on",
                why="training needs patients with at least two contrasts and a head, whose split "
                "is not validation or test",
                remedy="add patients, or change the split column of patients.tsv",
            )

    @property
    def training_patients(self) -> tuple[str, ...]:
        """``site/patient`` of all that batches are drawn from."""
        return tuple(entry.label for entry in self._training)

    @property
    def validation_patients(self) -> tuple[str, ...]:
        """``site/patient`` of all that are validated on."""
        return tuple(entry.label for entry in self._validated)

    def batch(self, step: int) -> SliceBatch:
        """The batch of a step: images [batch_size, 6, crop, crop]."""
        generator = generator_at(self._seed, step)
        # Doubles, so that a uniform number never rounds up to 1 and out of the list.
        places = torch.rand(self._batch_size, 2, generator=generator, dtype=torch.float64).tolist()
        augmentation = draw_augmentation(generator, self._batch_size, self._augmentation)
        items: list[tuple[_Entry, int]] = []
        for patient_place, slice_place in places:
            entry = self._training[int(patient_place * len(self._training))]
            items.append((entry, entry.head_slices[int(slice_place * len(entry.head_slices))]))
        margin = self._crop // 16
        regions = torch.tensor([_region(entry, index, margin) for entry, index in items])
        whole = stack_slices([entry.slice(index) for entry, index in items])
        cut = apply_augmentation(whole, augmentation, self._crop, regions)
        return replace(cut, images=vary_protocol(cut.images, self._grey_scales, generator))

    def validation(self) -> Sequence[SliceBatch]:
        """One batch a validation patient, whole frames, read when it is asked for."""
        return _ValidationBatches(self._validated, self._validation_slices)

    def close(self) -> None:
        """Nothing is in the making: slices are read, which takes no time."""

    def _add(self, site: Site, validation_fraction: float) -> None:
        cache = open_cache(site)
        patients = {patient.identifier: patient for patient in site.patients()}
        tags = {identifier: patient.tags for identifier, patient in patients.items()}
        parts = part_of_patients(tags, validation_fraction, SPLIT_SEED)
        for identifier, cached in cache.patients.items():
            head_slices = tuple(cached.head_slices)
            if parts[identifier] == "test" or len(cached.contrasts) < 2 or not head_slices:
                continue
            entry = _Entry(
                f"{site.name}/{identifier}",
                cached,
                cache.arrays[identifier],
                head_slices,
                # From the sidecars, which the cache was checked against: an older one lacks them.
                tuple(patients[identifier].acquisition(name) for name in cached.contrasts),
            )
            (self._training if parts[identifier] == "train" else self._validated).append(entry)


class _ValidationBatches(Sequence[SliceBatch]):
    """Reads a patient's slices only when indexed: many patients need not fit into memory."""

    def __init__(self, entries: Sequence[_Entry], most: int) -> None:
        self._entries = entries
        self._most = most

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> SliceBatch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SliceBatch]: ...
    def __getitem__(self, index: int | slice) -> SliceBatch | Sequence[SliceBatch]:
        if isinstance(index, slice):
            return _ValidationBatches(self._entries[index], self._most)
        entry = self._entries[index]
        chosen = evenly_thinned(entry.head_slices, self._most)
        return stack_slices([entry.slice(index) for index in chosen])


def _require_training_sites(sites: Sequence[Site]) -> None:
    if not sites:
        raise UsageError("no site to train on", remedy="name at least one site of role train")
    for site in sites:
        if site.settings.role != "train":
            raise UsageError(
                f"site {site.name} has the role {site.settings.role} and cannot be trained on",
                why="its figures would no longer be those of unseen patients",
                remedy="choose sites of role train",
            )


def _region(entry: _Entry, index: int, margin: int) -> tuple[int, int, int, int]:
    """The head's box with a margin, inside the frame: the model also sees the head's edge."""
    first_row, end_row, first_column, end_column = entry.cached.head_box[index]
    rows, columns = entry.cached.shape[2:]
    return (
        max(0, first_row - margin),
        min(rows, end_row + margin),
        max(0, first_column - margin),
        min(columns, end_column + margin),
    )
