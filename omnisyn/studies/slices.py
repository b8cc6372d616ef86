"""The training interface: batches of whole slices, every contrast of a slice together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from omnisyn.contrasts import CONTRASTS, NAMES
from omnisyn.volumes.sidecar import FACTS


@dataclass(frozen=True)
class SliceBatch:
    """Slices with all their contrasts.

    Attributes:
        images: [batch, 6 contrasts, rows, columns], float32 in [0, 1], contrasts in the order of
            ``omnisyn.contrasts.CONTRASTS``, rows anterior → posterior, columns patient
            right → left; zeros where a contrast is absent.
        present: [batch, 6] bool, which contrasts the patient has.
        fat_suppressed: [batch, 6] bool, which were acquired with fat suppression.
        patients: ``site/patient`` of every item.
        pixel_mm: [batch], size of the pixels, taken as square.
        acquisition: [batch, 6, facts], TR, TE and TI in ms and the field in T, in the order of
            ``omnisyn.volumes.sidecar.FACTS``; NaN where unknown.
    """

    images: Tensor
    present: Tensor
    fat_suppressed: Tensor
    patients: tuple[str, ...]
    pixel_mm: Tensor
    acquisition: Tensor

    def __post_init__(self) -> None:
        count = len(self.patients)
        if self.images.ndim != 4 or self.images.shape[:2] != (count, len(CONTRASTS)):
            raise ValueError(
                f"images must be [{count}, {len(CONTRASTS)}, rows, columns], "
                f"not {list(self.images.shape)}"
            )
        for name in ("present", "fat_suppressed"):
            flags: Tensor = getattr(self, name)
            if flags.shape != (count, len(CONTRASTS)) or flags.dtype != torch.bool:
                raise ValueError(f"{name} must be bool [{count}, {len(CONTRASTS)}]")
        if self.pixel_mm.shape != (count,):
            raise ValueError(f"pixel_mm must be [{count}], not {list(self.pixel_mm.shape)}")
        if self.acquisition.shape != (count, len(CONTRASTS), len(FACTS)):
            raise ValueError(f"acquisition must be [{count}, {len(CONTRASTS)}, {len(FACTS)}]")

    def __len__(self) -> int:
        return len(self.patients)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SliceBatch:
        """The same batch on another device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            present=self.present.to(device, non_blocking=non_blocking),
            fat_suppressed=self.fat_suppressed.to(device, non_blocking=non_blocking),
            pixel_mm=self.pixel_mm.to(device, non_blocking=non_blocking),
            acquisition=self.acquisition.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True)
class StudySlice:
    """One slice of one study, in the contrasts that the study has.

    Attributes:
        images: [contrasts, rows, columns], float, scaled, oriented as in ``SliceBatch``.
        contrasts: their names, in the order of ``images``.
        fat_suppressed: whether each was acquired with fat suppression.
        patient: ``site/patient``.
        pixel_mm: size of the pixels, taken as square.
        acquisition: the facts of each contrast, as in ``SliceBatch``.
    """

    images: Tensor
    contrasts: tuple[str, ...]
    fat_suppressed: tuple[bool, ...]
    patient: str
    pixel_mm: float
    acquisition: tuple[tuple[float, ...], ...]


def unknown_acquisition(count: int) -> Tensor:
    """The facts of slices of which none is known."""
    return torch.full((count, len(CONTRASTS), len(FACTS)), math.nan)


def stack_slices(slices: Sequence[StudySlice]) -> SliceBatch:
    """One batch of slices of any sizes, each at the top left of a common frame of zeros."""
    rows = max(each.images.shape[1] for each in slices)
    columns = max(each.images.shape[2] for each in slices)
    images = torch.zeros(len(slices), len(NAMES), rows, columns)
    present = torch.zeros(len(slices), len(NAMES), dtype=torch.bool)
    suppressed = torch.zeros(len(slices), len(NAMES), dtype=torch.bool)
    acquisition = unknown_acquisition(len(slices))
    for item, each in enumerate(slices):
        channels = [NAMES.index(name) for name in each.contrasts]
        height, width = each.images.shape[1:]
        images[item, channels, :height, :width] = each.images.float()
        present[item, channels] = True
        suppressed[item, channels] = torch.tensor(each.fat_suppressed)
        acquisition[item, channels] = torch.tensor(each.acquisition)
    return SliceBatch(
        images,
        present,
        suppressed,
        tuple(each.patient for each in slices),
        torch.tensor([each.pixel_mm for each in slices]),
        acquisition,
    )


class SourceClosed(RuntimeError):
    """A source of slices was closed before it had what it was asked for."""


@runtime_checkable
class SliceSource(Protocol):
    """Where training slices come from: a site's cache or the simulator."""

    @property
    def name(self) -> str:
        """What the slices come from, for logs and weight cards (no paths)."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether any of the slices is simulated."""
        ...

    @property
    def credits(self) -> tuple[str, ...]:
        """Whom to thank for the data, for weight cards."""
        ...

    def batch(self, step: int) -> SliceBatch:
        """The batch of a step: a pure function of the source's settings, its seed and ``step``.

        Two sources made alike give equal batches in any order of calls, so a resumed run sees
        exactly the batches that an unbroken one would have seen.
        """
        ...

    def validation(self) -> Sequence[SliceBatch]:
        """One batch a validation patient: whole head slices, unaugmented, inferior → superior."""
        ...

    def close(self) -> None:
        """Give up what is in the making, for good: whoever waits for it gets SourceClosed.

        It returns at once and may be called from a signal handler.
        """
        ...


def evenly_thinned(indices: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of ``indices``, evenly spread over them, in order.

    Raises:
        ValueError: ``most`` below 1.
    """
    if most < 1:
        raise ValueError(f"at least one slice must be kept, not {most}")
    count = len(indices)
    if count <= most:
        return list(indices)
    # The middles of `most` equal parts: the outermost slices, the least typical, are not favoured.
    return [indices[int((part + 0.5) * count / most)] for part in range(most)]
