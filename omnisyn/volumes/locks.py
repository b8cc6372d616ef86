"""Locks on folders: one run at a time, released by the system however the run ends.

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
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other run holds the folder, and hold it."""
    descriptor = _open(folder)
    try:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextlib.contextmanager
def held_if_free(folder: Path) -> Iterator[bool]:
    """Hold the folder unless another run does; gives whether it was free."""
    descriptor = _open(folder)
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


def _open(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:
        return None
