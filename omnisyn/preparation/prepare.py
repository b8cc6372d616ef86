"""Makes a site of a folder of patients, and the slice cache of a site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from omnisyn import __version__
from omnisyn.errors import InputError, UsageError
from omnisyn.listeners import Note, Progress, labelled, unheard, unwatched
from omnisyn.paths import name_of
from omnisyn.preparation.external2 import is_external2, settle_masks
from omnisyn.preparation.find import require_folder
from omnisyn.preparation.options import PrepareOptions
from omnisyn.preparation.patient import PatientOptions
from omnisyn.preparation.plan import SitePlan, site_plans
from omnisyn.preparation.records import PatientRecord, SiteRecord
from omnisyn.preparation.register import Program, Transform
from omnisyn.preparation.report import write_report
from omnisyn.preparation.staging import Done, Staging
from omnisyn.preparation.workers import prepare_patients
from omnisyn.studies.cache_files import CachedPatient, build_cache, write_index
from omnisyn.studies.patients_table import IDENTIFIER
from omnisyn.studies.site import (
    PREPARATION_FOLDER,
    ROOT_FILE,
    SITE_FILE,
    Site,
    open_site,
    refuse_other_than_site,
    register_site,
    write_site_files,
)
from omnisyn.volumes.atomic import (
    output_folder,
    put_folder,
    refuse_existing_folder,
    write_json_atomic,
)
from omnisyn.volumes.locks import held_if_free

RECORD_FILE = "record.json"


@dataclass(frozen=True)
class PreparedPatient:
    """One patient in a summary: contrasts, masks, slices in all, those with enough head, and what
    somebody should look at."""

    identifier: str
    contrasts: tuple[str, ...]
    masks: tuple[str, ...]
    slices: int
    head_slices: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PrepareSummary:
    """What ``prepare`` did.

    Attributes:
        site: the site, as it now stands.
        in_place: only the cache was built, of a site that was there.
        patients: one entry a patient.
        failed: records of those that are not in the site, with the reason.
        passed_over: what of the source belongs to no patient.
        cache_bytes: size of the cache's arrays.
    """

    site: Site
    in_place: bool
    patients: tuple[PreparedPatient, ...]
    failed: tuple[PatientRecord, ...]
    passed_over: tuple[str, ...]
    cache_bytes: int


def prepare(
    source: Path,
    out: Path | None = None,
    options: PrepareOptions | None = None,
    *,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> list[PrepareSummary]:
    """Makes sites of hospitals' folders, or the slice cache of a site that is there.

    A ``source`` with a ``site.toml`` is a site: its cache is built (again) in place, a
    ``sites.toml`` beside it that does not list it gets it at its end, and nothing else is touched.
    Any other folder is searched for patients (see ``find``). Their scans are registered to the
    reference contrast and brought onto its grid, each interpolated once, written with their
    sidecars (less what names people) and cached; a scan that needs nothing is copied bit for bit.
    ``patients.tsv`` takes over the rows of the source's table. A patient that fails is left out and
    told. A site appears whole or not at all; a run that was stopped goes on where it was.

    Args:
        source: folders of patients in any arrangement, or a site.
        out: the site to be made, ``ROOT/SITE``, whose last part becomes its name; the root, where
            the instructions name several sites. Not for a source that is a site.
        options: how; by default as ``PrepareOptions`` says.
        note: hears of every patient that failed or should be looked at.
        progress: hears of every patient done.

    Raises:
        UsageError: ``out`` or an option is missing, unknown, or given for a source that is a site.
        InputError: no patient, none that could be prepared, an unfit site name, or an existing
            ``out``.
        ResourceError: the disk is full or read-only.
    """
    options = options or PrepareOptions()
    options.check()
    require_folder(source)
    if (source / SITE_FILE).is_file():
        return [_in_place(source, out, options, progress)]
    return [
        _make_site(site, options, note, progress)
        for site in site_plans(source, out, options, progress)
    ]


def _in_place(
    source: Path, out: Path | None, options: PrepareOptions, progress: Progress
) -> PrepareSummary:
    if options.brain_atlases or options.brain_mask:
        raise UsageError(
            "the brain alone cannot be kept of a site that exists",
            where=name_of(source),
            remedy="make another site of the folder that it was made from",
        )
    site = open_site(source)
    if out is not None and out.resolve() != source.resolve():
        raise UsageError(
            f"the source is site {site.name} already, whose cache is built in place",
            where=name_of(source),
            remedy="leave --out away, or copy the folder to where it should be",
        )
    if options.properties:
        raise UsageError(
            f"{next(iter(options.properties))} cannot be given for a site that exists",
            where=name_of(source),
            remedy=f"change it in {SITE_FILE}",
        )
    index = build_cache(site, progress)
    root = source.absolute().parent
    if (root / ROOT_FILE).is_file():
        register_site(root, site.name)
    return _summary(site, index.patients, in_place=True)


def _make_site(
    site: SitePlan, options: PrepareOptions, note: Note, progress: Progress
) -> PrepareSummary:
    out, settings = site.path, site.settings
    refuse_existing_folder(out, overwrite=options.overwrite)
    if options.overwrite:
        refuse_other_than_site(out)
    told = labelled(progress, f"{settings.name}: ")
    with output_folder(out.parent), _staging(out) as staging:
        arrangement, remarks = settle_masks(site.found) if is_external2(site.source) else (None, ())
        how = PatientOptions(
            site=settings.name,
            simulated=settings.simulated,
            reference=settings.reference,
            transform=cast(Transform, options.transform),
            program=(
                None if options.registration == "none" else cast(Program, options.registration)
            ),
            bias_correction=options.bias_correction,
            brain_atlases=options.brain_atlases,
            arrangement=arrangement,
        )
        jobs = options.jobs or len(os.sched_getaffinity(0))
        whole, failed = prepare_patients(
            site.found.patients, how, staging, jobs=jobs, progress=told
        )
        for record in failed:
            note(f"{settings.name}/{record.identifier} failed and is left out: {record.failure}")
        if not whole:
            raise InputError(
                "no patient could be prepared",
                where=settings.name,
                why=f"the first: {failed[0].identifier}: {failed[0].failure}",
                remedy="mend the source and run again",
            )
        passed_over = (*site.found.passed_over, *remarks)
        _assemble(site, how, whole, failed, passed_over, staging)
        put_folder(staging.path, out, overwrite=options.overwrite)
    register_site(out.parent, settings.name)
    for mark in whole:
        for flag in mark.record.flags:
            note(f"{settings.name}/{mark.record.identifier}: look at it: {flag}")
    return _summary(
        open_site(out),
        [mark.cached for mark in whole],
        in_place=False,
        flags={mark.record.identifier: mark.record.flags for mark in whole},
        failed=failed,
        passed_over=passed_over,
    )


@contextmanager
def _staging(out: Path) -> Iterator[Staging]:
    """The staging of a site, by this run alone; it stays where the run is stopped."""
    folder = out.parent / f".{out.name}.preparing"
    with held_if_free(out.parent / f".{out.name}.lock") as free:
        if not free:
            raise InputError(
                "another run is making this site", where=out.name, remedy="wait until it is done"
            )
        folder.mkdir(exist_ok=True)
        try:
            yield Staging(folder)
        except InputError:
            if not any(folder.glob(f"{PREPARATION_FOLDER}/*/*")):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            (out.parent / f".{out.name}.lock").unlink(missing_ok=True)


def _assemble(
    site: SitePlan,
    how: PatientOptions,
    whole: Sequence[Done],
    failed: Sequence[PatientRecord],
    passed_over: tuple[str, ...],
    staging: Staging,
) -> None:
    """Everything of the site that is not a patient's alone."""
    record = SiteRecord(
        site=site.settings.name,
        simulated=site.settings.simulated,
        version=__version__,
        options=how.described(),
        patients=(*(mark.record for mark in whole), *failed),
        passed_over=passed_over,
    )
    identifiers = [mark.record.identifier for mark in whole]
    staging.keep_only(set(identifiers))
    by_identifier = {patient.identifier: patient for patient in site.found.patients}
    rows = []
    for patient in (by_identifier[identifier] for identifier in identifiers):
        row = {IDENTIFIER: patient.identifier}
        if patient.subject != patient.identifier:
            row["subject"] = patient.subject
        rows.append({**row, **patient.facts})
    write_site_files(staging.path, site.settings, rows)
    write_index(staging.cache, site.settings.name, [mark.cached for mark in whole])
    write_json_atomic(staging.preparation / RECORD_FILE, record.model_dump(mode="json"))
    write_report(staging.preparation, record)


def _summary(
    site: Site,
    cached: Sequence[CachedPatient],
    *,
    in_place: bool,
    flags: Mapping[str, tuple[str, ...]] | None = None,
    failed: Sequence[PatientRecord] = (),
    passed_over: tuple[str, ...] = (),
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
                flags=(flags or {}).get(entry.identifier, ()),
            )
            for entry in cached
        ),
        failed=tuple(failed),
        passed_over=passed_over,
        cache_bytes=sum(path.stat().st_size for path in arrays),
    )
