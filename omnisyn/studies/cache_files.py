"""The memory-mapped cache of a site: every slice with all its contrasts, scaled once.

``ROOT/<site>/cache/<patient>.npy`` is float16 [slices, contrasts of this patient, rows, columns]
in [0, 1] (half precision keeps eleven bits, finer than the noise of any scan); ``index.json`` says
what lies in it and from which files it was made. The folder is built beside and renamed into
place, and never edited afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, reason_of
from omnisyn.listeners import Progress, unwatched
from omnisyn.paths import name_of, read_json
from omnisyn.settings import Settings, parse
from omnisyn.studies.site import Patient, Site
from omnisyn.volumes.atomic import (
    atomic_directory,
    resource_error,
    sha256_file,
    write_json_atomic,
)
from omnisyn.volumes.normalize import (
    MINIMUM_HEAD_FRACTION,
    head_boxes,
    head_fraction,
    head_mask,
)

CACHE_FORMAT = 1
INDEX_FILE = "index.json"


class SourceFile(Settings):
    """A file that the cache was made from: bytes, time of change (ns), SHA-256."""

    size: int
    modified_ns: int
    sha256: str


class CachedPatient(Settings):
    """What lies in one patient's array.

    Attributes:
        identifier: the patient's.
        contrasts: canonical order, as stacked.
        fat_suppressed: one a contrast.
        shape: slices, contrasts, rows, columns.
        spacing_mm: of slices, rows, columns.
        head_fraction: the part of each slice that the head covers.
        head_box: per slice the first row, end row, first column, end column of the head (ends
            exclusive; zeros where there is none).
        sources: file name in the patient's folder → what it was.
    """

    identifier: str
    contrasts: tuple[str, ...]
    fat_suppressed: tuple[bool, ...]
    shape: tuple[int, int, int, int]
    spacing_mm: tuple[float, float, float]
    head_fraction: tuple[float, ...]
    head_box: tuple[tuple[int, int, int, int], ...]
    sources: dict[str, SourceFile]

    @property
    def head_slices(self) -> list[int]:
        """Slices with at least 5 % head, inferior → superior."""
        return [
            index
            for index, fraction in enumerate(self.head_fraction)
            if fraction >= MINIMUM_HEAD_FRACTION
        ]


class CacheIndex(Settings):
    """``index.json``."""

    format: int
    site: str
    patients: tuple[CachedPatient, ...]


@dataclass(frozen=True)
class SiteCache:
    """An opened cache.

    Attributes:
        site: whose.
        patients: identifier → its entry of the index.
        arrays: identifier → read-only memory map, float16 [slices, contrasts, rows, columns].
    """

    site: Site
    patients: Mapping[str, CachedPatient]
    arrays: Mapping[str, NDArray[np.float16]]


def build_cache(site: Site, progress: Progress = unwatched) -> CacheIndex:
    """Reads, scales and caches all patients of a site, replacing an older cache.

    Raises:
        InputError: a volume is damaged, has no signal, or lies on another grid than the
            patient's others. The older cache is then left as it was.
        ResourceError: the disk is full or read-only.
    """
    patients = site.patients()
    entries: list[CachedPatient] = []
    with atomic_directory(site.cache, overwrite=True) as folder:
        for done, patient in enumerate(patients):
            progress(done, len(patients), patient.identifier)
            entries.append(cache_patient(patient, folder))
        index = write_index(folder, site.name, entries)
    return index


def write_index(folder: Path, site: str, entries: Iterable[CachedPatient]) -> CacheIndex:
    """Writes what lies in a cache's folder, as `cache_patient` told. ResourceError: disk."""
    index = CacheIndex(format=CACHE_FORMAT, site=site, patients=tuple(entries))
    write_json_atomic(folder / INDEX_FILE, index.model_dump(mode="json"))
    return index


def open_cache(site: Site) -> SiteCache:
    """Opens a site's cache after checking that it is whole and still describes the site.

    Every patient's files must have the sizes that the index remembers; a file whose time of change
    differs is compared by SHA-256. When a ``prepare`` replaces the cache in the meantime, the new
    one is opened.

    Raises:
        InputError: no cache, a torn one, or one made from other files; the remedy is
            ``omnisyn prepare``.
    """
    while True:
        index = _read_index(site)
        # Index and arrays belong together only if the same index is there afterwards.
        try:
            cache = _map_cache(site, index)
        except InputError:
            if _read_index(site) == index:
                raise
        else:
            if _read_index(site) == index:
                return cache


