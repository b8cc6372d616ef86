import pytest

from omnisyn.errors import (
    InputError,
    ModelError,
    OmnisynError,
    PartialFailure,
    ResourceError,
    UsageError,
    reason_of,
    sentence_of,
)


def test_the_line_names_file_fault_reason_and_remedy_in_that_order():
    error = InputError("cut short", where="a.nii.gz", why="10 of 20 bytes", remedy="copy it again")

    assert str(error) == "a.nii.gz: cut short (10 of 20 bytes); copy it again"
    assert (error.what, error.where) == ("cut short", "a.nii.gz")
    assert (error.why, error.remedy) == ("10 of 20 bytes", "copy it again")


def test_parts_that_are_not_given_leave_no_punctuation_behind():
    assert str(UsageError("unknown option")) == "unknown option"
    assert str(UsageError("unknown option", remedy="see --help")) == "unknown option; see --help"


def test_a_reason_of_several_lines_becomes_one_line():
    assert str(InputError("bad", why="first\n  second\tthird")) == "bad (first second third)"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (OmnisynError, 1),
        (UsageError, 2),
        (InputError, 3),
        (ModelError, 4),
        (ResourceError, 5),
        (PartialFailure, 6),
    ],
)
def test_each_class_carries_its_documented_exit_code(kind, code):
    assert kind("x").exit_code == code
    assert isinstance(kind("x"), OmnisynError)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FileNotFoundError(2, "No such file or directory", "/home/x/a.nii"), "No such file or dir"),
        (ValueError("cannot read '/home/John Doe/a.nii'\nTraceback: /usr/lib/b.py"), "'a.nii'"),
        (ValueError(r"no C:\Users\John Doe\a.nii here"), "no a.nii here"),
        (ValueError("2/3 of it, and/or more"), "2/3 of it, and/or more"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_a_reason_is_one_line_without_folders(fault: Exception, reason: str):
    said = reason_of(fault)
    assert reason in said
    assert "\n" not in said
    assert not {"home", "John", "usr"} & set(said.replace("/", " ").replace("\\", " ").split())


def test_a_foreign_fault_is_told_with_its_class_and_ours_in_its_own_words():
    assert sentence_of(ValueError("cannot read /home/John Doe/a.nii")) == (
        "ValueError: cannot read a.nii"
    )
    assert sentence_of(InputError("cut short", where="a.nii")) == "a.nii: cut short"
