"""The embedded simulation: the demo cohort's sites, made once in the cache folder when needed.

The folder's name carries a fingerprint of the simulator's own files: another version of the
simulator never hands out what an older one made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from omnisyn.errors import InputError
from omnisyn.listeners import Progress, unwatched
from omnisyn.paths import cache_dir
from omnisyn.simulate.cohort import Cohort, load_cohort, simulate_cohort
from omnisyn.studies.site import (
    ALL_SITES,
    PUBLIC_SITE,
    ROLES,
    SIMULATED_PREFIX,
    DataRoot,
    register_site,
)

COHORT = "demo"
_SOURCES = ("*.py", "*.csv", "*.toml")


def embedded_root(
    sites: Sequence[str] | None = None,
    cache: Path | None = None,
    *,
    progress: Progress = unwatched,
) -> DataRoot:
    """The data root of the embedded simulation, holding at least ``sites`` (default: all three).

    Each site is simulated at its first use and renamed into place whole; two processes may ask
    for it at once.

    Args:
        sites: names, roles or ``all``.
        cache: the cache folder in place of the usual one.
        progress: hears of every patient simulated.

    Raises:
        InputError: a site or role that the embedded simulation does not have.
        ResourceError: the disk is full or read-only.
    """
    cohort = load_cohort(COHORT)
    root = cache_dir(cache) / "simulated" / f"{COHORT}-{fingerprint()}"
    wanted = _names(cohort, sites)
    missing = [name for name in wanted if not (root / name).is_dir()]
    if missing:
        try:
            simulate_cohort(cohort, root, sites=missing, progress=progress)
        except InputError:
            # Another process may have finished a site in the meantime; anything else is a fault.
            still_missing = [name for name in missing if not (root / name).is_dir()]
            if still_missing == missing:
                raise
            if still_missing:
                return embedded_root(sites, cache, progress=progress)
    for name in wanted:
        register_site(root, name)
    return DataRoot(root)


def fingerprint() -> str:
    """Ten hexadecimal digits over the simulator's code, tissue table, cohorts and profiles."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in folder.rglob(pattern)):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def _names(cohort: Cohort, sites: Sequence[str] | None) -> list[str]:
    known = [site.name for site in cohort.settings.sites]
    chosen: set[str] = set()
    for word in (ALL_SITES,) if sites is None else sites:
        if word == ALL_SITES:
            found = known
        elif word in ROLES:
            found = [site.name for site in cohort.settings.sites if site.role == word]
        else:
            found = [name for name in known if name == word]
        if not found:
            raise _unknown(word, known)
        chosen.update(found)
    return [name for name in known if name in chosen]


def _unknown(word: str, known: Sequence[str]) -> InputError:
    if word == PUBLIC_SITE:
        return InputError(
            f"the public dataset {PUBLIC_SITE} is not part of the embedded simulation",
            remedy="fetch it into a data root and give --data, "
            f"or try its simulated stand-in: --site {SIMULATED_PREFIX}{PUBLIC_SITE}",
        )
    return InputError(
        f"the embedded simulation has no site {word}",
        why=f"it has {', '.join(known)}",
        remedy="choose one of them, or give a data root with --data",
    )