def _map_cache(site: Site, index: CacheIndex) -> SiteCache:
    patients = {entry.identifier: entry for entry in index.patients}
    present = site.patients()
    changed = {patient.identifier for patient in present} ^ set(patients)
    if changed:
        raise _unusable(site, "is stale", f"patient {min(changed)} was added or removed")
    arrays: dict[str, NDArray[np.float16]] = {}
    for patient in present:
        entry = patients[patient.identifier]
        _check_sources(site, patient, entry)
        arrays[patient.identifier] = _map_array(site, entry)
    return SiteCache(site, patients, arrays)


def cache_patient(patient: Patient, folder: Path) -> CachedPatient:
    """Reads, scales and caches one patient. Errors as in `build_cache`."""
    study = patient.study(masks=())
    names = tuple(study.volumes)
    scaled = [study.scaled(name) for name in names]
    mask = head_mask(scaled)
    stack = np.stack([slices.astype(np.float16) for slices in scaled], axis=1)
    path = folder / f"{patient.identifier}.npy"
    try:
        with path.open("wb") as file:
            # Not write_array: its error on a full disk does not say that the disk is full.
            np.lib.format.write_array_header_1_0(
                file, np.lib.format.header_data_from_array_1_0(stack)
            )
            file.write(stack.data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise resource_error("cannot write the cache", path, error) from error
    return CachedPatient(
        identifier=patient.identifier,
        contrasts=names,
        fat_suppressed=tuple(patient.fat_suppressed(name) for name in names),
        shape=stack.shape,
        spacing_mm=study.geometry.slice_spacing,
        head_fraction=tuple(round(float(part), 6) for part in head_fraction(mask)),
        head_box=head_boxes(mask),
        sources={
            path.name: SourceFile(
                size=path.stat().st_size,
                modified_ns=path.stat().st_mtime_ns,
                sha256=sha256_file(path),
            )
            for path in _source_files(patient)
        },
    )


def _source_files(patient: Patient) -> list[Path]:
    candidates = [patient.path / f"{name}{end}" for name in NAMES for end in (".nii.gz", ".json")]
    return [path for path in candidates if path.is_file()]


def _read_index(site: Site) -> CacheIndex:
    path = site.cache / INDEX_FILE
    if not path.is_file():
        raise _unusable(site, "does not exist", f"{site.cache.name}/{INDEX_FILE} is missing")
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise InputError("the index is no JSON object", where=INDEX_FILE)
        if content.get("format") != CACHE_FORMAT:
            raise InputError(f"its format is not {CACHE_FORMAT}", where=INDEX_FILE)
        index = parse(CacheIndex, content, INDEX_FILE)
    except (ValueError, OSError, InputError) as error:
        raise _unusable(site, "cannot be read", reason_of(error)) from error
    if index.site != site.name:
        raise _unusable(site, "is stale", f"it was made for site {index.site}")
    return index


def _check_sources(site: Site, patient: Patient, entry: CachedPatient) -> None:
    files = {path.name: path for path in _source_files(patient)}
    differing = set(files) ^ set(entry.sources)
    if differing:
        raise _unusable(
            site, "is stale", f"{patient.identifier}/{min(differing)} was added or removed"
        )
    for name, path in files.items():
        known, now = entry.sources[name], path.stat()
        if now.st_size == known.size and now.st_mtime_ns == known.modified_ns:
            continue
        if now.st_size != known.size or sha256_file(path) != known.sha256:
            raise _unusable(site, "is stale", f"{patient.identifier}/{name} has changed since")


def _map_array(site: Site, entry: CachedPatient) -> NDArray[np.float16]:
    path = site.cache / f"{entry.identifier}.npy"
    try:
        array: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unusable(site, "is torn", f"{path.name}: {reason_of(error)}") from error
    slices, contrasts = entry.shape[:2]
    whole = (
        array.shape == entry.shape
        and array.dtype == np.float16
        and len(entry.contrasts) == len(entry.fat_suppressed) == contrasts
        and len(entry.head_fraction) == len(entry.head_box) == slices
        and set(entry.contrasts) <= set(NAMES)
    )
    if not whole:
        raise _unusable(site, "is torn", f"{path.name} is not what the index says")
    return array


def _unusable(site: Site, what: str, why: str) -> InputError:
    return InputError(
        f"the slice cache of site {site.name} {what}",
        why=why,
        remedy=f"run: omnisyn prepare ROOT/{name_of(site.path)}",
    )
