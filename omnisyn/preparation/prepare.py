"""Makes a site of a folder of patients, and the slice cache of a site."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, UsageError
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.paths import name_of
from omnisyn.preparation.alignment import align_patient, read_atlases
from omnisyn.preparation.discover import Found, FoundPatient, find_patients, require_folder
from omnisyn.preparation.sidecars import impersonal, names_people
from omnisyn.settings import parse
from omnisyn.studies.cache_files import CacheIndex, build_cache
from omnisyn.studies.patients_table import (
    IDENTIFIER,
    check_identifier,
    read_patients_table,
)
from omnisyn.studies.site import (
    PUBLIC_SITE,
    ROOT_FILE,
    SITE_FILE,
    Role,
    Site,
    SiteSettings,
    open_site,
    refuse_other_than_site,
    register_site,
    write_site_files,
)
from omnisyn.volumes.atomic import (
    atomic_directory,
    output_folder,
    write_bytes_atomic,
    write_json_atomic,
)
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.gzip_member import pack
from omnisyn.volumes.read import read_sidecar


@dataclass(frozen=True)
class PreparedPatient:
    """One patient in a summary: contrasts, masks, slices in all and those with enough head."""

    identifier: str
    contrasts: tuple[str, ...]
    masks: tuple[str, ...]
    slices: int
    head_slices: int


@dataclass(frozen=True)
class PrepareSummary:
    """What ``prepare`` did.

    Attributes:
        site: the site, as it now stands.
        in_place: only the cache was built, of a site that was there.
        patients: one entry a patient.
        ignored: names of the NIfTI files in the source that were passed over.
        cache_bytes: size of the cache's arrays.
    """

    site: Site
    in_place: bool
    patients: tuple[PreparedPatient, ...]
    ignored: tuple[str, ...]
    cache_bytes: int


def prepare(
    source: Path,
    out: Path | None = None,
    *,
    role: Role | None = None,
    scanner: str | None = None,
    hospital: str | None = None,
    credit: str | None = None,
    brain_atlases: Sequence[Path] = (),
    overwrite: bool = False,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> PrepareSummary:
    """Makes a site of NIfTI files, or the slice cache of a site that is there.

    A ``source`` with a ``site.toml`` is a site: its cache is built (again) in place, a
    ``sites.toml`` beside it that does not list it gets it at its end, and nothing else is touched.
    Any other folder is searched for patients (see ``discover``); their volumes
    are copied, bit for bit, to ``out/<patient>/<contrast>.nii.gz`` with their sidecars (less what
    names people), ``patients.tsv`` takes over the rows of the source's ``patients.tsv`` or
    ``participants.tsv``, and the cache is built. Where a patient's contrasts lie on different
    grids, they are registered to the reference (T1, or the patient's first) and resampled onto its
    grid; what lies there already stays as it is. The site appears whole or not at all.

    Args:
        source: a folder of patients, or a site.
        out: the site to be made, ``ROOT/SITE``; its last part becomes the site's name. Not for a
            source that is a site.
        role: of a new site; default ``train``.
        scanner: of a new site, free text.
        hospital: of a new site, free text.
        credit: of a new site: whom to thank for the data.
        brain_atlases: whole-head label maps (see ``brain``); with them the site's volumes are 0
            outside the brain.
        overwrite: replace a site that exists at ``out``, with all its volumes; nothing else that
            may be there is replaced.
        note: hears, for each patient, what was registered and how far it had moved.
        progress: called before each patient is aligned, and before it is scaled and cached.

    Raises:
        UsageError: ``out`` or a property is missing, or given for a source that is a site.
        InputError: no patient, an unusable file, contrasts of one patient that cannot be
            registered, an unfit site name, or an existing ``out``.
        ResourceError: the disk is full or read-only.
    """
    require_folder(source)
    properties = {
        "role": role,
        "scanner": scanner,
        "hospital": hospital,
        "credit": credit,
    }
    given = {key: value for key, value in properties.items() if value is not None}
    if (source / SITE_FILE).is_file():
        if brain_atlases:
            raise UsageError(
                "the brain alone cannot be kept of a site that exists",
                where=name_of(source),
                remedy="make another site of the folder that it was made from",
            )
        site = _site_in_place(source, out, given)
        index = build_cache(site, progress)
        root = source.absolute().parent
        if (root / ROOT_FILE).is_file():
            register_site(root, site.name)
        return _summary(site, index, in_place=True, ignored=())
    if (source / ROOT_FILE).is_file():
        raise UsageError(
            "the source is a data root",
            where=name_of(source),
            remedy="prepare its sites one by one, each with its folder as the source",
        )
    if out is None:
        raise UsageError(
            "the source is no site, so a place for the new site is needed",
            where=name_of(source),
            remedy="say --out ROOT/SITE",
        )
    _check_places(source, out)
    if overwrite:
        refuse_other_than_site(out)
    found = find_patients(source)
    settings = _settings(out.resolve().name, found, {"role": "train", **given})
    rows = _rows(source, found)
    atlases = read_atlases(brain_atlases)
    with output_folder(out.parent):
        with atomic_directory(out, overwrite=overwrite) as folder:
            for patient in found.patients:
                _copy_patient(patient, folder)
            write_site_files(folder, settings, rows)
            unnamed = Site(folder, settings)
            patients = unnamed.patients()
            for done, copied in enumerate(patients):
                progress(done, len(patients), f"align {copied.identifier}")
                align_patient(copied, atlases, note)
            index = build_cache(unnamed, progress)
            for copied in patients:
                # The cache leaves masks aside: read them once, so that a misfit shows now.
                copied.study(copied.contrasts()[:1])
        register_site(out.parent, settings.name)
    return _summary(open_site(out), index, in_place=False, ignored=found.ignored)


def _site_in_place(source: Path, out: Path | None, given: Mapping[str, str]) -> Site:
    site = open_site(source)
    if out is not None and out.resolve() != source.resolve():
        raise UsageError(
            f"the source is site {site.name} already, whose cache is built in place",
            where=name_of(source),
            remedy="leave --out away, or copy the folder to where it should be",
        )
    if given:
        raise UsageError(
            f"{next(iter(given))} cannot be given for a site that exists",
            where=name_of(source),
            remedy=f"change it in {SITE_FILE}",
        )
    return site


def _check_places(source: Path, out: Path) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there or there in here.parents:
        raise InputError(
            "the source lies inside the site to be made",
            where=name_of(out),
            why="a site appears by replacing its whole folder",
            remedy="choose another --out",
        )
    if there.name == PUBLIC_SITE:
        raise InputError(
            f"{PUBLIC_SITE} is kept for the public NPC dataset (Zenodo record 13131827)",
            where=name_of(out),
            why="figures under that name must always mean the same patients",
            remedy="choose another name",
        )


def _settings(name: str, found: Found, given: Mapping[str, str]) -> SiteSettings:
    marks = {
        bool(read_sidecar(path).get("Simulated"))
        for patient in found.patients
        for path in patient.contrasts.values()
    }
    if len(marks) > 1:
        raise InputError(
            "simulated and real volumes are mixed",
            where=name,
            why="some sidecars say Simulated, others do not",
            remedy="prepare them as two sites",
        )
    # On the grid of the reference all others lie, so it should be one that everybody has.
    shared = [name for name in NAMES if all(name in p.contrasts for p in found.patients)]
    reference = (shared or list(found.patients[0].contrasts))[0]
    return parse(
        SiteSettings,
        {"name": name, "simulated": marks.pop(), "reference": reference, **given},
        SITE_FILE,
    )


def _rows(source: Path, found: Found) -> list[dict[str, str]]:
    known = read_patients_table(source) or read_patients_table(source, "participants.tsv")
    rows = []
    for patient in found.patients:
        check_identifier(patient.identifier, patient.identifier)
        row = {IDENTIFIER: patient.identifier}
        if patient.subject != patient.identifier:
            row["subject"] = patient.subject
        found_row = known.get(patient.identifier) or known.get(patient.subject, {})
        row.update({key: value for key, value in found_row.items() if not names_people(key)})
        rows.append(row)
    return rows


def _copy_patient(patient: FoundPatient, folder: Path) -> None:
    target = folder / patient.identifier
    target.mkdir()
    for name, path in {**patient.contrasts, **patient.masks}.items():
        file = read_file(path)
        content = file.content if file.packed else b"".join(pack(file.content))
        write_bytes_atomic(target / f"{name}.nii.gz", content)
        if name in patient.contrasts:
            digest = hashlib.sha256(file.content).hexdigest()
            write_json_atomic(target / f"{name}.json", _sidecar(path, name, digest))


def _sidecar(path: Path, name: str, digest: str) -> dict[str, Any]:
    return {
        **impersonal(read_sidecar(path)),
        "Contrast": name,
        "SourceFile": path.name,
        "SourceSHA256": digest,
    }


def _summary(
    site: Site, index: CacheIndex, *, in_place: bool, ignored: tuple[str, ...]
) -> PrepareSummary:
    masks = {patient.identifier: patient.masks() for patient in site.patients()}
    arrays = site.cache.glob("*.npy")
    return PrepareSummary(
        site=site,
        in_place=in_place,
        patients=tuple(
            PreparedPatient(
                identifier=entry.identifier,
                contrasts=entry.contrasts,
                masks=masks[entry.identifier],
                slices=entry.shape[0],
                head_slices=len(entry.head_slices),
            )
            for entry in index.patients
        ),
        ignored=ignored,
        cache_bytes=sum(path.stat().st_size for path in arrays),
    )
