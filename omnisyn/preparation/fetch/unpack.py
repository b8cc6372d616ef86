"""Unpack a zip archive that nobody vouches for: inside its folder, within limits, checked whole."""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from omnisyn.errors import InputError, reason_of
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.paths import open_regular
from omnisyn.preparation.fetch.space import require_space
from omnisyn.volumes.atomic import atomic_file, output_folder, resource_error

UNPACKED_LIMIT = 200 * 10**9
"""Bytes that an archive may unpack to: eight times those of External 2."""

_CHUNK_BYTES = 2**20
# APPNOTE.TXT 6.3.10, 4.3.7: what a local header takes at the least.
_LOCAL_HEADER_BYTES = 30
# APPNOTE.TXT 6.3.10, 4.4.4: encrypted, encrypted strongly, directory encrypted.
_ENCRYPTED = 0x1 | 0x40 | 0x2000
# The two that unpack in chunks of bounded size; Python's readers of the others do not.
_METHODS = (ZIP_STORED, ZIP_DEFLATED)
# What Python's reader raises on bytes that fit no format.
_DAMAGE = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
    struct.error,
    zlib.error,
)


def everything(name: str) -> bool:
    """Whether an entry is wanted: always."""
    return True


def unpack(
    archive: Path,
    folder: Path,
    *,
    wanted: Callable[[str], bool] = everything,
    limit: int = UNPACKED_LIMIT,
    progress: Progress = unwatched,
    note: Note = unheard,
) -> Path:
    """Unpack the wanted entries of a zip archive into a folder, which is made; gives the folder.

    Every entry is looked at before the first is written. A file that is there already with the
    right size and CRC-32 is left as it is, so that a run goes on where the last one ended; one
    that differs is replaced. What macOS adds (`__MACOSX/`, `._…`, `.DS_Store`) is passed over, and
    folders come only with their files.

    Args:
        archive: the zip file.
        folder: where the files go, each by its name in the archive.
        wanted: is asked with the name of each file, `/` between its parts.
        limit: bytes that the wanted entries may unpack to.
        progress: hears the bytes.
        note: hears how many files were there already.

    Raises:
        InputError: the archive is missing, damaged or no zip; it unpacks to more than `limit`; or
            an entry leaves the folder, is a link, a device or encrypted, overlaps another, has the
            name of another, or is packed by another method than deflate. Files that were
            unpacked before are whole, and stay.
        ResourceError: the disk is too full, or does not allow it.
    """
    with _opened(archive) as source, output_folder(folder):
        entries = [entry for entry in _entries(source, archive) if wanted(entry.name)]
        total = _bytes(entries)
        if total > limit:
            raise InputError(
                "the archive unpacks to too much",
                where=archive.name,
                why=f"to {total} bytes, and {limit} are allowed",
                remedy="check where it comes from",
            )
        missing = _missing(entries, folder, progress)
        if len(missing) < len(entries):
            there = len(entries) - len(missing)
            note(f"{archive.name}: {there} of {len(entries)} files are unpacked already")
        require_space(folder, _bytes(missing), archive.name)
        done = total - _bytes(missing)
        for entry in missing:
            _write(source, entry, folder, archive)
            done += entry.size
            progress(done, total, "unpacking, bytes")
    return folder


@dataclass(frozen=True)
class _Entry:
    """A file of an archive, by a name that is safe below any folder."""

    name: str
    info: ZipInfo

    @property
    def size(self) -> int:
        """Bytes when unpacked."""
        return self.info.file_size


def _bytes(entries: Sequence[_Entry]) -> int:
    return sum(entry.size for entry in entries)


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        raise InputError("there is no such archive", where=path.name) from error
    except OSError as error:
        raise resource_error("cannot read", path, error) from error
    with file:
        with _damage_told(path):
            archive = ZipFile(file)
        with archive:
            yield archive


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Whatever the reader of archives raises inside the block becomes one of our errors."""
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            "the archive is damaged, or no zip archive",
            where=path.name,
            why=reason_of(error) if str(error) else "it ends too early",
            remedy="fetch it again",
        ) from error
    except OSError as error:
        raise resource_error("cannot read", path, error) from error


def _entries(source: ZipFile, archive: Path) -> list[_Entry]:
    """The files of an archive without what macOS adds, once all of it was looked at.

    Raises:
        InputError: as in `unpack`.
    """

    def refuse(info: ZipInfo, why: str) -> NoReturn:
        raise InputError(
            "the archive is not safe to unpack",
            where=archive.name,
            why=f"entry {PurePosixPath(info.filename).name!r} {why}",
            remedy="check where it comes from; if you trust it, unpack it by another program",
        )

    entries: list[_Entry] = []
    files: set[str] = set()
    folders = {"."}
    end = 0
    for info in sorted(source.infolist(), key=lambda each: each.header_offset):
        if info.header_offset < end:
            refuse(info, "overlaps another")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        name = info.orig_filename.replace("\\", "/")
        path = PurePosixPath(name)
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            refuse(info, "has control characters in its name")
        if path.is_absolute() or re.match("[A-Za-z]:", str(path)):
            refuse(info, "has an absolute name")
        if ".." in path.parts:
            refuse(info, "leaves the folder")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            refuse(info, "is a link or a device")
        if name.endswith("/") or path.parts[:1] == ("__MACOSX",):
            continue
        if path.name.startswith("._") or path.name == ".DS_Store":
            continue
        if info.flag_bits & _ENCRYPTED:
            refuse(info, "is encrypted")
        if info.compress_type not in _METHODS:
            refuse(info, f"is packed by method {info.compress_type}, which is not known here")
        # Some file systems take two names for one that differ in case or in how accents are coded.
        alike = PurePosixPath(unicodedata.normalize("NFC", str(path)).casefold())
        above = {str(folder) for folder in alike.parents}
        if str(alike) in files | folders or not above.isdisjoint(files):
            refuse(info, "has the place of another")
        files.add(str(alike))
        folders |= above
        entries.append(_Entry(str(path), info))
    return entries


def _missing(entries: Sequence[_Entry], folder: Path, progress: Progress) -> list[_Entry]:
    """Those whose file is not there with the same size and CRC-32."""
    missing, done, total = [], 0, _bytes(entries)
    for entry in entries:
        place = folder / entry.name
        try:
            if not place.is_file() or place.stat().st_size != entry.size:
                missing.append(entry)
                continue
            with place.open("rb") as file:
                checksum = 0
                while content := file.read(_CHUNK_BYTES):
                    checksum = zlib.crc32(content, checksum)
        except OSError as error:
            raise resource_error("cannot read", place, error) from error
        if checksum != entry.info.CRC:
            missing.append(entry)
        done += entry.size
        progress(done, total, "checking, bytes")
    return missing


def _write(source: ZipFile, entry: _Entry, folder: Path, archive: Path) -> None:
    """Unpack one file, whole or not at all; its reader holds it to the CRC-32."""
    place = folder / entry.name
    with (
        output_folder(place.parent),
        _damage_told(archive),
        source.open(entry.info) as stream,
        atomic_file(place) as file,
    ):
        length = 0
        # The reader gives no more than the directory says, whatever is packed there.
        while content := stream.read(_CHUNK_BYTES):
            file.write(content)
            length += len(content)
        if length != entry.size:
            raise BadZipFile(f"expected {entry.size} bytes of {place.name}, found {length}")
