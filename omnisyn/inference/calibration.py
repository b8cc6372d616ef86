"""What was measured about a set of weights: `NAME.calibration.safetensors` beside it.

It holds how errors follow from the signs of uncertainty, and descriptions of training-like volumes,
against which a source is held. Both belong to one file of weights, which is named by its SHA-256.
`omnisyn models calibrate NAME` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import Field

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, ModelError
from omnisyn.inference.familiarity import FamiliarityStatistics, fit_familiarity
from omnisyn.inference.uncertainty import ErrorStatistics, ErrorWeights, fit_error_weights, signs
from omnisyn.listeners import Note, Progress, unwatched
from omnisyn.models.tensor_file import parse_tensors
from omnisyn.paths import open_regular
from omnisyn.settings import Settings, parse
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.site import DataRoot
from omnisyn.studies.slices import SliceBatch, SliceSource, evenly_thinned
from omnisyn.volumes.atomic import resource_error, write_bytes_atomic
from omnisyn.volumes.normalize import head_mask

if TYPE_CHECKING:
    from omnisyn.inference.synthesizer import Synthesizer

_KEY = "calibration"
_SLICES_FOR_ERRORS = 2
_SEVERAL_SOURCES = 2


class CalibrationFacts(Settings):
    """What of a calibration is no tensor."""

    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    measured_on: str
    simulated: bool
    patients: int = Field(ge=2)
    contrasts: tuple[str, ...] = Field(min_length=1)
    limit: float = Field(gt=0)
    errors: ErrorStatistics


@dataclass(frozen=True)
class Calibration:
    """A calibration.

    Attributes:
        weights_sha256: of the weights it belongs to.
        measured_on: the data, in words.
        simulated: whether the patients were simulated.
        patients: how many.
        familiarity: descriptions of their volumes.
        errors: how errors follow from the signs of uncertainty.
    """

    weights_sha256: str
    measured_on: str
    simulated: bool
    patients: int
    familiarity: FamiliarityStatistics
    errors: ErrorStatistics


def calibration_path(card: Path) -> Path:
    """Where the calibration of the weights with this card lies."""
    return card.with_name(f"{card.stem}.calibration.safetensors")


def read_calibration(card: Path, sha256: str, note: Note) -> Calibration | None:
    """The calibration beside a set of weights; None where there is none, or one of other weights.

    Args:
        card: of the weights that were loaded.
        sha256: of these weights.
        note: hears that the calibration belongs to other weights.

    Raises:
        ModelError: it is damaged.
        ResourceError: the disk does not let it be read.
    """
    path = calibration_path(card)
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise resource_error("cannot read", path, error) from error
    found = _parsed(content, path.name)
    if found.weights_sha256 != sha256:
        note(f"{path.name} was measured on other weights and is not used; calibrate these anew")
        return None
    return found


def write_calibration(path: Path, calibration: Calibration, *, overwrite: bool = False) -> None:
    """Write it, whole.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the disk refuses.
    """
    statistics = calibration.familiarity
    facts = CalibrationFacts(
        weights_sha256=calibration.weights_sha256,
        measured_on=calibration.measured_on,
        simulated=calibration.simulated,
        patients=calibration.patients,
        contrasts=statistics.contrasts,
        limit=statistics.limit,
        errors=calibration.errors,
    )
    tensors = {
        "descriptions": torch.from_numpy(statistics.descriptions).half(),
        "spread": torch.from_numpy(statistics.spread),
    }
    content = safetensors.torch.save(tensors, {_KEY: facts.model_dump_json()})
    write_bytes_atomic(path, content, overwrite=overwrite)


def calibration_source(root: Path | None, patients: int) -> SliceSource:
    """The validation patients of a data root's training sites; so many of the simulator's for None.

    Raises:
        InputError, UsageError: the root holds no site to train on, see ``DataRoot.select``.
    """
    # Only validation patients are asked for, so that batches and windows do not matter.
    if root is not None:
        return CachedSlices(DataRoot(root).select("train"), batch_size=1, crop=32, seed=0)
    return SimulatedSlices(
        load_cohort("hospitals"), batch_size=1, crop=32, seed=0, validation_patients=patients
    )


def calibrate(
    synthesizer: Synthesizer,
    patients: Sequence[SliceBatch],
    measured_on: str,
    *,
    simulated: bool,
    progress: Progress = unwatched,
) -> Calibration:
    """Measure a loaded model on patients like those it was trained on, but not among them.

    Args:
        patients: one batch a patient, whole slices; two at least.
        measured_on: the data, in words.
        simulated: whether any of them is simulated.

    Raises:
        InputError: too few patients, or none with the contrasts that are needed.
    """
    if len(patients) < 2:
        raise InputError(
            "there are too few patients to calibrate on",
            why=f"{len(patients)} of at least 2",
            remedy="take more patients",
        )
    familiarity = fit_familiarity(synthesizer.generator, patients, synthesizer.device)
    return Calibration(
        weights_sha256=synthesizer.identity.sha256,
        measured_on=measured_on,
        simulated=simulated,
        patients=len(patients),
        familiarity=familiarity,
        errors=_fit_errors(synthesizer, patients, progress),
    )


def _fit_errors(
    synthesizer: Synthesizer, patients: Sequence[SliceBatch], progress: Progress
) -> ErrorStatistics:
    """Each patient is synthesized in one direction from one source, and from several.

    A target is never one with fat suppression, which was not asked for.
    """
    samples: dict[bool, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {
        False: [],
        True: [],
    }
    for number, patient in enumerate(patients):
        present = patient.present.all(dim=0)
        plain = present & ~patient.fat_suppressed.any(dim=0)
        known = [name for name in synthesizer.contrasts if present[NAMES.index(name)]]
        targets = [name for name in known if plain[NAMES.index(name)]]
        if targets:
            # The turn goes round, so that every contrast comes to be source and target.
            target = targets[number % len(targets)]
            place = known.index(target)
            others = known[place + 1 :] + known[:place]
            for several, count in ((False, 1), (True, _SEVERAL_SOURCES)):
                if len(others) >= count:
                    sample = _sample(synthesizer, patient, others[:count], target)
                    samples[several].append(sample)
        progress(number + 1, len(patients), "errors")
    if not samples[False]:
        raise InputError(
            "no patient has the contrasts to calibrate on",
            why="two contrasts of one patient are needed, one of them without fat suppression",
            remedy="take other patients",
        )
    return ErrorStatistics(
        one_source=_fitted(samples[False]),
        several_sources=_fitted(samples[True] or samples[False]),
    )


def _sample(
    synthesizer: Synthesizer, patient: SliceBatch, sources: Sequence[str], target: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sign and absolute error of the voxels of the head in a few slices."""
    chosen = evenly_thinned(range(len(patient)), _SLICES_FOR_ERRORS)
    images = patient.images[chosen].cpu().numpy()
    shown = {name: images[:, NAMES.index(name)] for name in sources}
    pixel = float(patient.pixel_mm[0])
    model = synthesizer.on_pixels(pixel, pixel)
    made = dict(model.synthesize_slices(shown, [target]))
    head = head_mask(list(shown.values()))
    found = signs(model.synthesize_slices, shown, made, model.contrasts)[target]
    errors = np.abs(made[target] - images[:, NAMES.index(target)])
    return found[head], errors[head]


