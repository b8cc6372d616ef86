"""Patients and contrasts are found by name, in the arrangements that people have."""

from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.find import find_patients
from omnisyn.preparation.instructions import Instructions
from tests.small_heads import SHAPE, WriteHead


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def _found(folder: Path) -> dict[str, dict[str, str]]:
    return {
        patient.identifier: {
            name: str(scan.files[0].relative_to(folder)) for name, scan in patient.scans.items()
        }
        for patient in find_patients(folder).patients
    }


def test_plain_folders_of_patients(tmp_path: Path):
    _touch(tmp_path, "case2/T2.nii", "case2/t1ce.nii", "case1/T1.nii.gz", "case1/CE-T1WI.nii.gz")
    assert _found(tmp_path) == {
        "case1": {"T1": "case1/T1.nii.gz", "T1c": "case1/CE-T1WI.nii.gz"},
        "case2": {"T1c": "case2/t1ce.nii", "T2": "case2/T2.nii"},
    }


def test_bids_dataset_with_sessions_and_derivatives(tmp_path: Path):
    _touch(
        tmp_path,
        "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/anat/sub-02_ce-gadolinium_T1w.nii.gz",
        "sub-02/anat/sub-02_angio.nii.gz",
        "derivatives/other/sub-02/anat/sub-02_T2w.nii.gz",
    )
    found = find_patients(tmp_path)
    assert {item.identifier: item.subject for item in found.patients} == {
        "sub-01_ses-1": "sub-01",
        "sub-01_ses-2": "sub-01",
        "sub-02": "sub-02",
    }
    assert list(found.patients[2].scans) == ["T1", "T1c", "MRA"]


def test_visits_below_a_patient_belong_to_one_subject_and_groups_do_not(tmp_path: Path):
    _touch(tmp_path, "p1/study1/T1.nii.gz", "p1/study2/T1.nii.gz", "cohort/p7/T1.nii.gz",
           "cohort/p8/anat/T1.nii.gz")  # fmt: skip
    subjects = {item.identifier: item.subject for item in find_patients(tmp_path).patients}
    assert subjects == {
        "p1_study1": "p1",
        "p1_study2": "p1",
        "cohort_p7": "cohort_p7",
        "cohort_p8": "cohort_p8",
    }


def test_flat_folder_of_bids_names_and_folder_of_one_patient(tmp_path: Path):
    flat = _touch(tmp_path / "flat", "sub-a_T1w.nii.gz", "sub-a_T2w.nii.gz", "sub-b_T1w.nii.gz")
    assert set(_found(flat)) == {"sub-a", "sub-b"}
    single = _touch(tmp_path / "case9", "T1.nii.gz", "flair.nii.gz")
    assert _found(single) == {"case9": {"T1": "T1.nii.gz", "FLAIR": "flair.nii.gz"}}


def test_subjects_with_hyphens_or_numbers_are_never_mixed(tmp_path: Path):
    _touch(tmp_path, "sub-A-001_T1w.nii.gz", "sub-A-002_T2w.nii.gz",
           "sub-B_001_T1w.nii.gz", "sub-B_002_T2w.nii.gz")  # fmt: skip
    assert {name: list(files) for name, files in _found(tmp_path).items()} == {
        "sub-A-001": ["T1"], "sub-A-002": ["T2"], "sub-B_001": ["T1"], "sub-B_002": ["T2"],
    }  # fmt: skip


def test_namesakes_below_two_folders_are_two_patients_and_two_persons(tmp_path: Path):
    _touch(tmp_path, "A/sub-01/anat/sub-01_T1w.nii.gz", "B/sub-01/anat/sub-01_T2w.nii.gz",
           "B/sub-02/anat/sub-02_T2w.nii.gz")  # fmt: skip
    subjects = {item.identifier: item.subject for item in find_patients(tmp_path).patients}
    assert subjects == {"A_sub-01": "A_sub-01", "B_sub-01": "B_sub-01", "sub-02": "sub-02"}


def test_visits_of_a_subject_stay_one_person_wherever_they_stand(tmp_path: Path):
    _touch(tmp_path, "baseline/sub-01_T1w.nii.gz", "followup/sub-01_T1w.nii.gz",
           "sub-02/20200101/T1.nii.gz", "sub-02/20210101/T1.nii.gz")  # fmt: skip
    subjects = {item.identifier: item.subject for item in find_patients(tmp_path).patients}
    assert subjects == {
        "baseline_sub-01": "sub-01",
        "followup_sub-01": "sub-01",
        "sub-02_20200101": "sub-02",
        "sub-02_20210101": "sub-02",
    }


def test_two_folders_that_would_give_one_name_are_refused(tmp_path: Path):
    _touch(tmp_path, "p1_a/T1.nii.gz", "p1/a/T2.nii.gz")
    with pytest.raises(InputError, match=r"two patients would be called p1_a .*p1/a and p1_a"):
        find_patients(tmp_path)


