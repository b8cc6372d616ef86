"""Read a patient's scans, and tell what is a source from what is a target found beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omnisyn.contrasts import NAMES, contrast, guess_contrast
from omnisyn.errors import InputError
from omnisyn.inference.patients import PatientSources
from omnisyn.inference.repeats import without_repeats
from omnisyn.inference.request import LoadedPatient, Request
from omnisyn.listeners import Note, unheard
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import sidecar_path


def read_patient(
    patient: PatientSources, request: Request, note: Note = unheard, *, alone: bool = True
) -> LoadedPatient:
    """Read a patient's scans and tell sources from targets.

    Args:
        alone: no other patient's results go to the same output folder.

    Raises:
        InputError: a scan is damaged, its contrast is not told, or two scans have one contrast.
    """
    for source in patient.sources:
        _refuse_name_that_is_no_text(source.path.name)
    # Only in a BIDS dataset do names tell a repeat from another patient's scan or a copy.
    several = patient.dataset is not None
    scans, choices = without_repeats(patient.sources) if several else (patient.sources, ())
    wanted = {contrast(name).name for name in request.targets if name.lower() != "all"}
    sources: dict[str, Volume] = {}
    truth: dict[str, Volume] = {}
    files = list((request.truth or {}).values())
    places: dict[str, str] = {}
    for source in scans:
        try:
            reading = replace(request.reading, series=source.series)
            volume = read_volume(source.path, source.contrast, reading)
        except InputError as fault:
            # A series that nobody asked for must not cost the patient; one whose name promises a
            # contrast must, or a source would go missing silently.
            promised = source.contrast or guess_contrast(source.path.name)
            if patient.found and promised is None:
                note(f"left out: {fault}")
                continue
            raise
        shown = source.contrast or volume.contrast
        if shown is None:
            if patient.found:
                note(f"{source.path.name}: left out, nothing says which contrast it shows")
                continue
            raise InputError(
                "nothing says which contrast it shows",
                where=source.path.name,
                remedy=f"write CONTRAST={source.path.name}, with one of {', '.join(NAMES)}",
            )
        aside = patient.found and shown.name in wanted
        taken = truth if aside else sources
        if shown.name in taken:
            raise InputError(
                f"two scans are {shown.name}: {taken[shown.name].provenance.name} and "
                f"{source.path.name}",
                where=patient.name,
                remedy="keep one of them, or run this patient alone with CONTRAST=PATH",
            )
        taken[shown.name] = volume
        files.append(source.path)
        if patient.dataset is not None:
            places[shown.name] = source.path.relative_to(patient.dataset).as_posix()
    if not sources:
        raise InputError(
            "has no scan to start from",
            where=patient.name,
            why=f"it holds only the targets {', '.join(truth)}" if truth else None,
            remedy="ask for other targets" if truth else "give each scan as CONTRAST=PATH",
        )
    for name, path in (request.truth or {}).items():
        truth[contrast(name).name] = read_volume(path, contrast(name))
    _refuse_strangers(patient.name, [*sources.values(), *truth.values()])
    _refuse_repeated(patient.name, sources.values())
    name, folder = patient.name, patient.folder
    if request.pseudonyms is not None:
        # A folder is often named after its patient, and so is a series.
        name = "anonymous"
        if not alone:
            folder = Path(request.pseudonyms.patient(patient.name))
        sources = {shown: _renamed(volume, shown) for shown, volume in sources.items()}
    if request.format == "dicom":
        _refuse_without_headers(sources)
    files += [sidecar_path(file) for file in files]
    loaded = LoadedPatient(
        name, folder, sources, truth, tuple(files), patient.dataset, places, choices
    )
    for warning in loaded.warnings:
        note(warning)
    return loaded


def _refuse_name_that_is_no_text(name: str) -> None:
    """It could not be written down in a sidecar."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    if shown != name:
        raise InputError(
            "the name holds bytes that are not UTF-8", where=shown, remedy="rename the file"
        )


def _renamed(volume: Volume, name: str) -> Volume:
    return replace(volume, provenance=replace(volume.provenance, name=name))


def _refuse_strangers(name: str, volumes: Sequence[Volume]) -> None:
    """Scans of two patients must never meet."""
    if len({volume.headers[0].patient for volume in volumes if volume.headers} - {""}) > 1:
        raise InputError(
            "the scans belong to several patients",
            where=name,
            why="their headers name different ones",
            remedy="give the scans of one patient",
        )


def _refuse_repeated(name: str, volumes: Iterable[Volume]) -> None:
    """One scan is not two contrasts."""
    seen: dict[str | None, Volume] = {}
    for volume in volumes:
        other = seen.setdefault(volume.provenance.sha256, volume)
        if other is not volume:
            raise InputError(
                "two contrasts are one and the same image",
                where=name,
                why=f"{other.provenance.name} and {volume.provenance.name} do not differ",
                remedy="give each contrast its own scan",
            )


def _refuse_without_headers(sources: Mapping[str, Volume]) -> None:
    from omnisyn.volumes.dicom_write import refuse_unfit_headers

    reference, *others = sources.values()
    refuse_unfit_headers(reference.headers, reference.provenance.name)
    for other in others:
        if other.headers:
            refuse_unfit_headers(other.headers)
