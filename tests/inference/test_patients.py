import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn.errors import InputError, UsageError
from omnisyn.inference.patients import find_patients, without_folders

Scan = Callable[..., Path]


def found(items: list[str | Path]) -> dict[str, list[str]]:
    """Patient folder → contrasts, as they are found."""
    return {
        patient.folder.as_posix(): [
            source.contrast.name if source.contrast else "?" for source in patient.sources
        ]
        for patient in find_patients(items)
    }


def test_several_files_of_one_patient_are_one_patient_in_the_order_given(scan: Scan) -> None:
    files = [scan("T2.nii.gz"), scan("T1.nii.gz")]
    assert found(files) == {".": ["T2", "T1"]}


def test_a_contrast_that_is_said_beats_the_name(scan: Scan) -> None:
    assert found([f"flair={scan('T1.nii.gz')}"]) == {".": ["FLAIR"]}


def test_a_path_with_an_equals_sign_is_a_path(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scan("a=b_T1.nii.gz")
    assert found([path]) == {".": ["T1"]}
    monkeypatch.chdir(path.parent)
    assert found([path.name]) == {".": ["T1"]}


def test_the_sidecar_beats_the_name(scan: Scan) -> None:
    assert found([scan("T1.nii.gz", sidecar={"Contrast": "T1c"})]) == {".": ["T1c"]}


def test_subjects_are_never_mixed(scan: Scan) -> None:
    files = [scan("sub-01_T1w.nii.gz"), scan("sub-02_T2w.nii.gz"), scan("sub-02_T1w.nii.gz")]
    patients = find_patients(files)
    assert [[s.path.name for s in p.sources] for p in patients] == [
        ["sub-01_T1w.nii.gz"],
        ["sub-02_T2w.nii.gz", "sub-02_T1w.nii.gz"],
    ]


def test_sessions_are_kept_apart(scan: Scan) -> None:
    files = [scan("sub-01_ses-1_T1w.nii.gz"), scan("sub-01_ses-2_T1w.nii.gz")]
    assert len(find_patients(files)) == 2


def test_subjects_with_hyphens_or_numbers_are_never_mixed(scan: Scan, tmp_path: Path) -> None:
    files = [scan("d/sub-A-001_T1w.nii.gz"), scan("d/sub-A-002_T2w.nii.gz")]
    assert [len(patient.sources) for patient in find_patients(files)] == [1, 1]
    files += [scan("d/sub-B_001_T1w.nii.gz"), scan("d/sub-B_002_T2w.nii.gz")]
    apart = {"sub-A-001": ["T1"], "sub-A-002": ["T2"], "sub-B_001": ["T1"], "sub-B_002": ["T2"]}
    assert found([tmp_path / "d"]) == apart


def test_namesakes_below_two_folders_are_two_patients(scan: Scan, tmp_path: Path) -> None:
    scan("d/A/sub-01/anat/sub-01_T1w.nii.gz")
    scan("d/B/sub-01/anat/sub-01_T2w.nii.gz")
    scan("d/B/sub-02/anat/sub-02_T2w.nii.gz")
    assert found([tmp_path / "d"]) == {"A/sub-01": ["T1"], "B/sub-01": ["T2"], "sub-02": ["T2"]}


def test_namesakes_given_one_by_one_are_not_taken_for_one_patient(scan: Scan) -> None:
    files = [scan("A/sub-01_T1w.nii.gz"), scan("B/sub-01_T2w.nii.gz")]
    with pytest.raises(UsageError, match="cannot tell whether"):
        find_patients(files)
    assert found([f"T1={files[0]}", f"T2={files[1]}"]) == {".": ["T1", "T2"]}
    assert found([files[0], scan("B/sub-01_T1w.nii.gz")]) == {"A": ["T1"], "B": ["T1"]}


def test_patients_whose_results_would_have_one_name_are_refused(scan: Scan, tmp_path: Path) -> None:
    first, second = scan("A/001/T1.nii.gz"), scan("B/001/T1.nii.gz")
    for items in (
        [tmp_path / "A", tmp_path / "B"],
        [tmp_path / "A", tmp_path / "A"],
        [first, second.parent],
    ):
        with pytest.raises(UsageError, match="results of two patients would have one name"):
            find_patients(items)
    scan("C/002/T1.nii.gz")
    assert found([tmp_path / "A", tmp_path / "C"]) == {"001": ["T1"], "002": ["T1"]}


def test_a_folder_given_as_dots_has_its_name(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scan("A/001/T1.nii.gz").parent)
    assert [patient.name for patient in find_patients(["."])] == ["001"]
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "empty" / "inner")
    with pytest.raises(InputError, match=r"^empty: holds no scan"):
        find_patients([".."])
    with pytest.raises(UsageError, match="a source is empty"):
        find_patients([""])