def _fitted(
    samples: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> ErrorWeights:
    found, errors = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    return fit_error_weights(found, errors)


def _parsed(content: bytes, where: str) -> Calibration:
    tensors = parse_tensors(content, where)
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        told = json.loads(header["__metadata__"][_KEY])
        facts = parse(CalibrationFacts, told, where=where)
        descriptions, spread = (
            tensors[name].float().numpy() for name in ("descriptions", "spread")
        )
        if descriptions.shape != (len(facts.contrasts), *spread.shape):
            raise ValueError(f"{descriptions.shape} descriptions, {len(facts.contrasts)} contrasts")
        if not (np.isfinite(descriptions).all() and (spread > 0).all()):
            raise ValueError("a description is not finite, or a spread is not above zero")
    except (KeyError, TypeError, ValueError, RecursionError, InputError) as error:
        raise ModelError(
            "this is no calibration of weights",
            where=where,
            why=str(error),
            remedy="make it again: omnisyn models calibrate WEIGHTS --overwrite",
        ) from error
    return Calibration(
        weights_sha256=facts.weights_sha256,
        measured_on=facts.measured_on,
        simulated=facts.simulated,
        patients=facts.patients,
        familiarity=FamiliarityStatistics(facts.contrasts, descriptions, spread, facts.limit),
        errors=facts.errors,
    )
