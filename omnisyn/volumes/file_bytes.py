"""File bytes, read to the very end: what a file really holds, and gzip with every check it has.

Common readers stop at the last byte they need, before the gzip checksum: a damaged file then reads
as a good one. Here every byte is read, checksums and lengths are compared, and nothing is
allocated that the header promises but the file cannot hold.
"""

import errno
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.volumes.atomic import resource_error

# The stub of isal gives its error class the type of an instance, hence the two `type: ignore`.
GZIP_MAGIC = b"\x1f\x8b"
DICOM_START_BYTES = 132
MAXIMUM_FILE_BYTES = 8 * 2**30
# Deflate cannot pack tighter than about 1032 to 1.
_LARGEST_RATIO = 1040
_FETCH_AGAIN = "fetch or export the file again"

# How much of a packed file is looked at in one go. Files of many small members (bgzip) hand the
# rest of it back after each of them.
_WINDOW_BYTES = 256 * 1024

_POINTERS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
)
_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    *_POINTERS,
    (b"\x89PNG", "a PNG picture", "give the volume it was made from"),
    (b"\xff\xd8\xff", "a JPEG picture", "give the volume it was made from"),
    (b"PK\x03\x04", "a zip archive", "unpack it and give the file inside"),
    (b"\xfd7zXZ", "an xz archive", "unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive", "unpack it and give the file inside"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it and give the file inside"),
    (b"NRRD", "an NRRD image", "convert it to NIfTI (.nii.gz)"),
    (b"ObjectType", "a MetaImage header", "convert it to NIfTI (.nii.gz)"),
    (b"\x89HDF", "an HDF5 file", "convert it to NIfTI (.nii.gz)"),
    (b"\x93NUMPY", "a NumPy array, which has no geometry", "convert it to NIfTI (.nii.gz)"),
    (b"CDF\x01", "a MINC image", "convert it to NIfTI (.nii.gz)"),
    (b"%PDF", "a PDF document", "give the volume itself"),
    (b"{", "a JSON text", "give the volume that it describes"),
)


@dataclass(frozen=True)
class FileBytes:
    """A whole file in memory. `content` is still packed where `packed` is true."""

    path: Path
    content: bytes
    packed: bool

    @property
    def name(self) -> str:
        """Basename, for messages."""
        return self.path.name


def foreign_kind(start: bytes) -> tuple[str, str] | None:
    """What a file is and what to do about it, where its first bytes show it is no image here."""
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:512]
    if head[:1] == b"<":
        return "an HTML or XML page, not an image", "the download failed: fetch the file again"
    for magic, kind, remedy in _OTHER_KINDS:
        if head.startswith(magic):
            return kind, remedy
    # POSIX.1-1988: the magic of a tar archive stands behind the name and mode of its first file.
    if start[257:262] == b"ustar":
        return "a tar archive", "unpack it and give the file inside"
    return None


def stands_for_a_file(start: bytes) -> tuple[str, str] | None:
    """What a file is and what to do, where it only points to a file that was not fetched."""
    for magic, kind, remedy in _POINTERS:
        if start.startswith(magic):
            return kind, remedy
    return None


def looks_like_dicom(start: bytes) -> bool:
    """Whether the first 132 bytes are those of a DICOM file, with or without its preamble."""
    if start[128:132] == b"DICM":
        return True
    # Without a preamble the data set begins at once, with a short element of group 0002 or 0008.
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[2:4] in (
        b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00",
    )  # fmt: skip


