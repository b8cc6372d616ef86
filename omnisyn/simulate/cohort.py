"""Cohorts: which simulated sites there are, with which patients, and writing them to disk.

A cohort is a TOML file that lists sites, each by the name of a profile; profiles are looked for
beside it (``profiles/NAME.toml``), then among the shipped ones; one with the key ``base``, the name
of a shipped profile, says only what differs from that. A patient follows from the
cohort's seed, the site's name and its own number alone: the same site in two cohorts of one seed
holds the same patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, model_validator

from omnisyn.errors import InputError, UsageError
from omnisyn.listeners import Progress, unwatched
from omnisyn.settings import Settings, load_toml
from omnisyn.simulate.files import write_patient
from omnisyn.simulate.patient import AnatomyModel, SimulatedPatient, simulate_patient
from omnisyn.simulate.protocols import SiteProfile
from omnisyn.studies.patients_table import IDENTIFIER
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.site import (
    ROLES,
    SITE_FILE,
    Role,
    Site,
    SiteSettings,
    refuse_other_than_site,
    register_site,
    write_site_files,
)
from omnisyn.studies.splits import split_patients
from omnisyn.volumes.atomic import atomic_directory, refuse_existing, resource_error

SHIPPED = ("anywhere", "demo", "hospitals")
_SHIPPED_FOLDER = Path(str(resources.files(__package__).joinpath("cohorts")))
_VALIDATION_FRACTION = 0.1
_SPLIT_SEED = 0


class PlannedSite(Settings):
    """One site of a cohort; ``hospital`` names what sites of one hospital share."""

    name: Annotated[str, Field(pattern=r"^sim-[a-z0-9-]+$")]
    role: Role
    profile: str
    patients: Annotated[int, Field(ge=1)]
    hospital: str


class CohortSettings(Settings):
    """A cohort's TOML file."""

    name: str
    description: str
    seed: Annotated[int, Field(ge=0)]
    sites: tuple[PlannedSite, ...]

    @model_validator(mode="after")
    def _distinct(self) -> CohortSettings:
        names = [site.name for site in self.sites]
        if len(set(names)) != len(names):
            raise ValueError("two sites have the same name")
        return self


@dataclass(frozen=True)
class Cohort:
    """A cohort with its sites' profiles."""

    settings: CohortSettings
    profiles: Mapping[str, SiteProfile]

    def site(self, name: str) -> PlannedSite:
        """The plan of a site. Raises UsageError for a name that the cohort does not have."""
        for site in self.settings.sites:
            if site.name == name:
                return site
        known = ", ".join(site.name for site in self.settings.sites)
        raise UsageError(
            f"the cohort {self.settings.name} has no site {name!r}", remedy=f"its sites: {known}"
        )

    def select(self, names: Sequence[str] | None) -> list[PlannedSite]:
        """The sites of these names or roles, in the cohort's order; all for None."""
        if names is None:
            return list(self.settings.sites)
        chosen = {site.name for name in names for site in self.settings.sites if site.role == name}
        chosen |= {self.site(name).name for name in names if name not in ROLES}
        return [site for site in self.settings.sites if site.name in chosen]


def load_cohort(name_or_path: str | Path) -> Cohort:
    """A shipped cohort by name, or one of your own by its TOML file.

    Raises:
        UsageError: the name is not shipped and no such file exists.
        InputError: the file or a profile is missing or not valid.
    """
    if str(name_or_path) in SHIPPED:
        path = _SHIPPED_FOLDER / f"{name_or_path}.toml"
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(
                f"there is no cohort {path.name!r}",
                remedy=f"use {' or '.join(SHIPPED)}, or the path of a TOML file",
            )
    settings = load_toml(path, CohortSettings)
    profiles = {}
    for profile in {site.profile for site in settings.sites}:
        folders = (path.parent, _SHIPPED_FOLDER)
        places = [folder / "profiles" / f"{profile}.toml" for folder in folders]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(
                f"the profile {profile!r} does not exist",
                where=path.name,
                remedy=f"write it to profiles/{profile}.toml beside the cohort",
            )
        profiles[profile] = load_toml(found, SiteProfile, _shipped_profile)
    return Cohort(settings, profiles)


def _shipped_profile(name: str) -> Path:
    path = _SHIPPED_FOLDER / "profiles" / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"the base {name!r} is no shipped profile")
    return path


