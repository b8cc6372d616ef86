"""One call of `embed`, many patients: read, embed, write; and go on when one of them fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from omnisyn.errors import InputError, UsageError
from omnisyn.inference.batch import each_patient
from omnisyn.inference.embedder import Embedder
from omnisyn.inference.embedding_file import (
    SUFFIX,
    PatientEmbedding,
    describe,
    read_embedding,
    write_embedding,
)
from omnisyn.inference.naming import without_contrast
from omnisyn.inference.patients import PatientSources
from omnisyn.inference.request import LoadedPatient, Request
from omnisyn.listeners import Note, Progress, labelled, unheard, unwatched
from omnisyn.studies.subjects import labels
from omnisyn.volumes.atomic import output_folder, refuse_existing


def patient_id(patient: PatientSources) -> str:
    """What a patient is called: by folders or BIDS labels, else by the scan's name without its
    contrast, else by the folder that the scan lies in."""
    if patient.found:
        return patient.name
    path = patient.sources[0].path.absolute()
    own = "_".join(labels(path.name)) or without_contrast(path.name)
    words = [*patient.folder.parts, own] if own else [*patient.folder.parts] or [path.parent.name]
    return "/".join(words)


def embedding_path(patient: PatientSources, output: Path) -> Path:
    """Where a patient's file goes: `output` itself, or below it as `STEM_embedding.safetensors`."""
    if output.suffix == SUFFIX:
        return output
    own = without_contrast(patient.sources[0].path.name)
    stem = f"{own}_embedding" if own else "embedding"
    return output / patient.folder / f"{stem}{SUFFIX}"


def run_embed(
    patients: Sequence[PatientSources],
    request: Request,
    load: Callable[[], Embedder],
    *,
    identifier: str | None = None,
    note: Note = unheard,
    result: Note = unheard,
    progress: Progress = unwatched,
) -> list[PatientEmbedding]:
    """Embed every scan of every patient, and write one file a patient.

    Args:
        load: makes the Embedder; called once, and only if the first patient can be read.
        identifier: what the one patient is called, in place of `patient_id`.
        result: hears the path of each file when it is there.

    Raises:
        UsageError: one file or one id for several patients.
        OmnisynError: of the one patient, or of the first with `fail_fast`.
        PartialFailure: some or all of several patients failed; the others are written.
    """
    if len(patients) > 1:
        _refuse_for_several(request.output, identifier, len(patients))
    embeddings: list[PatientEmbedding] = []
    model = cache(load)

    def work(patient: PatientSources, loaded: LoadedPatient, label: str) -> None:
        path = embedding_path(patient, request.output)
        name = patient_id(patient) if identifier is None else identifier
        description = describe(name, loaded, model())
        if request.skip_existing and (there := _already_made(path, description)):
            note(f"{path.name}: left alone, it is there and made of the same")
            embeddings.append(there)
            return
        refuse_existing(path, overwrite=request.overwrite)
        # Made before the work, so that a folder that cannot be made is known at once.
        with output_folder(path.parent):
            scans = {
                contrast: model().embed(volume, contrast, labelled(progress, f"{label}{contrast} "))
                for contrast, volume in loaded.sources.items()
            }
            embedding = PatientEmbedding(path, name, scans, description)
            write_embedding(embedding, overwrite=request.overwrite)
        embeddings.append(embedding)
        result(str(path))

    each_patient(patients, request, work, note)
    return embeddings


def _refuse_for_several(output: Path, identifier: str | None, count: int) -> None:
    if output.suffix == SUFFIX:
        raise UsageError(
            f"{output.name} is one file, and here are {count} patients",
            remedy="give a folder as --out",
        )
    if identifier is not None:
        raise UsageError(
            f"--patient names one patient, and here are {count}",
            remedy="leave it out, or run that patient alone",
        )


def _already_made(path: Path, description: dict[str, object]) -> PatientEmbedding | None:
    """What lies at the path, if it was made of these scans with these weights."""
    try:
        there = read_embedding(path)
    except InputError:
        return None
    return there if there.description == description else None
