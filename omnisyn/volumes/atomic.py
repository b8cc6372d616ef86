"""Write whole files or none: a temporary neighbour, `fsync`, then one rename.

A reader sees the old content or the new, never a part. Nothing here knows about images, so that
checkpoints, weights, tables and reports use it as well. Writing makes no parent folders: one that
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
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from omnisyn.errors import InputError, OmnisynError, ResourceError
from omnisyn.paths import name_of, open_regular
from omnisyn.volumes.locks import locked

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
    return path.with_name(f".{secrets.token_hex(8)}.partial")


def _synchronize_folder(folder: Path) -> None:
    # A rename survives a power cut only once its folder is on disk. Some network file systems
    # refuse to open or sync folders; the file itself is safe by then.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class _Part:
    """One file or folder on its way to its place."""

    path: Path
    temporary: Path
    file: BinaryIO | None

    def complete(self) -> None:
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()

    def put_in_place(self) -> None:
        if self.file is not None:
            os.replace(self.temporary, self.path)
        elif os.path.lexists(self.path):
            _exchange(self.temporary, self.path)
        else:
            os.rename(self.temporary, self.path)

    def discard(self) -> None:
        if self.file is None:
            shutil.rmtree(self.temporary, ignore_errors=True)
            return
        # What is still in the buffer may find no room when the file is closed.
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            self.temporary.unlink(missing_ok=True)


class Staging:
    """Hidden neighbours of the files and folders that make up one result. Made by `staged`."""

    def __init__(self, *, overwrite: bool) -> None:
        self._overwrite = overwrite
        self._parts: list[_Part] = []

    def file(self, path: str | Path) -> BinaryIO:
        """A binary file to write to, which becomes `path`. Errors as in `staged`."""
        path = Path(path)
        refuse_existing(path, overwrite=self._overwrite)
        temporary = _temporary_neighbour(path)
        try:
            file = open(temporary, "xb")  # noqa: SIM115 - closed when all parts are complete
        except OSError as error:
            _raise_resource_error("cannot write", path, error)
        self._parts.append(_Part(path, temporary, file))
        return file

    def folder(self, path: str | Path) -> Path:
        """An empty folder to fill, which becomes `path`. Errors as in `staged`."""
        path = Path(path)
        refuse_existing_folder(path, overwrite=self._overwrite)
        temporary = _temporary_neighbour(path)
        try:
            temporary.mkdir()
        except OSError as error:
            _raise_resource_error("cannot make the folder", path, error)
        self._parts.append(_Part(path, temporary, None))
        return temporary

    def take(self, made: Path, path: Path) -> None:
        """A folder that is whole already, which becomes `path`."""
        self._parts.append(_Part(path, made, None))

    def put_in_place(self) -> None:
        """Complete every part on the disk, then rename them all, in the order of their making."""
        for part in self._parts:
            try:
                part.complete()
            except OSError as error:
                _raise_resource_error("cannot write", part.path, error)
        parents = sorted({part.path.parent for part in self._parts})
        with contextlib.ExitStack() as held:
            # Another run that puts a result in the same places does so before this one or after.
            for parent in parents:
                held.enter_context(locked(parent))
            held.enter_context(_signals_held_back())
            for part in self._parts:
                refuse = refuse_existing_folder if part.file is None else refuse_existing
                refuse(part.path, overwrite=self._overwrite)
            for part in self._parts:
                try:
                    part.put_in_place()
                except OSError as error:
                    what = "cannot write" if part.file else "cannot put the folder in place"
                    _raise_resource_error(what, part.path, error)
        for parent in parents:
            _synchronize_folder(parent)

    def discard(self) -> None:
        """Remove whatever is not in its place."""
        for part in self._parts:
            part.discard()

    def fault(self, error: OSError) -> OmnisynError | OSError:
        """What an error while writing means, told of the file that was being written."""
        last = self._parts[-1] if self._parts else None
        if last is None or last.file is None:
            return error
        return resource_error("cannot write", last.path, error)


@contextlib.contextmanager
def staged(*, overwrite: bool = True) -> Iterator[Staging]:
    """Write several files and folders that belong together: all of them come, or none.

    They take their places when the block ends without an error, in the order in which they were
    begun, so that the last one may be the mark that the others are there. A process that is killed
    just then leaves some new and some old ones, each of them whole.

    Raises:
        InputError: one of the places is taken (when it is begun, or when the block ends) and
            `overwrite` is false, or is a folder where a file should go.
        ResourceError: the disk is full, read-only or gone. What was there is whole, and nothing is
            left beside it.
    """
    staging = Staging(overwrite=overwrite)
    try:
        yield staging
        staging.put_in_place()
    except BaseException as error:
        staging.discard()
        if isinstance(error, OSError):
            raise staging.fault(error) from error
        raise


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let an interrupt or a termination wait: between two renames it would part what belongs
    together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    for kind in handlers:
        signal.signal(kind, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            # A handler that was not set from Python cannot be given back to it.
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)
        for number in arrived:
            signal.raise_signal(number)


@contextlib.contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Give a binary file to write to; it becomes `path` when the block ends without an error.

    Errors as in `staged`.
    """
    with staged(overwrite=overwrite) as staging:
        yield staging.file(path)


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
    meantime, that one stays unless `overwrite` is set. Errors as in `staged`.
    """
    with staged(overwrite=overwrite) as staging:
        yield staging.folder(path)


def put_folder(made: str | Path, path: str | Path, *, overwrite: bool = False) -> None:
    """Put a folder that was made elsewhere on the same file system at `path`, in one step.

    Errors as in `staged`.
    """
    staging = Staging(overwrite=overwrite)
    staging.take(Path(made), Path(path))
    staging.put_in_place()


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Make an output folder and those above it; take back those that stay empty on an error.

    Raises:
        InputError: a file is in its place.
        ResourceError: disk or permission.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as fault:
        raise InputError(
            "the output folder is a file", where=name_of(folder), remedy="choose another folder"
        ) from fault
    except OSError as fault:
        raise resource_error("cannot make the output folder", folder, fault) from fault
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for place in missing:
                place.rmdir()
        raise


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
