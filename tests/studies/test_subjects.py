"""Whose scan a file is: labels are taken whole, and namesakes told apart."""

from pathlib import PurePath

import pytest

from omnisyn.errors import UsageError
from omnisyn.studies.subjects import labels, owner, owners, person, selected, without_labels


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


PATIENTS = [("sub-01", "ses-pre"), ("sub-01", "ses-post"), ("sub-02", "ses-pre"), ("A", "sub-10")]


@pytest.mark.parametrize(
    ("subjects", "sessions", "kept"),
    [
        ((), (), [0, 1, 2, 3]),
        (("01",), (), [0, 1]),
        (("sub-01", "10"), (), [0, 1, 3]),
        ((), ("pre",), [0, 2]),
        (("01", "02"), ("ses-pre",), [0, 2]),
        (("01", "02"), ("post",), [1]),
    ],
)
def test_subjects_and_sessions_are_chosen_with_and_without_their_prefix(
    subjects: tuple[str, ...], sessions: tuple[str, ...], kept: list[int]
) -> None:
    assert selected(PATIENTS, subjects, sessions) == [PATIENTS[place] for place in kept]


def test_a_patient_without_labels_is_chosen_by_its_folders() -> None:
    patients = [("017", "visit1"), ("017", "visit2"), ("018",)]
    assert selected(patients, ["017"], ["visit2"]) == [("017", "visit2")]


@pytest.mark.parametrize(
    ("subjects", "sessions", "said"),
    [
        (("1",), (), "there is no subject '1'; the nearest are 10, 01"),
        (("Z",), (), "there is no subject 'Z'; there are 3, as 01, 02, 10"),
        (("pre",), (), "there is no subject 'pre'"),
        ((), ("pos",), "there is no session 'pos'; the nearest are post"),
        (("10",), ("pre",), "none of these subjects has one of these sessions"),
    ],
)
def test_an_unknown_label_is_refused_and_the_nearest_are_offered(
    subjects: tuple[str, ...], sessions: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        selected(PATIENTS, subjects, sessions)
    assert str(caught.value).startswith(said)


def test_a_session_where_nothing_has_one_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing here says its session"):
        selected([("sub-01",)], (), ["pre"])
