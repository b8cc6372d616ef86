"""Where omnisyn keeps and looks for things: the cache folder and the data root."""

import os
from pathlib import Path


def chosen_cache(override: Path | None = None) -> Path | None:
    """The cache folder that was asked for: the argument, else ``OMNISYN_CACHE``, else None."""
    if override is not None:
        return override
    named = os.environ.get("OMNISYN_CACHE")
    return Path(named) if named else None


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
    if override is not None:
        return override
    named = os.environ.get("OMNISYN_DATA")
    return Path(named) if named else None
