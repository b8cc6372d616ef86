"""Write whole files or none: a temporary neighbour, `fsync`, then one rename.

A reader sees the old content or the new, never a part. Nothing here knows about images, so that
checkpoints, weights, tables and reports use it as well. Parent folders are not made: a folder that
is missing at this point has vanished or was never asked for, and both deserve a message.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from omnisyn.errors import InputError, OmnisynError, ResourceError
from omnisyn.paths import open_regular

_DISK_FAULTS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another output folder"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another output folder"),
    errno.EROFS: ("the file system is read-only", "choose another output folder"),
    errno.EACCES: ("permission is denied", "choose a folder you may write to"),
    errno.EPERM: ("the operation is not permitted", "choose a folder you may write to"),
    errno.ENOENT: (
        "its folder does not exist",
        "make the folder, or check that it was not removed",
    ),
    errno.ENOTDIR: ("a part of its path is a file", "choose another output folder"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
    errno.EIO: ("the disk reports a read or write error", "check the disk"),
}


def resource_error(what: str, path: Path, error: OSError) -> OmnisynError:
    """Translate a disk fault into one line; `what` is the act that failed ("cannot write")."""
    why, remedy = _DISK_FAULTS.get(
        error.errno or 0, (error.strerror or str(error), "check the disk and the path")
    )
    return ResourceError(what, where=path.name, why=why, remedy=remedy)


def _raise_resource_error(what: str, path: Path, error: OSError) -> NoReturn:
    raise resource_error(what, path, error) from error


def _temporary_neighbour(path: Path) -> Path:
    # On the same file system by construction, so that the rename is atomic; hidden, so that no
    # folder listing of this program takes it for a result.
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.partial")


def _synchronize_folder(folder: Path) -> None:
    # A rename survives a power cut only once its folder is on disk. Some network file systems
    # refuse to open or sync folders; the file itself is safe by then.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Give a binary file to write to; it becomes `path` when the block ends without an error.

    Raises:
        InputError: `path` exists and `overwrite` is false, or `path` is a folder.
        ResourceError: the disk is full, read-only or gone. The old file is whole, and nothing
            is left beside it.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    temporary = _temporary_neighbour(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            _raise_resource_error("cannot write", path, error)
        raise
    _synchronize_folder(path.parent)


def refuse_existing(path: str | Path, *, overwrite: bool) -> None:
    """Refuse an output that is there already, or that is a folder.

    Raises:
        InputError: see above.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            "the output is a folder", where=path.name, remedy="give the name of a file"
        )
    if not overwrite and os.path.lexists(path):
        raise InputError(
            "the output exists already",
            where=path.name,
            remedy="choose another output or allow overwriting (--overwrite)",
        )


def write_bytes_atomic(path: str | Path, content: bytes, *, overwrite: bool = True) -> Path:
    """Write `content` to `path`, whole or not at all. Errors as in `atomic_file`."""
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(content)
    return Path(path)


def write_text_atomic(path: str | Path, text: str, *, overwrite: bool = True) -> Path:
    """Write `text` as UTF-8 to `path`, whole or not at all. Errors as in `atomic_file`."""
    return write_bytes_atomic(path, text.encode("utf-8"), overwrite=overwrite)


def write_json_atomic(
    path: str | Path, mapping: Mapping[str, Any], *, overwrite: bool = True
) -> Path:
    """Write `mapping` as strict JSON (no NaN, no Infinity), whole or not at all.

    Raises:
        ValueError: `mapping` holds a number that JSON does not know.
        InputError, ResourceError: as in `atomic_file`.
    """
    return write_bytes_atomic(path, json_bytes(mapping), overwrite=overwrite)


def json_bytes(mapping: Mapping[str, Any]) -> bytes:
    """`mapping` as strict, indented UTF-8 JSON with a final newline."""
    text = json.dumps(dict(mapping), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def refuse_existing_folder(path: str | Path, *, overwrite: bool) -> None:
    """Refuse an output folder that is there already.

    Raises:
        InputError: see above.
    """
    if not overwrite and os.path.lexists(path):
        raise InputError(
            "the output folder exists already",
            where=Path(path).name,
            remedy="choose another output or allow overwriting (--overwrite)",
        )


@contextlib.contextmanager
def atomic_directory(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside `path` to fill; it becomes `path` when the block ends well.

    With `overwrite` the two folders change places in one step where the system can, and the old one
    is removed; elsewhere it is moved aside first, and a kill between those two renames leaves the
    old folder whole under a hidden name. When another run has put its own folder at `path` in the
    meantime, that one stays unless `overwrite` is set.

    Raises:
        InputError: `path` exists (now, or when the block ends) and `overwrite` is false.
        ResourceError: the disk is full, read-only or gone. Nothing is left beside `path`.
    """
    path = Path(path)
    refuse_existing_folder(path, overwrite=overwrite)
    temporary = _temporary_neighbour(path)
    try:
        temporary.mkdir()
    except OSError as error:
        _raise_resource_error("cannot make the folder", path, error)
    try:
        yield temporary
        try:
            if overwrite and os.path.lexists(path):
                _exchange(temporary, path)
            else:
                refuse_existing_folder(path, overwrite=overwrite)
                os.rename(temporary, path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not overwrite:
                refuse_existing_folder(path, overwrite=overwrite)
            _raise_resource_error("cannot put the folder in place", path, error)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _synchronize_folder(path.parent)


def _exchange(new: Path, path: Path) -> None:
    """Put `new` at `path`; the old content goes aside and is removed, or comes back on a fault."""
    aside = new
    if not _swap(new, path):
        aside = _temporary_neighbour(path)
        os.rename(path, aside)
        try:
            os.rename(new, path)
        except OSError:
            os.rename(aside, path)
            raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()


def remove_directory(path: str | Path) -> None:
    """Take a folder away in one step: a kill in between never leaves a part of it at its name.

    Raises:
        ResourceError: the file system does not allow it.
    """
    path = Path(path)
    aside = _temporary_neighbour(path)
    try:
        os.rename(path, aside)
    except OSError as error:
        _raise_resource_error("cannot remove the folder", path, error)
    shutil.rmtree(aside, ignore_errors=True)


def _swap(one: Path, other: Path) -> bool:
    """Let two paths change places in one step, where the system can (Linux, renameat2)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "renameat2"):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    code: int = library.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange)
    return code == 0


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        ResourceError: the file cannot be read.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        _raise_resource_error("cannot read", path, error)
