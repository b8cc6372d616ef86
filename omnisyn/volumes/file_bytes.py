"""File bytes, read to the very end: what a file really holds, and gzip with every check it has.

Common readers stop at the last byte they need, before the gzip checksum: a damaged file then reads
as a good one. Here every byte is read, checksums and lengths are compared, and nothing is
allocated that the header promises but the file cannot hold.
"""

from dataclasses import dataclass
from pathlib import Path

from isal import isal_zlib

from omnisyn.errors import InputError
from omnisyn.volumes.atomic import resource_error

# The stub of isal gives its error class the type of an instance, hence the two `type: ignore`.
GZIP_MAGIC = b"\x1f\x8b"
DICOM_START_BYTES = 132
MAXIMUM_FILE_BYTES = 8 * 2**30
# Deflate cannot pack tighter than about 1032 to 1.
_LARGEST_RATIO = 1040
_FETCH_AGAIN = "fetch or export the file again"

_OTHER_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the image", "run `git lfs pull`"),
    (b"/annex/objects/", "a git-annex pointer, not the image", "run `git annex get`"),
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
        exists, regular = path.exists(), path.is_file()
    except OSError as error:
        # A circle of links, or a name that no file system takes.
        raise InputError(
            "cannot reach the file", where=name, why=error.strerror, remedy="check the path"
        ) from error
    if not exists:
        why = "the link leads nowhere" if path.is_symlink() else None
        raise InputError("no such file or folder", where=name, why=why, remedy="check the path")
    if not regular:
        kind = "a folder" if path.is_dir() else "a pipe, socket or device"
        raise InputError(
            "not a regular file", where=name, why=f"it is {kind}", remedy="give a NIfTI file"
        )
    try:
        size = path.stat().st_size
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
    window = file.content[: 64 * 1024]
    try:
        return bytes(isal_zlib.decompressobj(wbits=31).decompress(window, count))
    except isal_zlib.error as error:  # type: ignore[misc]
        raise _damaged(file.name, str(error)) from error


def unpack(file: FileBytes, expected: int) -> bytes:
    """All bytes of the file, unpacked, exactly `expected` of them.

    Checks the CRC and length of every gzip member and that nothing follows the last one.

    Raises:
        InputError: cut short, checksum or length wrong, trailing bytes, or another byte count.
    """
    name = file.name
    if not file.packed:
        _check_count(name, len(file.content), expected, exact=True)
        return file.content
    if expected > _LARGEST_RATIO * len(file.content) + 1024:
        raise InputError(
            "the file cannot hold what its header promises",
            where=name,
            why=f"{expected} bytes promised, {len(file.content)} packed bytes present",
            remedy=_FETCH_AGAIN,
        )
    parts: list[bytes] = []
    total, rest = 0, file.content
    while rest:
        if rest[:2] != GZIP_MAGIC:
            raise InputError(
                "unexpected bytes after the end of the gzip stream",
                where=name,
                why=f"{len(rest)} trailing bytes",
                remedy=_FETCH_AGAIN,
            )
        stream = isal_zlib.decompressobj(wbits=31)
        try:
            # One byte more than is due, so that a longer file shows itself without being unpacked.
            part = stream.decompress(rest, expected - total + 1)
            total += len(part)
            if total > expected:
                _check_count(name, total, expected, exact=False)
            if not stream.eof:
                part += stream.decompress(stream.unconsumed_tail, 1)
        except isal_zlib.error as error:  # type: ignore[misc]
            raise _damaged(name, str(error)) from error
        if not stream.eof:
            raise InputError(
                "the gzip file is cut short",
                where=name,
                why=f"it ends after {total} of {expected} unpacked bytes or inside its checksum",
                remedy=_FETCH_AGAIN,
            )
        parts.append(part)
        rest = stream.unused_data
    _check_count(name, total, expected, exact=True)
    return parts[0] if len(parts) == 1 else b"".join(parts)


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


def _damaged(name: str, why: str) -> InputError:
    return InputError("the gzip file is damaged", where=name, why=why, remedy=_FETCH_AGAIN)
