"""Whether a disk has room for what is coming, asked before it comes."""

from __future__ import annotations

import shutil
from pathlib import Path

from omnisyn.errors import ResourceError
from omnisyn.paths import name_of
from omnisyn.volumes.atomic import resource_error

_GIGABYTE = 10**9


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Args:
        folder: where it will be; it need not exist yet.
        needed: bytes.
        what: names it in the message.

    Raises:
        ResourceError: there are fewer bytes free, or the disk cannot be asked.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise resource_error("cannot ask for the free space", folder, error) from error
    if needed > free:
        raise ResourceError(
            "the disk has too little room",
            where=what,
            why=f"{needed / _GIGABYTE:.1f} GB are needed in {name_of(folder)}, "
            f"{free / _GIGABYTE:.1f} GB are free",
            remedy="free some space, or choose another folder",
        )
