"""The training interface: batches of whole slices, every contrast of a slice together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from omnisyn.contrasts import CONTRASTS


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
    """

    images: Tensor
    present: Tensor
    fat_suppressed: Tensor
    patients: tuple[str, ...]

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

    def __len__(self) -> int:
        return len(self.patients)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SliceBatch:
        """The same batch on another device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            present=self.present.to(device, non_blocking=non_blocking),
            fat_suppressed=self.fat_suppressed.to(device, non_blocking=non_blocking),
        )


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

    def batch(self, step: int) -> SliceBatch:
        """The batch of a step: a pure function of the source's settings, its seed and ``step``.

        Two sources made alike give equal batches in any order of calls, so a resumed run sees
        exactly the batches that an unbroken one would have seen.
        """
        ...

    def validation(self) -> Sequence[SliceBatch]:
        """One batch a validation patient: whole head slices, unaugmented, inferior → superior."""
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
