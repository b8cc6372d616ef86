"""Slices in batches that fit the device, and smaller ones when memory runs out all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.errors import ResourceError
from omnisyn.listeners import Note

# Pixels of one batch of slices, over all sources. On a CPU more than fits its caches is slower; on
# a GPU the batch hides the cost of starting kernels.
BATCH_PIXELS = {"cpu": 2 * 256 * 256, "cuda": 32 * 256 * 256, "mps": 16 * 256 * 256}


def in_batches(
    slices: NDArray[np.intp],
    work: Callable[[NDArray[np.intp]], None],
    device: torch.device,
    *,
    pixels: int,
    size: tuple[int, int],
    remedy: str,
    note: Note,
    done: Callable[[int], None],
) -> None:
    """Do the work for some slices at a time; halve their number once when memory runs out.

    Args:
        slices: indices of all of them.
        work: takes some of them.
        pixels: of one slice as the network sees it, over all sources.
        size: rows and columns of a slice, for the message.
        remedy: what to try when memory is short.
        note: hears of a halved batch.
        done: hears how many slices are done.

    Raises:
        ResourceError: out of memory for the second time, or with a single slice.
    """
    batch = max(1, min(len(slices), BATCH_PIXELS[device.type] // pixels))
    halved = False
    first = 0
    while first < len(slices):
        chosen = slices[first : first + batch]
        try:
            work(chosen)
        except (RuntimeError, MemoryError) as fault:
            if not _out_of_memory(fault):
                raise
            if halved or batch == 1:
                rows, columns = size
                raise ResourceError(
                    "out of memory",
                    why=f"slices of {rows} × {columns}, {batch} at a time, on {device}",
                    remedy=remedy,
                ) from fault
            batch, halved = batch // 2, True
            note(f"out of memory: going on with {batch} slices at a time")
            continue
        first += len(chosen)
        done(first)


def _out_of_memory(fault: BaseException) -> bool:
    """Whether an exception means that memory ran out; on the CPU torch says so only in words."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(fault)
    return "can't allocate memory" in text or "not enough memory" in text
