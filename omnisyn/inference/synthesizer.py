"""The Synthesizer: a model that is loaded once and run on many patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES, contrast
from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.inference.air import brightest_possible
from omnisyn.inference.calibration import Calibration, read_calibration
from omnisyn.inference.familiarity import Familiarity, examine, examined_slices
from omnisyn.inference.magnify import magnified_size, resized
from omnisyn.inference.regrid import onto_first_grid
from omnisyn.inference.request import source_and_target
from omnisyn.inference.shared_detail import with_shared_detail
from omnisyn.inference.sidecar import ModelIdentity
from omnisyn.inference.uncertainty import expected_errors
from omnisyn.inference.way_back import changed_on_the_way
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.models.device import choose_device, choose_precision
from omnisyn.models.generator import Generator
from omnisyn.models.weights import load_weights
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.volume import Volume

# Pixels of one batch of slices, over all sources. On a CPU more than fits its caches is slower; on
# a GPU the batch hides the cost of starting kernels.
_BATCH_PIXELS = {"cpu": 2 * 256 * 256, "cuda": 32 * 256 * 256, "mps": 16 * 256 * 256}


@dataclass(frozen=True)
class Synthesizer:
    """A generator on its device, with what is needed to say which one it was.

    Attributes:
        generator: the network, in evaluation mode, on `device`.
        contrasts: names of the contrasts that the weights know, in canonical order.
        identity: name and hash of the weights, device and precision.
        device: where it runs.
        dtype: the number type it computes in.
        calibration: what was measured about the weights; None where nothing was.
        working_mm: pixel size to which coarser slices are magnified; None = as they are.
        pixel_mm: size of the pixels of what it is given, rows and columns; None = not known, and
            nothing is magnified.
        note: hears what a user should know (a fallback, a halved batch).
    """

    generator: Generator
    contrasts: tuple[str, ...]
    identity: ModelIdentity
    device: torch.device
    dtype: torch.dtype = torch.float32
    calibration: Calibration | None = None
    working_mm: float | None = None
    pixel_mm: tuple[float, float] | None = None
    note: Note = unheard

    @classmethod
    def load(
        cls,
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "float32",
        *,
        cache: Path | None = None,
        note: Note = unheard,
    ) -> Synthesizer:
        """Load weights by name, path or hf-hub address (default: the shipped ones).

        Args:
            cache: where weights from the hub are kept.

        Raises:
            UsageError: an unknown device or precision, or one that this machine lacks.
            ModelError: the weights are missing, damaged, or of another model.
        """
        chosen, dtype = choose_device(device, note), choose_precision(precision)
        loaded = load_weights(weights, cache)
        return cls(
            generator=loaded.generator.eval().to(chosen),
            contrasts=tuple(name for name in NAMES if name in loaded.card.contrasts),
            identity=ModelIdentity(loaded.card.name, loaded.sha256, str(chosen), precision),
            device=chosen,
            dtype=dtype,
            calibration=read_calibration(loaded.path, loaded.sha256, note),
            working_mm=loaded.card.pixel_mm,
            note=note,
        )

    def targets(self, wanted: Sequence[str], sources: Sequence[str]) -> tuple[str, ...]:
        """Names of the targets in canonical spelling, `all` spelled out; each once.

        Raises:
            UsageError: a contrast that is unknown, that the weights do not know, or that is
                among the sources.
        """
        chosen: list[str] = []
        for name in wanted:
            if name.lower() == "all":
                chosen += [known for known in self.contrasts if known not in sources]
                continue
            known = contrast(name).name
            if known not in self.contrasts:
                raise UsageError(
                    f"the weights '{self.identity.name}' do not know {known}",
                    remedy=f"they know {', '.join(self.contrasts)}",
                )
            if known in sources:
                raise source_and_target(known)
            chosen.append(known)
        return tuple(dict.fromkeys(chosen))

    def synthesize(
        self,
        sources: Mapping[str, Volume],
        targets: Sequence[str],
        progress: Progress = unwatched,
    ) -> dict[str, NDArray[np.float32]]:
        """Make `targets` from volumes of one patient, on the first volume's grid.

        Args:
            sources: volumes by contrast name; on other grids they are resampled, with a note.

        Returns:
            By target name: float32 in [0, 1], (slices, rows, columns) of the first volume's
            model grid.

        Raises:
            InputError: a source has no signal, or the sources do not overlap.
            UsageError: as in `targets`.
            ResourceError: out of memory.
        """
        scaled = self.scaled(sources)
        return self.on_pixels_of(sources).synthesize_slices(scaled, targets, progress)

    def scaled(self, sources: Mapping[str, Volume]) -> dict[str, NDArray[np.float32]]:
        """What the network sees of a patient: (slices, rows, columns) in [0, 1] by contrast name.

        All lie on the model grid of the first. Raises InputError as `synthesize`.
        """
        regridded = onto_first_grid(sources)
        for sentence in regridded.notes:
            self.note(sentence)
        return {
            name: volume.geometry.to_slices(scale(volume.voxels, volume.provenance.name))
            for name, volume in regridded.volumes.items()
        }

    def familiarity(self, scaled: Mapping[str, NDArray[np.float32]]) -> dict[str, Familiarity]:
        """By source, how much it is like what the weights were trained on.

        Empty for weights that were not calibrated.
        """
        if self.calibration is None:
            return {}
        found = {}
        for name, slices in scaled.items():
            chosen = examined_slices(slices)
            found[name] = examine(
                self.generator,
                chosen,
                name,
                self.calibration.familiarity,
                changed_on_the_way(self.synthesize_slices, chosen, name, self.contrasts),
                self.device,
            )
        return found

    def expected_errors(
        self,
        scaled: Mapping[str, NDArray[np.float32]],
        made: Mapping[str, NDArray[np.float32]],
    ) -> dict[str, NDArray[np.float32]]:
        """By target, the expected absolute error of each voxel of what `synthesize_slices` made.

        Raises:
            ModelError: the weights were not calibrated.
        """
        calibration = self.calibrated()
        return expected_errors(
            self.synthesize_slices,
            scaled,
            made,
            self.contrasts,
            calibration.errors,
        )

    @torch.inference_mode()
    def synthesize_slices(
        self,
        sources: Mapping[str, NDArray[np.float32]],
        targets: Sequence[str],
        progress: Progress = unwatched,
    ) -> dict[str, NDArray[np.float32]]:
        """The same for arrays (slices, rows, columns) already scaled to [0, 1] on one grid."""
        if not sources:
            raise UsageError("there is no source", remedy="give at least one with --src")
        names = self.targets(targets, list(sources))
        stack = np.stack([sources[name] for name in sources], axis=1)
        count, source_count, rows, columns = stack.shape
        finer = self._magnified_size((rows, columns))
        made = {name: np.zeros((count, rows, columns), dtype=np.float32) for name in names}
        # Where no source has any signal (outside a skull-stripped brain), nothing can be said.
        filled = np.flatnonzero(stack.any(axis=(1, 2, 3)))
        budget = _BATCH_PIXELS[self.device.type]
        batch = max(1, min(count, budget // (source_count * finer[0] * finer[1])))
        halved = False
        first = 0
        while first < len(filled):
            chosen = filled[first : first + batch]
            try:
                decoded = self._decode(stack[chosen], names)
            except (RuntimeError, MemoryError) as fault:
                if not _out_of_memory(fault):
                    raise
                if halved or batch == 1:
                    raise ResourceError(
                        "out of memory",
                        why=f"slices of {rows} × {columns}, {batch} at a time, on {self.device}",
                        remedy="try --device cpu, fewer sources, or --precision bfloat16",
                    ) from fault
                batch, halved = batch // 2, True
                self.note(f"out of memory: going on with {batch} slices at a time")
                continue
            for name, slices in decoded.items():
                made[name][chosen] = slices
            first += len(chosen)
            progress(first, len(filled), " ".join(names))
        pixel_mm = self.pixel_mm or (1.0, 1.0)
        brightest = brightest_possible(sources, pixel_mm)
        for name, slices in made.items():
            if not np.isfinite(slices).all():
                raise ModelError(
                    f"the network gave values for {name} that are not finite",
                    why=f"weights '{self.identity.name}', precision {self.identity.precision}",
                    remedy="try --precision float32",
                )
            detailed = with_shared_detail(name, slices, sources, pixel_mm)
            made[name] = np.minimum(detailed, brightest)
        return made

    def _decode(
        self, stack: NDArray[np.float32], names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """One batch (slices, sources, rows, columns): encoded once, decoded once per target."""
        images = torch.from_numpy(stack).to(self.device)
        rows, columns = images.shape[2:]
        images = resized(images, self._magnified_size((rows, columns)))
        present = torch.ones(images.shape[:2], dtype=torch.bool, device=self.device)
        outputs = {}
        with torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32
        ):
            features = self.generator.encode_sources(images, present)
            for name in names:
                condition = self.generator.condition([name]).expand(len(images), -1)
                outputs[name] = self.generator.decode(features, condition)
        return {
            name: resized(output.float(), (rows, columns)).clamp(0, 1)[:, 0].cpu().numpy()
            for name, output in outputs.items()
        }

    def on_pixels(self, rows_mm: float, columns_mm: float) -> Synthesizer:
        """The same model for slices with pixels of this size."""
        return replace(self, pixel_mm=(rows_mm, columns_mm))

    def on_pixels_of(self, sources: Mapping[str, Volume]) -> Synthesizer:
        """The same model for what `scaled` makes of these volumes."""
        first = next(iter(sources.values()))
        _, rows_mm, columns_mm = first.geometry.slice_spacing
        return self.on_pixels(rows_mm, columns_mm)

    def _magnified_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.pixel_mm is None or self.working_mm is None:
            return size
        return magnified_size(size, self.pixel_mm, self.working_mm)

    def calibrated(self) -> Calibration:
        """What was measured about the weights.

        Raises:
            ModelError: nothing was.
        """
        if self.calibration is None:
            raise ModelError(
                "the weights were not calibrated, so that nothing is known about their errors",
                where=self.identity.name,
                remedy="omnisyn models calibrate WEIGHTS, or leave --uncertainty out",
            )
        return self.calibration

    def telling(self, note: Note) -> Synthesizer:
        """The same model, with another listener for its notes."""
        return replace(self, note=note)


def _out_of_memory(fault: BaseException) -> bool:
    """Whether an exception means that memory ran out; on the CPU torch says so only in words."""
    if isinstance(fault, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(fault)
    return "can't allocate memory" in text or "not enough memory" in text
