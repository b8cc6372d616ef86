"""Locks: one run at a time, released by the system however the run ends.

What is held for long, or around a write, is a hidden file of its own. The folders themselves are
locked by `atomic` alone, for the moment in which it renames: who held one of them around a write
would wait for itself.

A lock is advisory (`flock`): it holds off other runs of omnisyn, and nobody else. Where the system
or the file system has none, everything goes on without, as it would for a single run.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until nobody holds the folder or file, and hold it. A file is made where it is missing.

    Not to be entered twice for one path, not even by one process: it would wait for itself.
    """
    descriptor = _open(path)
    try:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the folder or file unless somebody does; gives whether it was free."""
    descriptor = _open(path)
    try:
        free = True
        if descriptor is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
            except OSError:
                free = True
        yield free
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(path: Path) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
