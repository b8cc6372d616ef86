"""One call, many patients: read, synthesize, write; and go on when one of them fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, ModelError, PartialFailure, UsageError, sentence_of
from omnisyn.inference.derivative import described_folder
from omnisyn.inference.loading import read_patient
from omnisyn.inference.patients import PatientSources, find_patients
from omnisyn.inference.request import LoadedPatient, Output, Request, source_and_target
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.inference.writing import (
    already_made,
    refuse_unfit_output,
    volume_path,
    write_synthesis,
)
from omnisyn.listeners import Note, Progress, labelled, unheard, unwatched
from omnisyn.paths import name_of
from omnisyn.studies.bids import DERIVATIVES, is_raw_dataset
from omnisyn.studies.subjects import selected
from omnisyn.volumes.atomic import output_folder
from omnisyn.volumes.read import is_dicom_file, is_dicom_folder

_STRICT_REMEDY = "look at the image; without --strict this is a warning"


def check_request(items: Sequence[str | Path], request: Request) -> list[PatientSources]:
    """Everything that can be refused before a model is loaded.

    Raises:
        UsageError: an unknown contrast, subject or session, sources that cannot be told apart, a
            truth for many, DICOM output from a NIfTI source.
        InputError: a missing path, or an output folder inside a source.
    """
    wanted = {contrast(name) for name in request.targets if name.lower() != "all"}
    patients = find_patients(items, request.series)
    if request.subjects or request.sessions:
        chosen = selected(
            [patient.parts for patient in patients], request.subjects, request.sessions
        )
        patients = [patient for patient in patients if patient.parts in chosen]
    for patient in patients:
        # In a folder, a target among the scans is the truth.
        given = [] if patient.found else [source.contrast for source in patient.sources]
        for both in wanted.intersection(filter(None, given)):
            raise source_and_target(both.name)
    if request.truth and len(patients) > 1:
        raise UsageError(
            f"--truth belongs to one patient, and here are {len(patients)}",
            remedy="run that patient alone; in a folder of patients the truth is found",
        )
    for name, path in (request.truth or {}).items():
        contrast(name)
        if not os.path.exists(path):
            raise InputError("there is no such file", where=name_of(path), remedy="check --truth")
    _refuse_output_inside_sources(items, patients, request.output)
    _refuse_dicom_from_nifti(patients, request)
    return patients


def run_batch(
    patients: Sequence[PatientSources],
    request: Request,
    load: Callable[[], Synthesizer],
    *,
    note: Note = unheard,
    result: Note = unheard,
    progress: Progress = unwatched,
) -> list[Output]:
    """Synthesize and write every target of every patient.

    Args:
        load: makes the Synthesizer; called once, and only if the first patient can be read.
        result: hears the path of each volume when it is there.

    Raises:
        OmnisynError: of the one patient, or of the first with `fail_fast`.
        PartialFailure: some or all of several patients failed; the others are written.
    """
    outputs: list[Output] = []

    @cache
    def model() -> Synthesizer:
        return load().asking(request.asked.acquisition, request.asked.prompt)

    def work(patient: PatientSources, loaded: LoadedPatient, label: str) -> None:
        outputs.extend(
            synthesize_patient(
                loaded,
                request,
                model(),
                note=note,
                result=result,
                progress=labelled(progress, label),
            )
        )

    each_patient(patients, request, work, note)
    return outputs


def each_patient(
    patients: Sequence[PatientSources],
    request: Request,
    work: Callable[[PatientSources, LoadedPatient, str], None],
    note: Note = unheard,
) -> None:
    """Read every patient and do the work; go on with the others when one fails.

    Args:
        work: takes a patient, what was read of it, and a label for progress that says which it is.

    Raises:
        OmnisynError, PartialFailure: as `run_batch`.
    """
    failures: list[str] = []
    for number, patient in enumerate(patients, start=1):
        label = "" if len(patients) == 1 else f"patient {number}/{len(patients)} "
        try:
            loaded = read_patient(patient, request, note, alone=len(patients) == 1)
            work(patient, loaded, label)
        except (UsageError, ModelError, OSError):
            # What was asked for, or what it is to be done with, is wrong for every patient. Faults
            # of the disk are errors of ours by now: an OSError is that of a reader who has gone.
            raise
        except Exception as fault:
            if len(patients) == 1 or request.fail_fast:
                raise
            failures.append(patient.name)
            note(f"{patient.name} failed: {sentence_of(fault)}")
    if failures:
        raise PartialFailure(
            f"{len(failures)} of {len(patients)} patients failed",
            why=", ".join(failures[:5]) + (" …" if len(failures) > 5 else ""),
            remedy="the lines above say why"
            + ("; the others are written" if len(failures) < len(patients) else ""),
        )


def synthesize_patient(
    patient: LoadedPatient,
    request: Request,
    synthesizer: Synthesizer,
    *,
    note: Note = unheard,
    result: Note = unheard,
    progress: Progress = unwatched,
) -> list[Output]:
    """Synthesize and write every target of one patient that was read.

    Raises:
        UsageError, InputError, ModelError, ResourceError: as the parts raise them.
    """
    targets = synthesizer.targets(request.targets, list(patient.sources))
    if not targets:
        raise InputError(
            "there is nothing left to make",
            where=patient.name,
            why="every target is a source",
            remedy="leave a source out",
        )
    paths = {name: volume_path(patient, request, name) for name in targets}
    if request.skip_existing:
        weights = synthesizer.identity
        for name in [n for n in targets if already_made(paths[n], n, patient, weights, request)]:
            note(f"{paths.pop(name).name}: left alone, it is there and its hashes match")
        targets = tuple(paths)
        if not targets:
            return []
    if request.uncertainty:
        synthesizer.calibrated()
    for name, path in paths.items():
        refuse_unfit_output(path, name, patient, request)
    remarks = list(patient.warnings)

    def remark(sentence: str) -> None:
        remarks.append(sentence)
        note(sentence)

    outputs = []
    # Made before the work, so that a folder that cannot be made is known at once.
    with output_folder(request.output / patient.folder), described_folder(request, patient):
        for sentence in synthesizer.oddities(targets):
            remark(sentence)
        model = synthesizer.telling(remark).on_pixels_of(patient.sources)
        scaled = model.scaled(patient.sources)
        familiarity = model.familiarity(scaled)
        for found in familiarity.values():
            if found.warning is not None:
                if request.reading.strict:
                    raise InputError(found.warning, where=patient.name, remedy=_STRICT_REMEDY)
                remark(found.warning)
        made = model.synthesize_slices(scaled, targets, progress)
        errors = model.expected_errors(scaled, made) if request.uncertainty else {}
        for name, slices in made.items():
            output = write_synthesis(
                paths[name],
                slices,
                name,
                patient,
                request,
                synthesizer.identity,
                expected_error=errors.get(name),
                familiarity=familiarity,
                warnings=remarks,
                note=note,
            )
            outputs.append(output)
            result(str(output.volume))
    return outputs


def _refuse_dicom_from_nifti(patients: Sequence[PatientSources], request: Request) -> None:
    """A derived series is built on its source's headers; a NIfTI file has none."""
    if request.format != "dicom":
        if request.pseudonyms is not None:
            raise UsageError(
                "--anonymize belongs to DICOM output", remedy="add --format dicom, or leave it out"
            )
        return
    for patient in patients:
        first = patient.sources[0].path
        if not (first.is_dir() or is_dicom_file(first)):
            raise UsageError(
                f"{first.name} is not DICOM, and a DICOM series is built on its source's headers",
                remedy="give the DICOM series as the first --src, or leave --format out",
            )


def _refuse_output_inside_sources(
    items: Sequence[str | Path], patients: Sequence[PatientSources], output: Path
) -> None:
    """Results among the scans would be taken for scans by the next run.

    A BIDS dataset has a place for results, which is not searched for scans.
    """
    target = output.resolve()
    folders = [Path(str(item)) for item in items if Path(str(item)).is_dir()]
    folders += [
        source.path
        for patient in patients
        for source in patient.sources
        if source.path.is_dir() and is_dicom_folder(source.path)
    ]
    for folder in folders:
        source = folder.resolve()
        bids = is_raw_dataset(source)
        if bids and source / DERIVATIVES in target.parents:
            continue
        if source in (target, *target.parents):
            raise InputError(
                "the output folder lies inside the source",
                where=name_of(folder),
                remedy="choose another output folder"
                + (f", such as {DERIVATIVES}/omnisyn in it" if bids else ""),
            )