def patient_generator(seed: int, site: str, number: int) -> torch.Generator:
    """The random numbers of patient ``number`` of ``site``."""
    digest = hashlib.sha256(site.encode()).digest()
    return generator_at(seed, int.from_bytes(digest[:4], "big"), number)


def cohort_patient(
    cohort: Cohort,
    site: PlannedSite,
    number: int,
    *,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    anatomy: AnatomyModel | None = None,
) -> SimulatedPatient:
    """Patient ``number`` (from 1) of a site; ``seed`` in place of the cohort's own."""
    generator = patient_generator(cohort.settings.seed if seed is None else seed, site.name, number)
    return simulate_patient(cohort.profiles[site.profile], generator, device, anatomy=anatomy)


def simulate_cohort(
    cohort: Cohort,
    root: Path,
    *,
    sites: Sequence[str] | None = None,
    patients: int | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    anatomy: AnatomyModel | None = None,
    progress: Progress = unwatched,
    overwrite: bool = False,
) -> list[Site]:
    """Write sites of a cohort under ``root``, each whole or not at all.

    Args:
        cohort: from ``load_cohort``.
        root: the data root; made where missing.
        sites: only these (names or roles).
        patients: so many per site in place of the cohort's number.
        seed: other patients than the cohort's own.
        device: where to compute.
        anatomy: where heads come from; the procedural anatomy by default.
        progress: hears of every patient done.
        overwrite: replace sites that exist.

    Raises:
        UsageError: a site that the cohort does not have.
        InputError: a site exists and ``overwrite`` is false, or what is there is no site.
        ResourceError: the disk is full or read-only.
    """
    chosen = cohort.select(sites)
    counts = [site.patients if patients is None else patients for site in chosen]
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise resource_error("cannot make the data root", root, error) from error
    for site in chosen:
        if overwrite:
            refuse_other_than_site(root / site.name)
        elif (root / site.name).exists():
            refuse_existing(root / site.name / SITE_FILE, overwrite=False)
    total, done = sum(counts), 0
    written = []
    for site, count in zip(chosen, counts, strict=True):
        identifiers = [f"{number:03d}" for number in range(1, count + 1)]
        splits = _splits(site, identifiers)
        rows = []
        with atomic_directory(root / site.name, overwrite=overwrite) as folder:
            for number, identifier in enumerate(identifiers, start=1):
                patient = cohort_patient(
                    cohort, site, number, seed=seed, device=device, anatomy=anatomy
                )
                (folder / identifier).mkdir()
                write_patient(folder / identifier, patient)
                rows.append(_row(identifier, patient, splits[identifier]))
                done += 1
                progress(done, total, f"{site.name}/{identifier}")
            settings = site_settings(site, cohort.profiles[site.profile])
            write_site_files(folder, settings, rows)
        register_site(root, site.name)
        written.append(Site(root / site.name, settings))
    return written


def site_settings(site: PlannedSite, profile: SiteProfile) -> SiteSettings:
    """What ``site.toml`` says of a planned site."""
    machines = [
        f"{scanner.vendor} {scanner.model} {scanner.field_tesla:g} T"
        for scanner in profile.scanners
    ]
    return SiteSettings(
        name=site.name,
        role=site.role,
        simulated=True,
        reference="T1",
        scanner=f"SIMULATED {', '.join(machines)}",
        hospital=site.hospital,
        description=f"SIMULATED: {profile.description}",
    )


def _splits(site: PlannedSite, identifiers: Sequence[str]) -> dict[str, str]:
    if site.role != "train":
        return dict.fromkeys(identifiers, "test")
    return dict(split_patients(identifiers, _VALIDATION_FRACTION, _SPLIT_SEED))


def _row(identifier: str, patient: SimulatedPatient, split: str) -> dict[str, str]:
    stage, scanner = patient.stage, patient.plan.scanner
    staged = (
        {} if stage is None else {"T": stage.T, "N": stage.N, "M": stage.M, "stage": stage.clinical}
    )
    return {
        IDENTIFIER: identifier,
        **staged,
        "split": split,
        "scanner": f"{scanner.vendor} {scanner.model}",
        "field": f"{scanner.field_tesla:g}",
        "tumour_ml": f"{_millilitres(patient):.1f}",
    }


def _millilitres(patient: SimulatedPatient) -> float:
    height, down, across = patient.geometry.slice_spacing
    return float(patient.tumour.sum()) * height * down * across / 1000.0
