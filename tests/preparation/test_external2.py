"""External 2 as it lies unpacked: found whole, with every quirk told and none fatal."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.preparation.external2 import find_external2, is_external2, settle_masks
from omnisyn.preparation.mask_arrangement import place
from omnisyn.preparation.scans import read_scan
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.nifti import load_nifti
from tests.external2_miniature import EMPTY_PATIENT, Truth

IMAGES = Path("primary_data", "data", "MRI-Segments")


def _skeleton(top: Path, patients=("001",), series=("T1WI", "CE-T1WI", "T2WI")) -> Path:
    """The layout with empty files."""
    for patient in patients:
        for name in series:
            (top / patient / name).mkdir(parents=True)
            (top / patient / name / "1.dcm").touch()
        for name in ("ROI-T1.nii", "ROI-CE-T1.nii", "ROI-T2.nii"):
            (top / patient / name).touch()
    return top


@pytest.mark.parametrize("below", [".", "primary_data", "primary_data/data", str(IMAGES)])
def test_the_layout_is_told_from_any_of_its_folders(miniature: Truth, below: str):
    assert is_external2(miniature.folder / below)
    assert len(find_external2(miniature.folder / below).patients) == 6


def test_the_layout_is_told_by_content(tmp_path: Path):
    assert is_external2(_skeleton(tmp_path / "renamed").parent)


def test_numbered_folders_of_another_hospital_are_not_external2(tmp_path: Path):
    _skeleton(tmp_path / "hospital", series=("T1WI", "T2WI"))
    assert not is_external2(tmp_path)
    assert not is_external2(tmp_path / "hospital" / "001" / "T1WI" / "1.dcm")


def test_what_macos_adds_is_no_dataset(tmp_path: Path):
    _skeleton(tmp_path / "__MACOSX" / "MRI-Segments")
    assert not is_external2(tmp_path)


def test_patients_come_with_the_series_that_they_have(miniature: Truth):
    found = find_external2(miniature.folder)
    assert [patient.identifier for patient in found.patients] == [f"00{n}" for n in range(1, 7)]
    for patient in found.patients:
        if patient.identifier in miniature.contrasts:
            assert tuple(sorted(patient.scans)) == tuple(
                sorted(miniature.contrasts[patient.identifier])
            )
        for contrast, scan in patient.scans.items():
            assert scan.form == "DICOM"
            assert len(scan.files) == miniature.geometries[patient.identifier][contrast].shape[2]
            assert not any(path.name.startswith(".") for path in scan.files)


def test_what_is_missing_is_told_of_its_patient(miniature: Truth):
    left = {p.identifier: p.left for p in find_external2(miniature.folder).patients}
    assert left["001"] == ()
    assert left["004"] == (
        "the folder T2WI is missing",
        "the mask ROI-T2.nii lies on a series that is not there",
    )
    assert "the folder CE-T1WI holds no images" in left["005"]


def test_an_empty_patient_is_passed_over_with_the_reason(miniature: Truth):
    passed = find_external2(miniature.folder).passed_over
    assert any(line.startswith(f"{EMPTY_PATIENT}: no series") for line in passed)


def test_masks_say_what_they_were_drawn_on(miniature: Truth):
    first = find_external2(miniature.folder).patients[0]
    assert {(mask.file.name, mask.drawn_on) for mask in first.masks["tumour"]} == {
        ("ROI-T1.nii", "T1"),
        ("ROI-CE-T1.nii", "T1c"),
        ("ROI-T2.nii", "T2"),
    }


def test_a_missing_mask_is_told(tmp_path: Path):
    top = _skeleton(tmp_path / "MRI-Segments")
    (top / "001" / "ROI-T1.nii").unlink()
    (patient,) = find_external2(tmp_path).patients
    assert patient.left == ("the mask ROI-T1.nii is missing",)
    assert {mask.drawn_on for mask in patient.masks["tumour"]} == {"T1c", "T2"}


def test_what_belongs_to_no_patient_is_told(tmp_path: Path):
    top = _skeleton(tmp_path / "MRI-Segments")
    (top / "notes").mkdir()
    (top / "001" / "extra.txt").touch()
    _skeleton(tmp_path / "old" / "MRI-Segments")
    found = find_external2(tmp_path)
    assert found.patients[0].left == ("extra.txt: not one of the dataset's series or masks",)
    assert any("notes" in line for line in found.passed_over)
    assert "a second copy of the dataset, folder old" in found.passed_over
    assert any("no clinical table" in line for line in found.passed_over)


def test_patients_are_in_the_order_of_their_numbers(tmp_path: Path):
    _skeleton(tmp_path / "MRI-Segments", patients=("10", "9", "100"))
    found = find_external2(tmp_path)
    assert [patient.identifier for patient in found.patients] == ["9", "10", "100"]


def test_facts_come_from_a_table_without_a_helpful_name(miniature: Truth):
    found = find_external2(miniature.folder)
    for patient in found.patients:
        assert dict(patient.facts) == miniature.facts[patient.identifier]
    (told,) = [line for line in found.passed_over if line.startswith("clinical table")]
    assert "Sheet2: 6 of 6 patients by column '编号 No.'" in told
    assert "2 that may tell who the patients are" in told
    assert any("README.docx cannot be read" in line for line in found.passed_over)


def test_a_table_above_the_images_is_found(miniature: Truth, tmp_path: Path):
    top = _skeleton(tmp_path / "primary_data" / "data" / "MRI-Segments", miniature.facts)
    table = next((miniature.folder / "primary_data").glob("*.xlsx"))
    shutil.copy(table, tmp_path)
    for source in (tmp_path, tmp_path / "primary_data", top):
        found = find_external2(source)
        assert found.patients[0].facts["stage"] == miniature.facts["001"]["stage"]


def test_a_table_beside_the_archive_is_found_from_a_folder_of_any_name(
    miniature: Truth, tmp_path: Path
):
    _skeleton(tmp_path / "unpacked" / "MRI-Segments", miniature.facts)
    shutil.copy(next((miniature.folder / "primary_data").glob("*.xlsx")), tmp_path)
    assert find_external2(tmp_path / "unpacked").patients[0].facts == {}
    (tmp_path / "primary_data.zip").touch()
    found = find_external2(tmp_path / "unpacked")
    assert dict(found.patients[0].facts) == miniature.facts["001"]


def test_slices_are_sorted_by_place_and_grids_are_exact(miniature: Truth):
    patient = find_external2(miniature.folder).patients[0]
    for contrast, scan in patient.scans.items():
        geometry = read_scan(scan, contrast).geometry
        assert geometry.shape == miniature.geometries["001"][contrast].shape
        assert np.allclose(geometry.affine, miniature.geometries["001"][contrast].affine, atol=1e-4)


def test_a_file_that_is_cut_short_is_refused_when_it_is_read(miniature: Truth):
    patient = find_external2(miniature.folder).patients[5]
    with pytest.raises(InputError, match="cut short"):
        read_scan(patient.scans["T1"], "T1")


def test_the_masks_of_the_miniature_come_back_onto_their_series(miniature: Truth):
    found = find_external2(miniature.folder)
    arrangement, remarks = settle_masks(found)
    assert arrangement == miniature.arrangement
    assert "NOT CLEAR" not in remarks[0]
    told = {line[:6] for line in remarks[1:]}
    assert told == {"003 T2", "006 T1"}
    for patient in found.patients[:2]:
        (mask,) = [mask for mask in patient.masks["tumour"] if mask.drawn_on == "T1"]
        image = load_nifti(read_file(mask.file))
        grid = miniature.geometries[patient.identifier]["T1"]
        placed = place(image.voxels, image.geometry, arrangement, grid, mask.file.name)
        assert np.array_equal(placed, miniature.tumours[patient.identifier])


def test_a_dataset_without_readable_masks_settles_nothing(tmp_path: Path):
    _skeleton(tmp_path / "MRI-Segments")
    arrangement, remarks = settle_masks(find_external2(tmp_path))
    assert arrangement is None
    assert len(remarks) == 4


def test_the_known_motions_carry_the_tumours_from_scan_to_scan(miniature: Truth):
    """Of the miniature itself: what a registration is held to is true."""
    carried, left_in_place = [], []
    for patient in find_external2(miniature.folder).patients[:3]:
        tumour = miniature.tumours[patient.identifier]
        grids = miniature.geometries[patient.identifier]
        places = grids["T1"].affine @ np.c_[np.argwhere(tumour), np.ones(tumour.sum())].T
        (mask,) = [mask for mask in patient.masks["tumour"] if mask.drawn_on == "T1c"]
        image = load_nifti(read_file(mask.file))
        inside = place(
            image.voxels, image.geometry, miniature.arrangement, grids["T1c"], mask.file.name
        )
        motion = miniature.motions[patient.identifier]["T1c"]
        for found, moved in ((carried, motion @ places), (left_in_place, places)):
            there = np.rint(np.linalg.inv(grids["T1c"].affine) @ moved)[:3].astype(int)
            found.append(inside[tuple(there)].mean())
    assert np.mean(carried) > 0.85
    assert np.mean(carried) > np.mean(left_in_place) + 0.05
