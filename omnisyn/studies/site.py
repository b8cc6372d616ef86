"""Sites on disk: a data root, its sites with their roles, and their patients."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.paths import name_of
from omnisyn.settings import Settings, dump_toml, load_toml, parse
from omnisyn.studies.patient import Patient
from omnisyn.studies.patients_table import (
    TABLE_FILE,
    read_patients_table,
    write_patients_table,
)
from omnisyn.volumes.atomic import resource_error, write_text_atomic
from omnisyn.volumes.locks import locked

Role = Literal["train", "internal", "external"]
ROLES: tuple[Role, ...] = get_args(Role)
ALL_SITES = "all"
PUBLIC_SITE = "external2"
"""The public NPC dataset, Zenodo record 13131827, and nothing else."""

SIMULATED_PREFIX = "sim-"
SITE_FILE, ROOT_FILE, CACHE_FOLDER = "site.toml", "sites.toml", "cache"
PREPARATION_FOLDER = "preparation"
"""Of a site: what was done to its patients, with pictures."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class SiteSettings(Settings):
    """``site.toml``: what is known of a whole site.

    Attributes:
        name: also the folder's name; ``sim-…`` exactly where the site is simulated.
        role: ``train`` (its patients may be learned from), ``internal`` (held-out patients of
            training hospitals) or ``external``.
        simulated: whether the images come from the simulator.
        reference: the contrast on whose grid the patients' volumes lie.
        scanner: free text.
        hospital: the hospital that several sites may share.
        description: free text.
        credit: whom to thank for the data; it goes into the card of weights trained on them.
    """

    name: str
    role: Role
    simulated: bool = False
    reference: str = "T1"
    scanner: str = "unknown"
    hospital: str | None = None
    description: str = ""
    credit: str = ""

    @field_validator("name")
    @classmethod
    def _name_is_a_folder_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a site's name is letters, digits, '-', '_' and '.'")
        if name.lower() in {*ROLES, ALL_SITES, CACHE_FOLDER}:
            raise ValueError(f"{name!r} selects sites and cannot name one")
        return name

    @field_validator("reference")
    @classmethod
    def _reference_is_a_contrast(cls, reference: str) -> str:
        if reference not in NAMES:
            raise ValueError(f"the reference is one of {', '.join(NAMES)}")
        return reference

    @model_validator(mode="after")
    def _simulated_is_marked(self) -> SiteSettings:
        # The name goes into every table and plot: nobody may take a simulated figure for a real
        # one, nor the reverse.
        if self.name.lower().startswith(SIMULATED_PREFIX) != self.simulated:
            raise ValueError(
                f"a site is named {SIMULATED_PREFIX}… exactly where it is simulated, "
                f"but {self.name!r} says simulated = {str(self.simulated).lower()}"
            )
        return self


class RootSettings(Settings):
    """``sites.toml``: the sites of a data root, in order."""

    sites: tuple[str, ...] = Field(default=())


@dataclass(frozen=True)
class Site:
    """A site's folder and what its ``site.toml`` says."""

    path: Path
    settings: SiteSettings

    @property
    def name(self) -> str:
        """The site's name."""
        return self.settings.name

    @property
    def cache(self) -> Path:
        """The folder of memory-mapped slices."""
        return self.path / CACHE_FOLDER

    def patients(self) -> tuple[Patient, ...]:
        """All patients: the rows of ``patients.tsv`` in order, then folders it does not name.

        A folder is a patient's when it holds at least one contrast.

        Raises:
            InputError: ``patients.tsv`` is malformed or names a patient without a folder, or the
                site has no patient.
        """
        rows = read_patients_table(self.path)
        found = {
            folder.name
            for folder in self.path.iterdir()
            if folder.is_dir()
            and folder.name != CACHE_FOLDER
            and not folder.name.startswith(".")
            and any((folder / f"{name}.nii.gz").is_file() for name in NAMES)
        }
        missing = [identifier for identifier in rows if identifier not in found]
        if missing:
            raise InputError(
                f"patient {missing[0]} has no folder with a contrast"
                + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""),
                where=f"{self.name}/{TABLE_FILE}",
                why="a row names a patient, a folder of that name holds its volumes",
                remedy="restore the folder or remove the row",
            )
        if not found:
            raise InputError(
                f"site {self.name} has no patients",
                where=name_of(self.path),
                why=f"no folder in it holds one of {', '.join(NAMES)} (.nii.gz)",
                remedy="make the site with: omnisyn prepare SOURCE --out ROOT/SITE",
            )
        return tuple(
            Patient(
                identifier=identifier,
                site=self.name,
                path=self.path / identifier,
                simulated=self.settings.simulated,
                tags=rows.get(identifier, {}),
            )
            for identifier in [*rows, *sorted(found - set(rows))]
        )


