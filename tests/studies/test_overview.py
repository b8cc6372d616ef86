"""What a site holds, counted from what lies on disk."""

import shutil
from collections.abc import Callable

import pytest

from omnisyn.errors import InputError
from omnisyn.studies.cache_files import build_cache
from omnisyn.studies.overview import UNKNOWN_SCANNER, describe_root, describe_site
from omnisyn.studies.site import DataRoot, Site

MakeSite = Callable[..., Site]

GE = {"Manufacturer": "GE", "ManufacturersModelName": "MR750w", "MagneticFieldStrength": 3.0}
PATIENTS = {"p1": ("T1", "T2", "FLAIR"), "p2": ("T1", "T2"), "p3": ("T1",)}


def test_patients_contrasts_and_who_lacks_which(make_site: MakeSite) -> None:
    found = describe_site(make_site("sim-a", PATIENTS, role="internal"))
    assert (found.name, found.role, found.simulated) == ("sim-a", "internal", True)
    assert found.patients == ("p1", "p2", "p3")
    assert found.contrasts == {"T1": 3, "T2": 2, "FLAIR": 1}
    assert list(found.contrasts) == ["T1", "T2", "FLAIR"]
    assert found.lacking == {"T2": ("p3",), "FLAIR": ("p2", "p3")}
    assert found.masks == {}


def test_scanners_are_counted_by_patient_as_the_sidecars_say(make_site: MakeSite) -> None:
    site = make_site("sim-a", {"p1": ("T1", "T2"), "p2": ("T2",)}, sidecars={"T1": GE})
    assert describe_site(site).scanners == {"GE MR750w 3 T": 1, UNKNOWN_SCANNER: 2}
    (site.path / "p1" / "T1.json").write_text("no JSON")
    assert describe_site(site).scanners == {UNKNOWN_SCANNER: 2}


def test_persons_and_splits_are_those_of_the_table(make_site: MakeSite) -> None:
    rows = [
        {"participant_id": "p1", "subject": "anna", "split": "validation"},
        {"participant_id": "p2", "subject": "anna", "split": "validation"},
        {"participant_id": "p3", "split": "train"},
        {"participant_id": "p4"},
    ]
    found = describe_site(make_site(rows=rows))
    assert found.subjects == 3
    assert found.splits == {"train": 1, "validation": 2, "n/a": 1}


def test_the_cache_is_missing_whole_or_unusable(make_site: MakeSite) -> None:
    site = make_site("sim-a", {"p1": ("T1", "T2")})
    missing = describe_site(site)
    assert missing.cache == "missing"
    assert "omnisyn prepare" in (missing.cache_fault or "")
    build_cache(site)
    whole = describe_site(site)
    assert (whole.cache, whole.cache_fault) == ("whole", None)
    (site.path / "p1" / "T2.nii.gz").unlink()
    stale = describe_site(site)
    assert stale.cache == "unusable"
    assert "stale" in (stale.cache_fault or "")


def test_masks_are_counted(make_site: MakeSite) -> None:
    site = make_site("sim-a", {"p1": ("T1",), "p2": ("T1",)})
    for name in ("tumour", "head"):
        shutil.copy(site.path / "p1" / "T1.nii.gz", site.path / "p1" / f"{name}.nii.gz")
    assert describe_site(site).masks == {"tumour": 1, "head": 1}


def test_a_root_is_described_in_its_order(make_site: MakeSite) -> None:
    sites = [make_site(name, {"p1": ("T1",)}) for name in ("sim-b", "sim-a")]
    assert [each.name for each in describe_root(DataRoot(sites[0].path.parent))] == [
        "sim-b",
        "sim-a",
    ]


def test_a_site_without_patients_is_refused(make_site: MakeSite) -> None:
    site = make_site("sim-a", {"p1": ("T1",)}, rows=[])
    shutil.rmtree(site.path / "p1")
    with pytest.raises(InputError, match="no patients"):
        describe_site(site)
