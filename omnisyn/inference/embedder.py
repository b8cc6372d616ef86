"""The Embedder: an encoder that is loaded once, and what it sees in many scans.

Slices are cut to the head's box before they are encoded, and each map is averaged over the head
and nothing else. So air does not dilute a vector, and the same head in a wider frame gives the same
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, ModelError
from omnisyn.inference.air import MARGIN_MM, without_specks
from omnisyn.inference.batches import in_batches
from omnisyn.inference.magnify import magnified_size, resized
from omnisyn.inference.regions import framed, region_means
from omnisyn.inference.sidecar import ModelIdentity
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.models.device import choose_device, choose_precision
from omnisyn.models.generator import Generator
from omnisyn.models.weights import TrainedEncoder
from omnisyn.volumes.normalize import head_mask, scale
from omnisyn.volumes.volume import Volume

_LEVELS = 4
"""The deepest maps: those that stage 1 compares."""

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class ScanEmbedding:
    """What the encoder sees in one scan.

    Attributes:
        volume: by level, the mean over the whole head: (channels,).
        slices: by level, the mean over the head in each slice, from inferior to superior:
            (slices, channels); zeros where a slice shows no head.
        positions_mm: middle of each slice in RAS+ world coordinates: (slices, 3).
        head_mm2: area of the head in each slice: (slices,).
    """

    volume: Vectors
    slices: Vectors
    positions_mm: NDArray[np.float32]
    head_mm2: NDArray[np.float32]


@dataclass(frozen=True)
class Embedder:
    """An encoder on its device, with what is needed to say which one it was.

    Attributes:
        generator: the network, in evaluation mode, on `device`.
        identity: name and hash of the weights, device and precision.
        trained_on: the data, in a sentence.
        device: where it runs.
        dtype: the number type it computes in.
        working_mm: pixel size to which coarser slices are magnified; None = as they are.
        note: hears what a user should know (a halved batch).
    """

    generator: Generator
    identity: ModelIdentity
    trained_on: str
    device: torch.device
    dtype: torch.dtype = torch.float32
    working_mm: float | None = None
    note: Note = unheard

    @classmethod
    def of(
        cls,
        encoder: TrainedEncoder,
        device: str = "auto",
        precision: str = "float32",
        note: Note = unheard,
    ) -> Embedder:
        """Put an encoder on a device.

        Raises:
            UsageError: an unknown device or precision, or one that this machine lacks.
        """
        chosen, dtype = choose_device(device, note), choose_precision(precision)
        return cls(
            generator=encoder.generator.to(chosen),
            identity=ModelIdentity(encoder.name, encoder.sha256, str(chosen), precision),
            trained_on=encoder.trained_on,
            device=chosen,
            dtype=dtype,
            working_mm=encoder.pixel_mm,
            note=note,
        )

    @property
    def levels(self) -> dict[str, int]:
        """Channels of each level that is kept; `level0` would be the finest map."""
        channels = self.generator.channels
        first = max(0, len(channels) - _LEVELS)
        return {f"level{number}": channels[number] for number in range(first, len(channels))}

    def embed(self, volume: Volume, contrast: str, progress: Progress = unwatched) -> ScanEmbedding:
        """Embed one scan, on its own grid; `contrast` is the name of what it shows.

        Raises:
            InputError: it has no signal, or shows no head.
            ModelError: the network gives values that are not finite.
            ResourceError: out of memory.
        """
        name = volume.provenance.name
        slices = volume.geometry.to_slices(scale(volume.voxels, name))
        _, rows_mm, columns_mm = volume.geometry.slice_spacing
        head = head_mask([slices])
        for plane in head:
            plane[:] = without_specks(plane, rows_mm * columns_mm)
        areas = head.sum(axis=(1, 2))
        if not areas.any():
            raise InputError(
                "no head is to be seen",
                where=name,
                remedy="check that it is an MR image of a head (omnisyn inspect)",
            )
        rows, columns = _box(head, (rows_mm, columns_mm))
        found = self._slice_vectors(
            _cut(slices, rows, columns),
            _cut(head, rows, columns),
            contrast,
            (rows_mm, columns_mm),
            progress,
        )
        for level in found.values():
            if not np.isfinite(level).all():
                raise ModelError(
                    "the encoder gave values that are not finite",
                    why=f"weights '{self.identity.name}', precision {self.identity.precision}",
                    remedy="try --precision float32",
                )
        return ScanEmbedding(
            volume={
                name: np.average(level, axis=0, weights=areas).astype(np.float32)
                for name, level in found.items()
            },
            slices=found,
            positions_mm=volume.geometry.slice_centres().astype(np.float32),
            head_mm2=(areas * rows_mm * columns_mm).astype(np.float32),
        )

    def _slice_vectors(
        self,
        slices: NDArray[np.float32],
        head: NDArray[np.bool_],
        contrast: str,
        pixel_mm: tuple[float, float],
        progress: Progress,
    ) -> dict[str, NDArray[np.float32]]:
        count, *size = slices.shape
        rows, columns = size
        finer = (rows, columns)
        if self.working_mm is not None:
            finer = magnified_size(finer, pixel_mm, self.working_mm)
        found = {
            name: np.zeros((count, channels), dtype=np.float32)
            for name, channels in self.levels.items()
        }
        shown = np.flatnonzero(head.any(axis=(1, 2)))

        def work(chosen: NDArray[np.intp]) -> None:
            vectors = self._encode(slices[chosen], head[chosen], contrast, finer)
            for name, level in zip(found, vectors, strict=True):
                found[name][chosen] = level

        in_batches(
            shown,
            work,
            self.device,
            pixels=finer[0] * finer[1],
            size=(rows, columns),
            remedy="try --device cpu or --precision bfloat16",
            note=self.note,
            done=lambda done: progress(done, len(shown), "slices"),
        )
        return found

    @torch.inference_mode()
    def _encode(
        self,
        slices: NDArray[np.float32],
        head: NDArray[np.bool_],
        contrast: str,
        size: tuple[int, int],
    ) -> list[NDArray[np.float32]]:
        """One batch (slices, rows, columns), by level the means in the head: (slices, channels)."""
        images, regions = (
            resized(torch.from_numpy(each).to(self.device)[:, None], size)
            for each in (slices, head.astype(np.float32))
        )
        images, regions = framed(self.generator.stride, images, regions)
        with torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32
        ):
            shown = torch.full((len(images),), NAMES.index(contrast), device=self.device)
            maps = self.generator.encode(images, shown)[-_LEVELS:]
        return [region_means(level, regions)[:, 0].cpu().numpy() for level in maps]


def _box(head: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> list[tuple[int, int]]:
    """First and end index of the rows and columns of a head (slices, rows, columns), with a
    margin."""
    ends = []
    for axis, millimetres in enumerate(pixel_mm):
        found = np.flatnonzero(head.any(axis=(0, 2 - axis)))
        margin = round(MARGIN_MM / millimetres)
        ends.append((int(found[0]) - margin, int(found[-1]) + 1 + margin))
    return ends


def _cut(slices: NDArray[Any], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[Any]:
    """Rows and columns of (slices, rows, columns); zeros where they lie beyond the frame."""
    count, height, width = slices.shape
    cut = np.zeros((count, rows[1] - rows[0], columns[1] - columns[0]), dtype=slices.dtype)
    (top, bottom), (left, right) = rows, columns
    inside = slices[:, max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    first_row, first_column = max(0, -top), max(0, -left)
    _, high, wide = inside.shape
    cut[:, first_row : first_row + high, first_column : first_column + wide] = inside
    return cut
