"""Splits go by patient and stay where they are."""

import pytest

from omnisyn.errors import InputError
from omnisyn.studies.splits import part_of_patients, split_patients

MANY = [f"sub-{number:03d}" for number in range(400)]


def test_adding_patients_moves_nobody():
    before = split_patients(MANY[:200], 0.2, seed=1)
    after = split_patients(reversed(MANY), 0.2, seed=1)
    assert before == {identifier: after[identifier] for identifier in MANY[:200]}


def test_larger_fraction_only_adds_validation_patients():
    parts = [split_patients(MANY, fraction, seed=1) for fraction in (0.1, 0.3)]
    few, more = ({key for key, part in each.items() if part == "validation"} for each in parts)
    assert few < more
    assert 20 < len(few) < 60
    assert 90 < len(more) < 150


def test_another_seed_is_another_split():
    assert split_patients(MANY, 0.5, seed=1) != split_patients(MANY, 0.5, seed=2)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_both_parts_exist_however_small_the_site(fraction: float):
    parts = split_patients(MANY[:2], fraction, seed=3)
    assert sorted(parts.values()) == ["train", "validation"]


def test_a_single_patient_is_trained_on():
    assert split_patients(["only"], 0.999, seed=0) == {"only": "train"}


def test_fractions_at_the_ends_are_taken_literally():
    assert set(split_patients(MANY, 0, seed=0).values()) == {"train"}
    assert set(split_patients(MANY, 1, seed=0).values()) == {"validation"}
    with pytest.raises(ValueError, match="validation_fraction"):
        split_patients(MANY, 1.5, seed=0)


def test_split_column_wins_over_the_hash():
    tags = {"a": {"split": "validation"}, "b": {"split": "test"}, "c": {"split": "train"}}
    for seed in range(5):
        parts = part_of_patients(tags, 0.5, seed)
        assert parts == {"a": "validation", "b": "test", "c": "train"}


def test_scans_of_one_subject_stay_together():
    tags = {f"{identifier}_ses-{visit}": {"subject": identifier} for identifier in MANY
            for visit in (1, 2)}  # fmt: skip
    parts = part_of_patients(tags, 0.5, seed=0)
    assert all(parts[f"{key}_ses-1"] == parts[f"{key}_ses-2"] for key in MANY)
    assert set(parts.values()) == {"train", "validation"}


def test_one_scan_with_a_split_takes_the_subject_along():
    tags = {"a1": {"subject": "a", "split": "test"}, "a2": {"subject": "a"}}
    assert part_of_patients(tags, 0.5, seed=0) == {"a1": "test", "a2": "test"}


def test_subject_in_two_parts_is_refused():
    tags = {"a1": {"subject": "a", "split": "train"}, "a2": {"subject": "a", "split": "test"}}
    with pytest.raises(InputError, match="subject a are in two parts"):
        part_of_patients(tags, 0.5, seed=0)


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match=r"'valid' of patient a .*train, validation, test"):
        part_of_patients({"a": {"split": "valid"}}, 0.5, seed=0)