@dataclass(frozen=True)
class DataRoot:
    """A folder of sites."""

    path: Path

    def names(self) -> tuple[str, ...]:
        """The sites' names: as ``sites.toml`` lists them, else every folder with a ``site.toml``.

        Hidden names are no sites: a killed run leaves half-made folders under them.

        Raises:
            InputError: the folder does not exist or holds no site.
        """
        # Unlike Path.is_dir, this takes any name, however long.
        if not os.path.isdir(self.path):
            raise InputError(
                "the data root does not exist",
                where=name_of(self.path),
                remedy="check --data and OMNISYN_DATA",
            )
        names = _names(self.path)
        if not names:
            raise InputError(
                "the data root holds no site",
                where=name_of(self.path),
                why=f"it has neither a {ROOT_FILE} that lists one nor a folder with a {SITE_FILE}",
                remedy="make one with: omnisyn prepare SOURCE --out ROOT/SITE",
            )
        return names

    def sites(self) -> tuple[Site, ...]:
        """All sites. Errors as in ``names`` and ``open_site``."""
        return tuple(open_site(self.path / name) for name in self.names())

    def site(self, name: str) -> Site:
        """The site of this name.

        Raises:
            InputError: there is none, or ``sites.toml`` does not list it; for the public dataset
                it says how to get it.
        """
        names = self.names()
        if name in names:
            return open_site(self.path / name)
        if name == PUBLIC_SITE:
            raise InputError(
                f"the public dataset {PUBLIC_SITE} (Zenodo record 13131827) is not in the data "
                "root",
                where=name_of(self.path),
                remedy=f"get it with: omnisyn fetch {PUBLIC_SITE} --out ROOT/{PUBLIC_SITE}; its "
                f"simulated stand-in is --site {SIMULATED_PREFIX}{PUBLIC_SITE}",
            )
        if _NAME.fullmatch(name) and (self.path / name / SITE_FILE).is_file():
            raise InputError(
                f"site {name} is there but not listed",
                where=ROOT_FILE,
                why="whatever put it there was interrupted, or its folder was copied",
                remedy=f"list it with: omnisyn prepare ROOT/{name}",
            )
        raise InputError(
            f"there is no site {name}",
            where=name_of(self.path),
            why=f"the sites are {', '.join(names)}",
            remedy="choose one of them, a role (" + ", ".join(ROLES) + f") or {ALL_SITES}",
        )

    def select(self, wanted: str | Sequence[str] = ALL_SITES) -> list[Site]:
        """Sites by name, by role, or ``all``; each once, in the root's order.

        Raises:
            InputError: a name is unknown, or no site has the role.
        """
        wanted = [wanted] if isinstance(wanted, str) else list(wanted)
        chosen: dict[str, Site] = {}
        for word in wanted:
            if word == ALL_SITES:
                found = list(self.sites())
            elif word in ROLES:
                found = [site for site in self.sites() if site.settings.role == word]
                if not found:
                    raise InputError(
                        f"no site has the role {word}",
                        where=name_of(self.path),
                        why=", ".join(f"{s.name} is {s.settings.role}" for s in self.sites()),
                        remedy=f"set the role in a {SITE_FILE}, or name sites",
                    )
            else:
                found = [self.site(word)]
            chosen.update({site.name: site for site in found})
        order = self.names()
        return sorted(chosen.values(), key=lambda site: order.index(site.name))