def test_links_to_folders_are_not_followed(tmp_path: Path):
    _touch(tmp_path, "p1/T1.nii.gz")
    (tmp_path / "p1" / "loop").symlink_to("..")
    (tmp_path / "p2").symlink_to("p1")
    assert set(_found(tmp_path)) == {"p1"}


def test_masks_are_never_taken_for_the_contrast_they_were_drawn_on(tmp_path: Path):
    _touch(tmp_path, "p1/T1.nii.gz", "p1/T1_mask.nii.gz", "p1/tumor_T1.nii.gz",
           "p1/lesions.nii.gz", "p1/head.nii.gz", "p1/T2_brainmask.nii.gz")  # fmt: skip
    found = find_patients(tmp_path)
    assert list(found.patients[0].scans) == ["T1"]
    assert set(found.patients[0].masks) == {"tumour", "lesions", "head"}
    assert found.passed_over == ("T1_mask.nii.gz: no contrast", "T2_brainmask.nii.gz: no contrast")


def test_subject_label_spelled_like_a_contrast_says_nothing(tmp_path: Path):
    _touch(tmp_path, "sub-PD/anat/sub-PD_T2w.nii.gz")
    assert _found(tmp_path)["sub-PD"] == {"T2": "sub-PD/anat/sub-PD_T2w.nii.gz"}


def test_synthetic_images_are_passed_over(tmp_path: Path):
    _touch(tmp_path, "p1/T1.nii.gz", "p1/desc-synth_T2w.nii.gz", "p1/FLAIR.nii.gz")
    (tmp_path / "p1" / "FLAIR.json").write_text('{"Synthetic": true}')
    found = find_patients(tmp_path)
    assert list(found.patients[0].scans) == ["T1"]
    assert {note.split(":")[0] for note in found.passed_over} == {
        "desc-synth_T2w.nii.gz", "FLAIR.nii.gz",
    }  # fmt: skip


def test_of_two_files_of_one_contrast_the_better_is_taken(tmp_path: Path, write_head: WriteHead):
    anat = tmp_path / "sub-1" / "anat"
    write_head(anat / "sub-1_run-1_T1w.nii.gz")
    write_head(anat / "sub-1_run-2_T1w.nii.gz")
    coarse = Geometry.axial(SHAPE, (4.0, 1.5, 1.5))
    write_head(anat / "sub-1_run-3_T1w.nii.gz", geometry=coarse)
    (patient,) = find_patients(tmp_path).patients
    assert [path.name for path in patient.scans["T1"].files] == ["sub-1_run-2_T1w.nii.gz"]
    assert [line.split(":")[0] for line in patient.left] == [
        "sub-1_run-1_T1w.nii.gz",
        "sub-1_run-3_T1w.nii.gz",
    ]
    assert "sub-1_run-2_T1w.nii.gz is taken" in patient.left[0]


def test_instructions_say_what_names_do_not(tmp_path: Path):
    _touch(tmp_path, "p1/scan_a.nii.gz", "p1/T2.nii.gz", "p1/scan_b.nii.gz", "p1/T1_old.nii.gz")
    instructions = Instructions(
        contrasts={"*/SCAN_A*": "t1ce", "*scan_b*": "FLAIR", "*_old*": "none"}
    )
    (patient,) = find_patients(tmp_path, instructions).patients
    assert {name: scan.files[0].name for name, scan in patient.scans.items()} == {
        "T1c": "scan_a.nii.gz",
        "T2": "T2.nii.gz",
        "FLAIR": "scan_b.nii.gz",
    }


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: folder / "none", "no such folder"),
        (lambda folder: _touch(folder, "p1/image.nii.gz"), "image.nii.gz: no contrast"),
        (lambda folder: _touch(folder, "p1/T1/IM001.dcm"), "no patient was found"),
    ],
)
def test_folder_without_patients_is_refused(
    tmp_path: Path, prepare: Callable[[Path], Path], message: str
):
    with pytest.raises(InputError, match=message):
        find_patients(prepare(tmp_path))


def test_a_bids_dataset_is_read_as_the_standard_says(tmp_path: Path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    _touch(
        tmp_path,
        "sub-01/ses-1/anat/sub-01_ses-1_acq-FLAIR_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_T1map.nii.gz",
        "sub-01/ses-1/func/sub-01_ses-1_task-T2_bold.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_ce-gadolinium_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_angio.nii.gz",
        "extra/T2.nii.gz",
    )
    found = find_patients(tmp_path, sessions=["2"])
    assert {patient.identifier: list(patient.scans) for patient in found.patients} == {
        "sub-01_ses-2": ["T1c", "MRA"]
    }
    first, _ = find_patients(tmp_path).patients
    assert list(first.scans) == ["T1"]
    assert first.subject == "sub-01"
