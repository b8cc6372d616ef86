"""Training slices straight from the simulator, through the same interface as a site's cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.simulate.acquisition import Acquisition
from omnisyn.simulate.any_protocol import any_protocols
from omnisyn.simulate.cohort import Cohort
from omnisyn.simulate.patient import (
    AnatomyModel,
    ProceduralAnatomy,
    SimulatedPatient,
    alike,
    child,
    draw_exam_plan,
    draw_field_of_view,
    scan,
)
from omnisyn.studies.augment import AugmentationSettings, apply_augmentation, draw_augmentation
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import (
    SliceBatch,
    SourceClosed,
    StudySlice,
    evenly_thinned,
    stack_slices,
)
from omnisyn.volumes.normalize import head_boxes, head_mask, head_slices, scale
from omnisyn.volumes.sidecar import FACTS

# First counter of the random streams; validation patients do not follow the run's seed.
_BATCHES, _HEADS, _VALIDATION = 0, 1, 2
_FIRST_HEADS = 2
_VALIDATION_SEED = 0
# Brain-only patients are the only ones whose head can be very small.
_LEAST_SLICES = 3


@dataclass(frozen=True)
class _Scanned:
    """One visit of one head, ready to be cut: float16 ``[slices, contrasts, rows, columns]``."""

    label: str
    images: Tensor
    contrasts: tuple[str, ...]
    fat_suppressed: tuple[bool, ...]
    head_slices: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int], ...]
    pixel_mm: float
    acquisition: tuple[tuple[float, ...], ...]

    def slice(self, index: int) -> StudySlice:
        return StudySlice(
            self.images[index],
            self.contrasts,
            self.fat_suppressed,
            self.label,
            self.pixel_mm,
            self.acquisition,
        )


class SimulatedSlices:
    """A ``SliceSource`` over patients of a cohort's training hospitals, made as they are needed.

    Heads are numbered 0, 1, 2, …: head n follows from ``(seed, n)`` alone and is scanned
    ``visits`` times, at hospitals drawn evenly, each with its own scanner, tissues and noise (the
    anatomy is the costly part). A window of ``window`` steps draws its slices from the newest
    ``pool`` heads, and the next window has one more: the first has two, so that a run starts soon.
    ``batch(step)`` is therefore a pure function of the cohort, the settings, ``seed`` and ``step``.
    Heads are made in a thread of their own, the next one while its predecessors are trained on.

    Args:
        cohort: its sites of role ``train`` are used.
        batch_size: slices a batch.
        crop: rows and columns of the training windows, pixels.
        seed: of heads and batches.
        augmentation: how the geometry is changed.
        pool: heads at hand in one window, once so many were made.
        visits: scans of each head.
        window: steps until one head is added and the oldest dropped.
        validation_patients: patients kept for validation (never among the training heads).
        validation_slices: at most so many slices of each, evenly thinned.
        device: where heads are built and scanned; batches are on the CPU.
        anatomy: where heads come from; the procedural anatomy by default.
        any_protocol: share of the series, of validation patients as well, whose times are drawn
            anew from wide ranges; above 0 no series has times that ``any_protocol.HELD_OUT``
            leaves out.

    Raises:
        UsageError: the cohort has no site of role ``train``.
    """

    simulated = True

    def __init__(
        self,
        cohort: Cohort,
        *,
        batch_size: int,
        crop: int,
        seed: int,
        augmentation: AugmentationSettings | None = None,
        pool: int = 6,
        visits: int = 3,
        window: int = 40,
        validation_patients: int = 6,
        validation_slices: int = 12,
        device: torch.device | str = "cpu",
        anatomy: AnatomyModel | None = None,
        any_protocol: float = 0.0,
    ) -> None:
        if min(batch_size, crop, pool, visits, window) < 1:
            raise ValueError("batch_size, crop, pool, visits and window must be positive")
        if not 0 <= any_protocol <= 1:
            raise ValueError("any_protocol must be a share from 0 to 1")
        sites = [site for site in cohort.settings.sites if site.role == "train"]
        if not sites:
            raise UsageError(
                f"the cohort {cohort.settings.name} has no site of role train",
                remedy="train on the cohort hospitals",
            )
        self._profiles = [(site.name, cohort.profiles[site.profile]) for site in sites]
        self._batch_size, self._crop, self._seed = batch_size, crop, seed
        self._augmentation = augmentation or AugmentationSettings()
        self._pool, self._visits, self._window = pool, visits, window
        self._validation_patients = validation_patients
        self._validation_slices = validation_slices
        self._device = torch.device(device)
        self._anatomy = anatomy if anatomy is not None else ProceduralAnatomy()
        self._any_protocol = any_protocol
        self.credits = self._anatomy.credits
        self.name = (
            f"SIMULATED cohort {cohort.settings.name} ({len(sites)} training sites, "
            f"{self._anatomy.name})"
        )
        self._heads: dict[int, Future[list[_Scanned]]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="simulate")
        self._validated: list[SliceBatch] = []
        self._closed = False

    def batch(self, step: int) -> SliceBatch:
        """The batch of a step: images ``[batch_size, 6, crop, crop]``."""
        window, within = divmod(step, self._window)
        scanned = self._at_hand(window)
        if 2 * within >= self._window:
            self._head(window + _FIRST_HEADS)
        generator = generator_at(self._seed, _BATCHES, step)
        places = torch.rand(self._batch_size, 2, generator=generator, dtype=torch.float64).tolist()
        augmentation = draw_augmentation(generator, self._batch_size, self._augmentation)
        items = []
        for patient_place, slice_place in places:
            chosen = scanned[int(patient_place * len(scanned))]
            items.append((chosen, chosen.head_slices[int(slice_place * len(chosen.head_slices))]))
        regions = torch.tensor([chosen.boxes[index] for chosen, index in items])
        whole = stack_slices([chosen.slice(index) for chosen, index in items])
        return apply_augmentation(whole, augmentation, self._crop, regions)

    def validation(self) -> Sequence[SliceBatch]:
        """One batch a validation patient: whole slices, the same for every seed."""
        while len(self._validated) < self._validation_patients:
            number = len(self._validated)
            # Evenly over the hospitals, whatever their number.
            place = number * len(self._profiles) // self._validation_patients
            scanned = self._scan_head(
                generator_at(_VALIDATION_SEED, _VALIDATION, number),
                f"validation-{number:03d}",
                visits=1,
                first_place=place % len(self._profiles),
                training=False,
            )[0]
            thinned = evenly_thinned(scanned.head_slices, self._validation_slices)
            self._validated.append(stack_slices([scanned.slice(index) for index in thinned]))
        return tuple(self._validated)

    def close(self) -> None:
        """Give up the heads in the making before their next scan, see ``SliceSource``."""
        # A bare flag: a signal handler must not wait for a lock that its own thread may hold.
        self._closed = True

    def _at_hand(self, window: int) -> list[_Scanned]:
        end = window + _FIRST_HEADS
        wanted = range(max(0, end - self._pool), end)
        for number in [known for known in self._heads if known not in range(wanted.start, end + 1)]:
            self._heads.pop(number).cancel()
        futures = [self._head(number) for number in wanted]
        return [scanned for future in futures for scanned in future.result()]

    def _head(self, number: int) -> Future[list[_Scanned]]:
        # Always in the worker: results must not depend on whether a head was made in advance.
        if number not in self._heads:
            self._heads[number] = self._worker.submit(
                self._scan_head,
                generator_at(self._seed, _HEADS, number),
                f"stream-{number:06d}",
                self._visits,
            )
        return self._heads[number]

    def _scan_head(
        self,
        generator: torch.Generator,
        label: str,
        visits: int,
        first_place: int | None = None,
        *,
        training: bool = True,
    ) -> list[_Scanned]:
        """The visits of one head that show enough of it; heads are drawn until one does.

        For ``training`` the series of a visit lie alike and are measured as finely: training moves
        and blurs its sources itself, and no target, which else were blurred whatever the source
        shows. Validation takes them as a hospital would send them.

        Raises:
            SourceClosed: in the middle of it, where ``close`` is called.
        """
        while True:
            places = torch.randint(0, len(self._profiles), (visits,), generator=generator).tolist()
            if first_place is not None:
                places[0] = first_place
            view = draw_field_of_view(self._profiles[places[0]][1], child(generator))
            parameters = self._anatomy.draw(child(generator))
            anatomy = self._anatomy.build(parameters, view.fine, self._device)
            scanned = []
            for visit, place in enumerate(places):
                # A head takes ten seconds, and a process cannot end before its threads do.
                if self._closed:
                    raise SourceClosed("the simulated head was given up")
                site, profile = self._profiles[place]
                plan = draw_exam_plan(profile, view, child(generator))
                # Drawn only where asked for: without, patients stay as they are.
                if self._any_protocol > 0:
                    anew = any_protocols(plan.acquisitions, self._any_protocol, child(generator))
                    plan = replace(plan, acquisitions=anew)
                plan = alike(plan) if training else plan
                patient = scan(anatomy, view, plan, self._device)
                found = _ready(patient, f"{site}/{label}-{visit}")
                if found is not None:
                    scanned.append(found)
            if scanned:
                return scanned


def _ready(patient: SimulatedPatient, label: str) -> _Scanned | None:
    """Scale a patient by the rule for every volume, and find its head; None without enough."""
    names = [name for name in NAMES if name in patient.images]
    arrays = [patient.images[name].cpu().numpy() for name in names]
    if any(float(array.max(initial=0.0)) <= 0.0 for array in arrays):
        return None
    scaled = [scale(array) for array in arrays]
    mask = head_mask(scaled)
    slices = tuple(head_slices(mask).tolist())
    if len(slices) < _LEAST_SLICES:
        return None
    stack = np.stack([array.astype(np.float16) for array in scaled], axis=1)
    return _Scanned(
        label=label,
        images=torch.from_numpy(stack),
        contrasts=tuple(names),
        fat_suppressed=tuple(patient.acquisitions[name].fat_suppressed for name in names),
        head_slices=slices,
        boxes=head_boxes(mask),
        pixel_mm=patient.geometry.slice_spacing[1],
        acquisition=tuple(_numbers(patient.acquisitions[name]) for name in names),
    )


def _numbers(acquisition: Acquisition) -> tuple[float, ...]:
    """See ``SliceBatch.acquisition``; a series without inversion has no TI."""
    values = (getattr(acquisition, fact) for fact in FACTS)
    return tuple(math.nan if value is None else float(value) for value in values)
