import json
from dataclasses import replace

import pytest
import torch

from omnisyn.errors import InputError
from omnisyn.simulate.files import sidecar, write_patient
from omnisyn.simulate.patient import simulate_patient
from omnisyn.simulate.tissues import tissue_index
from omnisyn.volumes.read import read_labels, read_mask, read_volume


@pytest.fixture
def patient(small_profile, ellipsoids):
    return simulate_patient(small_profile, torch.Generator().manual_seed(0), anatomy=ellipsoids)


def test_files_read_back_as_the_patient_that_was_written(patient, tmp_path):
    written = write_patient(tmp_path, patient)
    assert {path.name for path in written} == {
        f"{name}.nii.gz" for name in (*patient.images, "tumour", "nodes", "head", "tissues")
    }
    volume = read_volume(tmp_path / "T1c.nii.gz")
    assert volume.contrast.name == "T1c"
    assert volume.geometry.matches(patient.geometry)
    assert (volume.slices() == patient.images["T1c"].numpy()).all()
    facts = volume.provenance.acquisition
    assert facts["EchoTime"] == pytest.approx(patient.acquisitions["T1c"].echo_time_ms, abs=1e-3)
    tumour = read_mask(tmp_path / "tumour.nii.gz", volume.geometry)
    assert (volume.geometry.to_slices(tumour) == patient.tumour.numpy()).all()
    tissues = read_labels(tmp_path / "tissues.nii.gz", volume.geometry)
    assert (volume.geometry.to_slices(tissues) == patient.tissues.numpy()).all()


def test_lesions_have_a_mask_where_there_are_some(patient, tmp_path):
    tissues = patient.tissues.clone()
    tissues[4, 30:34, 30:34] = tissue_index("MS_lesion")
    write_patient(tmp_path, replace(patient, tissues=tissues), contrasts=("T1",))
    geometry = patient.geometry
    lesions = geometry.to_slices(read_mask(tmp_path / "lesions.nii.gz", geometry))
    assert lesions.sum() == 16
    assert lesions[4, 30:34, 30:34].all()


def test_every_sidecar_says_simulated(patient, tmp_path):
    write_patient(tmp_path, patient)
    sidecars = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert len(sidecars) == len(patient.images) + 4
    assert all(content["Simulated"] is True for content in sidecars)


def test_a_sidecar_speaks_of_the_acquisition_in_seconds(patient):
    content = sidecar(patient, "T1c")
    drawn = patient.acquisitions["T1c"]
    assert content["RepetitionTime"] == pytest.approx(drawn.repetition_time_ms / 1000)
    assert content["ContrastBolusIngredient"] == "GADOLINIUM"
    assert content["FatSuppressed"] is drawn.fat_suppressed
    assert "InversionTime" not in content
    assert sidecar(patient, "FLAIR")["InversionTime"] > 2
    assert "ContrastBolusIngredient" not in sidecar(patient, "T1")


def test_an_existing_patient_is_not_overwritten_unasked(patient, tmp_path):
    write_patient(tmp_path, patient, contrasts=("T1",), maps=False)
    assert {path.name for path in tmp_path.iterdir()} == {"T1.nii.gz", "T1.json"}
    with pytest.raises(InputError, match=r"T1\.nii\.gz"):
        write_patient(tmp_path, patient, contrasts=("T1",), maps=False)
    write_patient(tmp_path, patient, contrasts=("T1",), maps=False, overwrite=True)
