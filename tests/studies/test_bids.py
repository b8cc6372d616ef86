"""Of a BIDS dataset only its scans are found, and each for what its suffix says."""

import json
from pathlib import Path

import pytest

from omnisyn.errors import InputError
from omnisyn.studies.bids import (
    anatomical_files,
    contrast_of,
    enclosing_dataset,
    is_raw_dataset,
    run_number,
)
from tests.bids_dataset import SCANS, raw_dataset


@pytest.mark.parametrize(
    ("description", "raw"),
    [
        ('{"Name": "x", "BIDSVersion": "1.8.0"}', True),
        ('{"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "raw"}', True),
        ('{"Name": "x", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}', False),
        ('{"Name": "x"}', False),
        ("[]", False),
        ("{", False),
        (None, False),
    ],
)
def test_a_raw_dataset_is_told_by_its_description(
    tmp_path: Path, description: str | None, raw: bool
) -> None:
    if description is not None:
        (tmp_path / "dataset_description.json").write_text(description)
    assert is_raw_dataset(tmp_path) is raw
    inside = tmp_path / "derivatives" / "not yet made"
    assert enclosing_dataset(inside) == (tmp_path.resolve() if raw else None)


def test_scans_are_found_in_anat_of_subjects_and_sessions_alone(tmp_path: Path) -> None:
    raw_dataset(tmp_path)
    (tmp_path / "sub-09").symlink_to(tmp_path / "sub-02")
    (tmp_path / "sub-01" / "ses-pre" / "anatomy").mkdir()
    (tmp_path / "sub-01" / "ses-pre" / "anatomy" / "sub-01_T1w.nii").touch()
    found = {
        path.relative_to(tmp_path).as_posix().removesuffix(".nii.gz")
        for path in anatomical_files(tmp_path)
        if contrast_of(path)
    }
    assert found == set(SCANS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sub-01_T1w.nii", "T1"),
        ("sub-01_acq-FLAIR_rec-t2w_run-02_T1w.nii.gz", "T1"),
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T1c"),
        ("sub-01_ce-none_T1w.nii.gz", "T1"),
        ("sub-01_part-mag_T2w.nii.gz", "T2"),
        ("sub-01_ce-gadolinium_T2w.nii.gz", "T2"),
        ("sub-01_FLAIR.nii.gz", "FLAIR"),
        ("sub-01_PDw.nii.gz", "PD"),
        ("sub-01_angio.nii.gz", "MRA"),
        ("sub-01_ce-gadolinium_angio.nii.gz", None),
        ("sub-01_part-phase_T1w.nii.gz", None),
        ("sub-01_acq-mprage_T2starw.nii.gz", None),
        ("sub-01_inplaneT1.nii.gz", None),
        ("sub-01_inplaneT2.nii.gz", None),
        ("sub-01_mod-T1w_defacemask.nii.gz", None),
        *((f"sub-01_{suffix}.nii.gz", None) for suffix in ("T1map", "PDT2", "UNIT1", "PD", "mask")),
    ],
)
def test_the_suffix_alone_says_the_contrast(tmp_path: Path, name: str, shown: str | None) -> None:
    found = contrast_of(tmp_path / name)
    assert (found.name if found else None) == shown


def test_an_agent_that_only_the_sidecar_names_makes_it_t1c(tmp_path: Path) -> None:
    side = tmp_path / "sub-01_T1w.json"
    side.write_text(json.dumps({"ContrastBolusIngredient": "GADOLINIUM"}))
    shown = contrast_of(tmp_path / "sub-01_T1w.nii.gz")
    assert shown is not None
    assert shown.name == "T1c"
    side.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        contrast_of(tmp_path / "sub-01_T1w.nii.gz")


def test_an_agent_that_the_dataset_names_for_all_makes_it_t1c(tmp_path: Path) -> None:
    raw_dataset(tmp_path)
    (tmp_path / "acq-axial_T1w.json").write_text('{"ContrastBolusIngredient": "GADOLINIUM"}')
    shown = [contrast_of(tmp_path / f"sub-02/anat/sub-02_acq-{name}_T1w.nii.gz")
             for name in ("axial", "sagittal")]  # fmt: skip
    assert [each.name for each in shown if each] == ["T1c", "T1"]


def test_runs_are_counted() -> None:
    names = ("sub-01_run-10_T1w.nii", "sub-01_run-02_T1w.nii", "sub-01_T1w.nii", "run-x_T1w.nii")
    assert [run_number(name) for name in names] == [10, 2, 1, 1]
