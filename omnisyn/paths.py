"""Where omnisyn keeps and looks for things, what a place is called, and how a file is opened."""

import errno
import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any


def named(path: Path) -> Path:
    """The same place by a path that ends in a name, which `.` and `..` do not."""
    return path.resolve() if path.name in ("", "..") else path


def name_of(path: Path) -> str:
    """What a file or folder is called in messages: its name, and never its path."""
    return named(path).name or os.sep


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; to open a pipe might take for ever.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe or a device.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.open("rb")


def read_json(path: Path) -> Any:
    """What a regular file of JSON holds.

    Raises:
        OSError: as in `open_regular`.
        ValueError: it is no JSON, or nested more deeply than can be read.
    """
    with open_regular(path) as file:
        try:
            return json.load(file)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def chosen_cache(override: Path | None = None) -> Path | None:
    """The cache folder that was asked for: the argument, else ``OMNISYN_CACHE``, else None."""
    return _chosen(override, "OMNISYN_CACHE")


def cache_dir(override: Path | None = None) -> Path:
    """The folder for whatever can be made or fetched again (not created here).

    The first of: the argument, ``OMNISYN_CACHE``, ``HF_HOME``, ``XDG_CACHE_HOME``, ``~/.cache``;
    the shared ones get an ``omnisyn`` folder inside.
    """
    chosen = chosen_cache(override)
    if chosen is not None:
        return chosen
    for variable in ("HF_HOME", "XDG_CACHE_HOME"):
        if shared := os.environ.get(variable):
            return Path(shared) / "omnisyn"
    return Path.home() / ".cache" / "omnisyn"


def data_root(override: Path | None = None) -> Path | None:
    """The folder of sites: the argument, else ``OMNISYN_DATA``, else None: the simulated sites."""
    return _chosen(override, "OMNISYN_DATA")


def _chosen(override: Path | None, variable: str) -> Path | None:
    if override is not None:
        return override
    said = os.environ.get(variable)
    return Path(said) if said else None
