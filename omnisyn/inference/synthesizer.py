"""The Synthesizer: a model that is loaded once and run on many patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES, contrast
from omnisyn.errors import ModelError, UsageError
from omnisyn.inference.air import brightest_possible
from omnisyn.inference.asked import Asked
from omnisyn.inference.batches import in_batches
from omnisyn.inference.calibration import Calibration, read_calibration
from omnisyn.inference.familiarity import Familiarity, examine, examined_slices
from omnisyn.inference.magnify import magnified_size, resized
from omnisyn.inference.regrid import onto_first_grid
from omnisyn.inference.request import source_and_target
from omnisyn.inference.shared_detail import with_shared_detail
from omnisyn.inference.sidecar import ModelIdentity
from omnisyn.inference.uncertainty import expected_errors
from omnisyn.inference.way_back import changed_on_the_way
from omnisyn.inference.worded import WordedTargets
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.clip.texts import Acquisition
from omnisyn.models.device import choose_device, choose_precision
from omnisyn.models.generator import Generator
from omnisyn.models.text_tower import no_text_tower
from omnisyn.models.weights import load_weights
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.volume import Volume


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
        asked: how targets are asked for, besides their names.
        worded: their conditions, where they are asked for in words; else the canonical ones.
        read_text_tower: reads what turns words into conditions; None = there is none.
        described: whether the weights were trained to heed how a target is acquired.
        plain: whether it gives what the network makes of the pixels as they are: not magnified, and
            without what is known besides (air, detail that two contrasts share).
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
    asked: Asked = field(default_factory=Asked)
    worded: WordedTargets | None = None
    read_text_tower: Callable[[], TextImageModel] | None = None
    described: bool = False
    plain: bool = False
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
            identity=ModelIdentity(
                loaded.card.name,
                loaded.sha256,
                str(chosen),
                precision,
                None if loaded.card.text is None else loaded.card.text.sha256,
            ),
            device=chosen,
            dtype=dtype,
            calibration=read_calibration(loaded.path, loaded.sha256, note),
            working_mm=loaded.card.pixel_mm,
            read_text_tower=loaded.text_tower,
            described=loaded.card.described,
            note=note,
        )

    def asking(
        self, acquisition: Acquisition | None = None, prompt: str | None = None
    ) -> Synthesizer:
        """The same model, with targets as if acquired so, or as a prompt says; with neither, the
        canonical ones.

        Whether fat is suppressed is known to all weights; anything else takes their text tower,
        which is read here.

        Raises:
            UsageError: as `Asked`.
            ModelError: the weights have no text tower, or it is missing, damaged or another's.
        """
        asked = Asked(acquisition or Acquisition(), prompt)
        if not asked.in_words:
            return replace(self, asked=asked, worded=None)
        if self.read_text_tower is None:
            raise no_text_tower(self.identity.name)
        return replace(self, asked=asked, worded=WordedTargets(asked, self.read_text_tower()))

    def oddities(self, targets: Sequence[str]) -> list[str]:
        """What does not go well with how the targets are asked for, one sentence each."""
        odd = [sentence for name in targets for sentence in self.asked.oddities(name)]
        if self.worded is not None:
            odd += [sentence for name in targets for sentence in self.worded.oddities(name)]
            if not self.described and self.asked.has_numbers:
                odd.append(
                    f"the weights '{self.identity.name}' were trained on what contrasts show, not "
                    "on how they are acquired: the numbers may say nothing to them"
                )
        return list(dict.fromkeys(odd))

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
        names = self.targets(self.asked.targets(targets), list(sources))
        for sentence in self.oddities(names):
            self.note(sentence)
        scaled = self.scaled(sources)
        return self.on_pixels_of(sources).synthesize_slices(scaled, names, progress)

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
                # What a source is does not depend on what is asked for.
                changed_on_the_way(self.asking().synthesize_slices, chosen, name, self.contrasts),
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

        def synthesize(
            shown: Mapping[str, NDArray[np.float32]], names: Sequence[str]
        ) -> dict[str, NDArray[np.float32]]:
            # Contrasts on the way to a target are not asked for.
            model = self if made.keys() >= set(names) else self.asking()
            return model.synthesize_slices(shown, names)

        return expected_errors(
            synthesize,
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

        def decode(chosen: NDArray[np.intp]) -> None:
            decoded = self._decode(stack[chosen], tuple(sources), names)
            for name, slices in decoded.items():
                made[name][chosen] = slices

        in_batches(
            filled,
            decode,
            self.device,
            pixels=source_count * finer[0] * finer[1],
            size=(rows, columns),
            remedy="try --device cpu, fewer sources, or --precision bfloat16",
            note=self.note,
            done=lambda slices: progress(slices, len(filled), " ".join(names)),
        )
        pixel_mm = self.pixel_mm or (1.0, 1.0)
        brightest = brightest_possible(sources, pixel_mm)
        for name, slices in made.items():
            if not np.isfinite(slices).all():
                raise ModelError(
                    f"the network gave values for {name} that are not finite",
                    why=f"weights '{self.identity.name}', precision {self.identity.precision}",
                    remedy="try --precision float32",
                )
            if not self.plain:
                detailed = with_shared_detail(name, slices, sources, pixel_mm)
                made[name] = np.minimum(detailed, brightest)
        return made

    def _decode(
        self, stack: NDArray[np.float32], sources: Sequence[str], names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """One batch (slices, sources, rows, columns): encoded once, decoded once per target."""
        images = torch.from_numpy(stack).to(self.device)
        rows, columns = images.shape[2:]
        images = resized(images, self._magnified_size((rows, columns)))
        present = torch.ones(images.shape[:2], dtype=torch.bool, device=self.device)
        conditions = {name: self._condition(name) for name in names}
        outputs = {}
        with torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32
        ):
            shown = torch.tensor([NAMES.index(name) for name in sources], device=self.device)
            features = self.generator.encode_sources(images, present, shown)
            for name in names:
                condition = conditions[name].expand(len(images), -1)
                outputs[name] = self.generator.decode(features, condition)
        return {
            name: resized(output.float(), (rows, columns)).clamp(0, 1)[:, 0].cpu().numpy()
            for name, output in outputs.items()
        }

    def _condition(self, name: str) -> torch.Tensor:
        """The text vector [1, condition_size] of a target, as it is asked for."""
        if self.worded is not None:
            return self.worded.condition(name).to(self.device)
        return self.generator.condition([name], [self.asked.fat_suppressed])

    def on_pixels(self, rows_mm: float, columns_mm: float) -> Synthesizer:
        """The same model for slices with pixels of this size."""
        return replace(self, pixel_mm=(rows_mm, columns_mm))

    def on_pixels_of(self, sources: Mapping[str, Volume]) -> Synthesizer:
        """The same model for what `scaled` makes of these volumes."""
        first = next(iter(sources.values()))
        _, rows_mm, columns_mm = first.geometry.slice_spacing
        return self.on_pixels(rows_mm, columns_mm)

    def _magnified_size(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.plain or self.pixel_mm is None or self.working_mm is None:
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