def open_site(path: Path) -> Site:
    """The site in a folder.

    Raises:
        InputError: no ``site.toml``, a malformed one, or one that names another site.
    """
    if not (path / SITE_FILE).is_file():
        raise InputError(
            "the folder is no site",
            where=name_of(path),
            why=f"it has no {SITE_FILE}",
            remedy="make a site with: omnisyn prepare SOURCE --out ROOT/SITE",
        )
    settings = load_toml(path / SITE_FILE, SiteSettings)
    if settings.name != path.resolve().name:
        raise InputError(
            f"the folder {path.resolve().name} says that it is site {settings.name}",
            where=SITE_FILE,
            remedy="give folder and site the same name",
        )
    return Site(path, settings)


def site_at(path: Path) -> Site:
    """The site in a folder, or, without a ``site.toml``, its folders of patients as an external
    site of that name.

    Raises:
        InputError: as in `open_site`; or the folder's name is none for a site.
    """
    if (path / SITE_FILE).is_file():
        return open_site(path)
    if not any(path.glob("*/*.nii.gz")):
        raise InputError(
            "the folder holds no patients",
            where=name_of(path),
            why=f"it has neither a {SITE_FILE} nor a folder of volumes for each patient",
            remedy="give a folder with PATIENT/CONTRAST.nii.gz",
        )
    facts = {"name": path.resolve().name, "role": "external"}
    return Site(path, parse(SiteSettings, facts, where=name_of(path)))


def refuse_other_than_site(path: Path) -> None:
    """Refuse to replace what is neither a site nor an empty folder.

    Raises:
        InputError: there is something else at ``path``.
    """
    if not os.path.lexists(path):
        return
    if path.is_dir() and ((path / SITE_FILE).is_file() or not any(path.iterdir())):
        return
    raise InputError(
        "what is there is no site and is not replaced",
        where=name_of(path),
        why=f"it has no {SITE_FILE}",
        remedy="choose another place for the site",
    )


def write_site(
    root: Path, settings: SiteSettings, patients: Sequence[Mapping[str, object]] = ()
) -> Site:
    """Writes ``site.toml`` and ``patients.tsv`` of a site and lists it in ``sites.toml``.

    Makes the folders where missing and replaces the three files where there; volumes in the site
    are left alone. Several processes may write different sites of one root.

    Args:
        root: the data root.
        settings: of the site; its folder is ``root / settings.name``.
        patients: rows with ``participant_id`` and whatever else is known.

    Raises:
        InputError: a row without or with a repeated ``participant_id``, or with a tab or newline.
        ResourceError: the disk is full or read-only.
    """
    folder = root / settings.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise resource_error("cannot make the site's folder", folder, error) from error
    write_site_files(folder, settings, patients)
    register_site(root, settings.name)
    return Site(folder, settings)


def write_site_files(
    folder: Path, settings: SiteSettings, patients: Sequence[Mapping[str, object]]
) -> None:
    """Writes ``site.toml`` and ``patients.tsv`` into a folder. Errors as in ``write_site``."""
    write_patients_table(folder, patients)
    write_text_atomic(folder / SITE_FILE, dump_toml(settings))


def register_site(root: Path, name: str) -> None:
    """Lists a site in the root's ``sites.toml``, at the end, once.

    Raises:
        InputError: the list there is malformed.
        ResourceError: the disk is full or read-only.
    """
    path = root / ROOT_FILE
    with locked(root / ".sites.lock"):
        listed = _names(root)
        if name not in listed or not path.is_file():
            names = (*(other for other in listed if other != name), name)
            write_text_atomic(path, dump_toml(RootSettings(sites=names)))


def _names(root: Path) -> tuple[str, ...]:
    path = root / ROOT_FILE
    if path.is_file():
        names = list(load_toml(path, RootSettings).sites)
    else:
        names = sorted(file.parent.name for file in root.glob(f"*/{SITE_FILE}"))
    return tuple(name for name in names if not name.startswith("."))
