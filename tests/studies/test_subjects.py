"""Whose scan a file is: labels are taken whole, and namesakes told apart."""

from pathlib import PurePath

import pytest

from omnisyn.studies.subjects import labels, owner, owners, person, without_labels


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sub-01_T1w.nii.gz", ("sub-01",)),
        ("sub-01_ses-2_ce-gadolinium_T1w.nii.gz", ("sub-01", "ses-2")),
        ("sub-A-001_T1w.nii", ("sub-A-001",)),
        ("sub-NPC_0001_T1w.nii.gz", ("sub-NPC_0001",)),
        ("sub-01.2_T2w.nii.gz", ("sub-01.2",)),
        ("sub-01.T1.nii.gz", ("sub-01",)),
        ("sub-01-T1.nii.gz", ("sub-01",)),
        ("sub-PD_T1w.nii.gz", ("sub-PD",)),
        ("sub-01-PD_T1w.nii.gz", ("sub-01-PD",)),
        ("sub-PD", ("sub-PD",)),
        ("subject1_T1.nii.gz", ()),
    ],
)
def test_labels_are_taken_whole_and_without_the_contrast(name: str, found: tuple[str, ...]) -> None:
    assert labels(name) == found


def test_the_rest_of_a_name_says_what_it_shows() -> None:
    assert without_labels("sub-PD_ses-T1_T2w.nii.gz") == "T2w"
    assert without_labels("sub-01-T1.nii.gz") == "T1"
    assert without_labels("case7_T1.nii.gz") == "case7_T1"


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", ("sub-01", "ses-1")),
        ("sub-01/ses-1/anat/T1.nii.gz", ("sub-01", "ses-1")),
        ("sub-01_ses-1/sub-01_T1w.nii.gz", ("sub-01", "ses-1")),
        ("T1/sub-01_T1w.nii.gz", ("sub-01",)),
        ("PD/sub-01_T1w.nii.gz", ("PD", "sub-01")),
        ("sub-01/sub-02_T1w.nii.gz", ("sub-01", "sub-02")),
        ("a/sub-01/visit2/T1.nii.gz", ("a", "sub-01", "visit2")),
    ],
)
def test_an_owner_is_told_by_folders_and_name(path: str, parts: tuple[str, ...]) -> None:
    assert owner(PurePath(path)) == parts


def test_folders_above_a_subject_are_named_only_where_it_has_a_namesake() -> None:
    first, second, third = (
        PurePath(f"{folder}/anat/T1.nii.gz") for folder in ("a/sub-1", "b/sub-1", "b/sub-2/ses-1")
    )
    found = owners([first, second, third, PurePath("p1/T1.nii.gz")])
    assert found == {first: ("a", "sub-1"), second: ("b", "sub-1"), third: ("sub-2", "ses-1")}
    assert [person(parts) for parts in found.values()] == [
        ("a", "sub-1"), ("b", "sub-1"), ("sub-2",),
    ]  # fmt: skip