def test_one_contrast_from_two_folders_is_two_patients(scan: Scan) -> None:
    files = [scan("a/T1.nii.gz"), scan("b/T1.nii.gz")]
    assert found(files) == {"a": ["T1"], "b": ["T1"]}


def test_files_that_may_be_of_two_patients_are_refused(scan: Scan) -> None:
    files = [scan("a/T1.nii.gz"), scan("b/T2.nii.gz")]
    with pytest.raises(UsageError, match=r"a/T1\.nii\.gz and b/T2\.nii\.gz"):
        find_patients(files)
    assert found([f"T1={files[0]}", f"T2={files[1]}"]) == {".": ["T1", "T2"]}


def test_two_sources_of_one_contrast_are_refused(scan: Scan) -> None:
    files = [scan("T1.nii.gz"), scan("T1w.nii.gz")]
    with pytest.raises(UsageError, match="two sources are T1"):
        find_patients(files)


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.nii\.gz: there is no such file"):
        find_patients([tmp_path / "gone.nii.gz"])


def test_an_unknown_contrast_is_refused_with_the_nearest(scan: Scan) -> None:
    with pytest.raises(UsageError, match="FLAIR"):
        find_patients([f"FLARE={scan('T1.nii.gz')}"])


def test_a_folder_of_patients_is_found_whatever_its_form(scan: Scan, tmp_path: Path) -> None:
    for name in (
        "data/001/T1.nii.gz",
        "data/001/T2.nii.gz",
        "data/sub-9/ses-1/anat/sub-9_ses-1_T1w.nii.gz",
        "data/flat/case7_T1.nii.gz",
        "data/flat/case7_FLAIR.nii.gz",
        "data/flat/case8_T1.nii.gz",
    ):
        scan(name)
    assert found([tmp_path / "data"]) == {
        "001": ["T1", "T2"],
        "flat/case7": ["T1", "FLAIR"],
        "flat/case8": ["T1"],
        "sub-9/ses-1": ["T1"],
    }


def test_masks_caches_truths_and_earlier_results_are_no_scans(scan: Scan, tmp_path: Path) -> None:
    for name in (
        "data/T1.nii.gz",
        "data/T1_mask.nii.gz",
        "data/T2_segmentation.nii.gz",
        "data/FLAIR_seg2.nii.gz",
        "data/T2_lesions.nii.gz",
        "data/tumour.nii.gz",
        "data/desc-synth_T2w.nii.gz",
        "data/cache/T2.nii.gz",
        "data/truth/T2.nii.gz",
    ):
        scan(name)
    assert found([tmp_path / "data"]) == {".": ["T1"]}


def test_a_subject_spelled_like_a_mask_is_a_subject(scan: Scan, tmp_path: Path) -> None:
    scan("data/sub-tumor01_T1w.nii.gz")
    assert found([tmp_path / "data"]) == {"sub-tumor01": ["T1"]}


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no scan"):
        find_patients([tmp_path])


def test_links_are_not_followed(scan: Scan, tmp_path: Path) -> None:
    scan("data/001/T1.nii.gz")
    (tmp_path / "data" / "001" / "loop").symlink_to(tmp_path / "data")
    assert found([tmp_path / "data"]) == {"001": ["T1"]}


def test_dicom_folders_are_told_by_content(tmp_path: Path) -> None:
    shared = Path(__file__).parents[3] / "shared" / "data"
    series = shared / "dicom" / "dicom2nifti" / "ge" / "anatomical" / "001"
    if not series.is_dir():
        pytest.skip("the shared DICOM data are not here")
    for name in ("T1WI", "T2WI"):
        shutil.copytree(series, tmp_path / "data" / "017" / name)
    assert found([tmp_path / "data"]) == {"017": ["?", "?"]}
    assert found([f"T1={tmp_path / 'data' / '017' / 'T1WI'}"]) == {".": ["T1"]}


def test_only_basenames_are_written_down() -> None:
    assert without_folders("/data/secret/T1.nii.gz") == "T1.nii.gz"
    assert without_folders("T1=/data/secret/x.nii.gz") == "T1=x.nii.gz"
    assert without_folders("/data/who=Smith/T1.nii.gz") == "T1.nii.gz"
    assert without_folders("t1=/data/who=Smith/a=b.nii.gz") == "T1=a=b.nii.gz"
