import pytest

from omnisyn.errors import (
    InputError,
    ModelError,
    OmnisynError,
    PartialFailure,
    ResourceError,
    UsageError,
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
