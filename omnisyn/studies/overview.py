"""What a site holds, in one look: patients, contrasts and who lacks which, scanners, cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.studies.cache_files import INDEX_FILE, open_cache
from omnisyn.studies.patient import MASK_NAMES, Patient
from omnisyn.studies.patients_table import UNKNOWN
from omnisyn.studies.site import DataRoot, Site, SiteSettings
from omnisyn.studies.splits import PARTS
from omnisyn.volumes.sidecar import acquisition_facts, read_sidecar

UNKNOWN_SCANNER = "unknown"


class SiteOverview(SiteSettings):
    """What a site holds, beside what its ``site.toml`` says.

    Attributes:
        scanners: maker, model and field as the sidecars say → how many patients were scanned on
            it; `UNKNOWN_SCANNER` where they say nothing.
        patients: identifiers.
        subjects: how many persons they are.
        contrasts: name → how many patients have it, canonical order.
        lacking: contrast of the site → the patients without it; only those that somebody lacks.
        masks: name → how many patients have it.
        splits: what ``patients.tsv`` says → of how many patients; ``n/a`` where it says nothing
            and a hash of the identifier decides.
        cache: of slices; `unusable` where it is stale or torn.
        cache_fault: what is wrong with it and how to mend it; None where it is whole.
    """

    scanners: dict[str, int]
    patients: tuple[str, ...]
    subjects: int
    contrasts: dict[str, int]
    lacking: dict[str, tuple[str, ...]]
    masks: dict[str, int]
    splits: dict[str, int]
    cache: Literal["whole", "unusable", "missing"]
    cache_fault: str | None


def describe_root(root: DataRoot) -> tuple[SiteOverview, ...]:
    """All sites of a data root, in its order. Errors as in `DataRoot.sites` and `describe_site`."""
    return tuple(describe_site(site) for site in root.sites())


def describe_site(site: Site) -> SiteOverview:
    """Looks through a site; its volumes are not read.

    Raises:
        InputError: ``patients.tsv`` is malformed or names a patient without a folder, or the site
            has no patient.
    """
    patients = site.patients()
    held = {patient.identifier: patient.contrasts() for patient in patients}
    contrasts = _counted(NAMES, (name for names in held.values() for name in names))
    lacking = {
        name: tuple(identifier for identifier, names in held.items() if name not in names)
        for name in contrasts
    }
    cache, fault = _state_of_cache(site)
    return SiteOverview(
        **site.settings.model_dump(),
        scanners=dict(Counter(name for patient in patients for name in _scanners(patient))),
        patients=tuple(held),
        subjects=len({patient.tags.get("subject", patient.identifier) for patient in patients}),
        contrasts=contrasts,
        lacking={name: identifiers for name, identifiers in lacking.items() if identifiers},
        masks=_counted(MASK_NAMES, (name for patient in patients for name in patient.masks())),
        splits=_counted(
            (*PARTS, UNKNOWN), (patient.tags.get("split", UNKNOWN) for patient in patients)
        ),
        cache=cache,
        cache_fault=fault,
    )


def _counted(order: Iterable[str], found: Iterable[str]) -> dict[str, int]:
    """How often each was found, in this order; what is not in it comes last."""
    counts = Counter(found)
    return {name: counts[name] for name in (*order, *sorted(counts)) if name in counts}


def _scanners(patient: Patient) -> set[str]:
    """Each scanner once, however many contrasts were scanned on it."""
    return {_scanner(patient, name) for name in patient.contrasts()}


def _scanner(patient: Patient, name: str) -> str:
    try:
        facts = acquisition_facts(read_sidecar(patient.file(name)))
    except InputError:
        # Whatever reads the volume says what is wrong with its sidecar.
        return UNKNOWN_SCANNER
    words = [str(facts[key]) for key in ("Manufacturer", "ManufacturersModelName") if key in facts]
    if "MagneticFieldStrength" in facts:
        words.append(f"{facts['MagneticFieldStrength']:.3g} T")
    return " ".join(words) or UNKNOWN_SCANNER


def _state_of_cache(site: Site) -> tuple[Literal["whole", "unusable", "missing"], str | None]:
    try:
        open_cache(site)
    except InputError as error:
        is_there = (site.cache / INDEX_FILE).is_file()
        return ("unusable" if is_there else "missing"), str(error)
    return "whole", None
