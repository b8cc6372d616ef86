"""A loaded model on patients whose truth is known: its calibration is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.inference.calibration import Calibration
from omnisyn.inference.familiarity import fit_familiarity
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.inference.uncertainty import ErrorStatistics, ErrorWeights, fit_error_weights, signs
from omnisyn.listeners import Progress, unwatched
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.label_maps import open_label_maps
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.mixed import MixedSlices, OpenSource
from omnisyn.studies.site import DataRoot
from omnisyn.studies.slices import SliceBatch, SliceSource, evenly_thinned
from omnisyn.volumes.normalize import head_mask

_SLICES_FOR_ERRORS = 2
_SEVERAL_SOURCES = 2


def calibration_source(
    root: Path | None, patients: int, label_maps: Sequence[Path] = ()
) -> SliceSource:
    """Patients like those that weights are trained on: of validation, so that no training saw them.

    Args:
        root: its training sites' validation patients are taken; for None the simulator's, of the
            training hospitals.
        patients: so many of the simulator's, and as many of label maps.
        label_maps: folders of labelled heads, deformed and scanned anew, beside the others.

    Raises:
        InputError, UsageError: the root holds no site to train on, see ``DataRoot.select``; or a
            folder has no label map.
    """
    # Only validation patients are asked for, so that batches and windows do not matter.
    shared: dict[str, Any] = {"crop": 32, "seed": 0}
    simulated: dict[str, Any] = {"validation_patients": patients, **shared}
    openers: list[OpenSource] = []
    if root is not None:
        sites = DataRoot(root).select("train")
        openers.append(lambda size: CachedSlices(sites, batch_size=size, **shared))
    else:
        hospitals = load_cohort("hospitals")
        openers.append(lambda size: SimulatedSlices(hospitals, batch_size=size, **simulated))
    if label_maps:
        anatomy, wide = open_label_maps(label_maps), load_cohort("anywhere")
        openers.append(
            lambda size: SimulatedSlices(wide, batch_size=size, anatomy=anatomy, **simulated)
        )
    return MixedSlices(openers, [1] * len(openers))


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