def read_file(path: Path) -> FileBytes:
    """Read a regular file whole.

    Raises:
        InputError: no such file, a folder, a device or a pipe, empty, too large, or not readable.
        ResourceError: the disk fails in mid-read.
    """
    name = path.name
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        why = "the link leads nowhere" if path.is_symlink() else None
        raise InputError(
            "no such file or folder", where=name, why=why, remedy="check the path"
        ) from error
    except OSError as error:
        # A circle of links, or a name that no file system takes.
        why = "the link leads nowhere" if error.errno == errno.ELOOP else error.strerror
        raise InputError(
            "cannot reach the file", where=name, why=why, remedy="check the path"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise InputError(
            "not a regular file", where=name, why=f"it is {kind}", remedy="give a NIfTI file"
        )
    try:
        size = status.st_size
        if size > MAXIMUM_FILE_BYTES:
            raise InputError(
                "the file is too large",
                where=name,
                why=f"{size} bytes, the limit is {MAXIMUM_FILE_BYTES}",
            )
        content = path.read_bytes()
    except PermissionError as error:
        raise InputError(
            "cannot read the file", where=name, why="permission is denied", remedy="check its mode"
        ) from error
    except OSError as error:
        raise resource_error("cannot read the file", path, error) from error
    if not content:
        raise InputError("the file is empty (0 bytes)", where=name, remedy=_FETCH_AGAIN)
    return FileBytes(path, content, packed=content[:2] == GZIP_MAGIC)


def peek(file: FileBytes, count: int) -> bytes:
    """The first `count` unpacked bytes, or fewer where the file is shorter.

    Raises:
        InputError: the gzip stream is damaged at its start.
    """
    if not file.packed:
        return file.content[:count]
    start = b""
    for piece in _pieces(file, count):
        start += piece
    return start[:count]


def unpack(file: FileBytes, expected: int) -> NDArray[np.uint8]:
    """All bytes of the file, unpacked, exactly `expected` of them.

    Checks the CRC and length of every gzip member and that nothing follows the last one.

    Raises:
        InputError: cut short, checksum or length wrong, trailing bytes, or another byte count.
    """
    name = file.name
    if not file.packed:
        _check_count(name, len(file.content), expected, exact=True)
        return np.frombuffer(file.content, np.uint8)
    if expected > _LARGEST_RATIO * len(file.content) + 1024:
        raise InputError(
            "the file cannot hold what its header promises",
            where=name,
            why=f"{expected} bytes promised, {len(file.content)} packed bytes present",
            remedy=_FETCH_AGAIN,
        )
    content = np.empty(expected, np.uint8)
    total = 0
    for piece in _pieces(file, expected):
        if total + len(piece) > expected:
            _check_count(name, total + len(piece), expected, exact=False)
        content[total : total + len(piece)] = np.frombuffer(piece, np.uint8)
        total += len(piece)
    _check_count(name, total, expected, exact=True)
    return content


def _pieces(file: FileBytes, due: int) -> Iterator[bytes]:
    """What the gzip members hold, one after the other, in pieces.

    Ends with the last member or when more than `due` bytes have come: a file that holds more shows
    itself without being unpacked.
    """
    content, place, total = memoryview(file.content), 0, 0
    while place < len(content):
        if content[place : place + 2] != GZIP_MAGIC:
            raise InputError(
                "unexpected bytes after the end of the gzip stream",
                where=file.name,
                why=f"{len(content) - place} trailing bytes",
                remedy=_FETCH_AGAIN,
            )
        member = isal_zlib.decompressobj(wbits=31)
        while not member.eof:
            window = content[place : place + _WINDOW_BYTES]
            try:
                piece = member.decompress(window, due - total + 1)
            except isal_zlib.error as error:  # type: ignore[misc]
                raise InputError(
                    "the gzip file is damaged",
                    where=file.name,
                    why=str(error),
                    remedy=_FETCH_AGAIN,
                ) from error
            left = len(member.unused_data) + len(member.unconsumed_tail)
            if not member.eof and not piece and left == len(window):
                raise InputError(
                    "the gzip file is cut short",
                    where=file.name,
                    why=f"it ends after {total} unpacked bytes or inside its checksum",
                    remedy=_FETCH_AGAIN,
                )
            place += len(window) - left
            total += len(piece)
            yield piece
            if total > due:
                return


def _check_count(name: str, found: int, expected: int, *, exact: bool) -> None:
    if found == expected:
        return
    raise InputError(
        "the file is shorter than its header says"
        if found < expected
        else "the file is longer than its header says",
        where=name,
        why=f"{expected} bytes are due, {found if exact else 'more'} are there",
        remedy=_FETCH_AGAIN,
    )
