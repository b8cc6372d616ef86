"""Fetches the public NPC dataset: downloads the archive, unpacks it, and makes the site of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from omnisyn.errors import InputError, reason_of
from omnisyn.listeners import Note, Progress, labelled, unheard, unwatched
from omnisyn.paths import name_of
from omnisyn.preparation.fetch.download import download
from omnisyn.preparation.fetch.unpack import unpack
from omnisyn.preparation.fetch.zenodo import ZENODO, RecordFile, list_files
from omnisyn.preparation.options import PrepareOptions
from omnisyn.preparation.prepare import PrepareSummary, prepare
from omnisyn.studies.site import PUBLIC_SITE, refuse_other_than_site
from omnisyn.volumes.atomic import output_folder, refuse_existing_folder, sha256_file

CREDIT = (
    "Primary nasopharyngeal carcinoma MRI with multi-modalities segmentation, Sci Data 12, 1450 "
    "(2025), doi 10.1038/s41597-025-05815-x, Zenodo record 13131827, CC BY 4.0"
)
_TABLES = (".xlsx", ".csv", ".tsv")
_LARGEST_TABLE = 50 * 10**6
_IMAGES, _UNPACKED = "MRI-Segments/", "unpacked"


@dataclass(frozen=True)
class Published:
    """A published archive: its record on Zenodo, its name there, and the hash that it must have."""

    record: str
    name: str
    sha256: str


EXTERNAL2 = Published(
    "13131827",
    "primary_data.zip",
    "7ed81ca69c92a289ed0d6b8d1387bfe3db4ebe1717750cf94721f992f9ae6b4f",
)


def fetch_external2(
    out: Path,
    options: PrepareOptions,
    *,
    archive: Path | None = None,
    address: str = ZENODO,
    published: Published = EXTERNAL2,
    wait: Callable[[float], None] = time.sleep,
    note: Note = unheard,
    progress: Progress = unwatched,
) -> PrepareSummary:
    """Makes the site ``external2`` of the public dataset.

    What is downloaded and unpacked lies in a hidden folder beside the site until this is whole, so
    that a run goes on where the last one ended; then it is removed. A site takes its place.

    Args:
        out: ``ROOT/external2``.
        options: how it is prepared, see ``prepare``; the role is ``external`` unless said.
        archive: the dataset's archive, brought by hand; nothing is downloaded then. Among the
            tables beside it the clinical one is looked for, too.
        address: of Zenodo, or of a mirror that answers as it does.
        published: what to fetch.
        wait: sleeps for so many seconds between attempts.
        note: hears of waits, and of patients that failed or should be looked at.
        progress: hears of bytes, then of patients.

    Raises:
        InputError: another name than ``external2``; ``out`` exists; the archive is missing, damaged
            or another file; or no patient could be prepared.
        ResourceError: no network, too little room on the disk, or a file of another hash.
    """
    if out.resolve().name != PUBLIC_SITE:
        raise InputError(
            f"the public dataset is always site {PUBLIC_SITE}",
            where=name_of(out),
            why="figures under one name must always mean the same patients",
            remedy=f"say --out ROOT/{PUBLIC_SITE}",
        )
    refuse_existing_folder(out, overwrite=options.overwrite)
    if options.overwrite:
        refuse_other_than_site(out)
    if archive is not None:
        _require_hash(archive, published)
    work = out.parent / f".{out.name}.fetching"
    with output_folder(out.parent):
        work.mkdir(exist_ok=True)
        whole = archive or _downloaded(work, address, published, wait, note, progress)
        unpack(
            whole,
            work / _UNPACKED,
            wanted=lambda name: _IMAGES in name or name.lower().endswith(_TABLES),
            progress=labelled(progress, "unpack "),
            note=note,
        )
        if archive is not None:
            _bring_tables(archive.absolute().parent, work / _UNPACKED, note)
        named = replace(options, credit=options.credit or CREDIT)
        (summary,) = prepare(work / _UNPACKED, out, named, note=note, progress=progress)
    shutil.rmtree(work, ignore_errors=True)
    return summary


def _downloaded(
    work: Path,
    address: str,
    published: Published,
    wait: Callable[[float], None],
    note: Note,
    progress: Progress,
) -> Path:
    """The archive, and beside it what the record has of tables."""
    files = {
        file.name: file
        for file in list_files(published.record, address=address, note=note, wait=wait)
    }

    def brought(file: RecordFile, sha256: str | None) -> Path:
        return download(
            file.address,
            work / Path(file.name).name,
            size=file.size,
            sha256=sha256,
            md5=file.md5,
            progress=labelled(progress, "download "),
            note=note,
            wait=wait,
        )

    if published.name not in files:
        raise InputError(
            f"the record has no file {published.name}",
            where=f"Zenodo record {published.record}",
            why=f"it has {', '.join(files) or 'none'}",
            remedy="bring the archive by hand and give it with --from FILE",
        )
    for file in files.values():
        if file.name.lower().endswith(_TABLES) and file.size <= _LARGEST_TABLE:
            brought(file, None)
    return brought(files[published.name], published.sha256)


def _bring_tables(beside: Path, folder: Path, note: Note) -> None:
    """Copies what may be the clinical table; what the archive holds under that name stays."""
    tables = (path for path in beside.glob("*") if path.suffix.lower() in _TABLES)
    for table in sorted(tables):
        try:
            small = table.is_file() and table.stat().st_size <= _LARGEST_TABLE
            if small and not (folder / table.name).exists():
                shutil.copyfile(table, folder / table.name)
        except OSError as fault:
            # It may be any table of the user's: no reason to lose the dataset.
            note(f"the table {table.name} cannot be copied: {reason_of(fault)}")


def _require_hash(archive: Path, published: Published) -> None:
    if not archive.is_file():
        raise InputError("there is no such file", where=name_of(archive), remedy="check --from")
    found = sha256_file(archive)
    if found != published.sha256:
        raise InputError(
            "this is not the published archive",
            where=name_of(archive),
            why=f"its SHA-256 is {found[:12]}…, that of {published.name} is "
            f"{published.sha256[:12]}…",
            remedy=f"bring {published.name} of Zenodo record {published.record} again, whole",
        )
