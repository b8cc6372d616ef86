"""A patient's folder becomes a study, and its faults name the patient."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.studies.site import Site
from omnisyn.volumes.write import write_volume

MakeSite = Callable[..., Site]


def test_study_holds_contrasts_in_canonical_order_with_masks_and_tags(make_site: MakeSite):
    site = make_site(
        patients={"p1": ("T2", "T1")}, rows=[{"participant_id": "p1", "T": 2, "stage": "II"}]
    )
    patient = site.patients()[0]
    geometry = patient.study().geometry
    tumour = np.zeros(geometry.shape, dtype=np.uint8)
    tumour[3:6, 4:8, 2:4] = 1
    write_volume(patient.file("tumour"), tumour, geometry, dtype="uint8")
    study = patient.study()
    assert list(study.volumes) == ["T1", "T2"]
    assert study.simulated
    assert study.tags == {"T": "2", "stage": "II"}
    assert np.array_equal(study.masks["tumour"], tumour.astype(bool))
    assert list(patient.study(["T2"], masks=()).volumes) == ["T2"]
    assert patient.study(["T2"], masks=()).masks == {}


def test_missing_contrast_is_named_with_those_that_are_there(make_site: MakeSite):
    patient = make_site(patients={"p1": ("T1", "T2")}).patients()[0]
    with pytest.raises(InputError, match=r"p1 of site sim-site has no FLAIR \(it has T1, T2\)"):
        patient.study(["T1", "FLAIR"])


def test_damaged_volume_is_named_with_its_patient(make_site: MakeSite):
    patient = make_site(patients={"p1": ("T1", "T2")}).patients()[0]
    content = patient.file("T2").read_bytes()
    patient.file("T2").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"sim-site/p1/T2\.nii\.gz"):
        patient.study()


def test_mask_on_another_grid_is_refused(make_site: MakeSite):
    patient = make_site(patients={"p1": ("T1",)}).patients()[0]
    other = Geometry((4, 4, 4), np.eye(4))
    write_volume(patient.file("tumour"), np.ones((4, 4, 4)), other)
    with pytest.raises(InputError, match=r"sim-site/p1/tumour\.nii\.gz.*grid"):
        patient.study()


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [
        ({"FatSuppressed": True}, True),
        ({"FatSuppressed": False, "ScanOptions": "FS"}, False),
        ({"ScanOptions": "SP_FS"}, True),
        ({"ScanOptions": ["PFP", "FS"]}, True),
        ({"ScanOptions": "FAST"}, False),
        ({}, False),
    ],
)
def test_fat_suppression_is_read_from_the_sidecar(
    make_site: MakeSite, sidecar: dict[str, object], expected: bool
):
    patient = make_site(patients={"p1": ("T1",)}, sidecars={"T1": sidecar}).patients()[0]
    assert patient.fat_suppressed("T1") is expected


def test_numbers_of_the_acquisition_are_those_of_the_sidecar(make_site: MakeSite):
    sidecar = {"EchoTime": 0.012, "InversionTime": 0.9}
    patient = make_site(patients={"p1": ("T1",)}, sidecars={"T1": sidecar}).patients()[0]
    assert patient.acquisition("T1") == pytest.approx((math.nan, 12, 900, math.nan), nan_ok=True)


def test_volume_without_a_sidecar_is_not_fat_suppressed(make_site: MakeSite):
    patient = make_site(patients={"p1": ("T1",)}).patients()[0]
    Path(patient.path / "T1.json").unlink()
    assert patient.fat_suppressed("T1") is False
