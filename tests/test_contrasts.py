import pytest

from omnisyn.contrasts import (
    CONTRASTS,
    NAMES,
    contrast,
    direction_name,
    guess_contrast,
    is_contrast,
)
from omnisyn.errors import UsageError


def test_the_canonical_order_is_the_documented_one():
    assert NAMES == ("T1", "T1c", "T2", "FLAIR", "PD", "MRA")


def test_no_alias_belongs_to_two_contrasts():
    aliases = [alias for entry in CONTRASTS for alias in (entry.name.lower(), *entry.aliases)]
    owners = {alias: contrast(alias).name for alias in aliases}

    for entry in CONTRASTS:
        for alias in (entry.name, *entry.aliases):
            assert owners[alias.lower()] == entry.name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T1w", "T1"),
        ("t1", "T1"),
        ("CE-T1WI", "T1c"),
        ("t1ce", "T1c"),
        ("T1C", "T1c"),
        ("T2w", "T2"),
        ("flair", "FLAIR"),
        ("T2-FLAIR", "FLAIR"),
        ("PDw", "PD"),
        ("angio", "MRA"),
    ],
)
def test_a_contrast_is_found_under_its_aliases_in_any_case(text, name):
    assert contrast(text).name == name


def test_an_unknown_contrast_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"unknown contrast 'FLIAR'.*FLAIR"):
        contrast("FLIAR")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T1.nii.gz", "T1"),
        ("sub-01_T1w.nii.gz", "T1"),
        ("sub-01_ce-gadolinium_T1w.nii.gz", "T1c"),
        ("case7_t1_ce.nii.gz", "T1c"),
        ("t1_pre.nii", "T1"),
        ("sub.01_T2w.nii.gz", "T2"),
        ("AX T2 FLAIR", "FLAIR"),
        ("patient_PD.nii", "PD"),
        ("3D TOF", "MRA"),
        ("T1 non-contrast", "T1"),
        ("T1 without gadolinium", "T1"),
        ("enhanced T1-weighted", "T1c"),
        ("T2, fluid attenuated", "FLAIR"),
    ],
)
def test_a_name_or_description_tells_its_contrast(text, name):
    guess = guess_contrast(text)

    assert guess is not None
    assert guess.name == name


@pytest.mark.parametrize("text", ["scan.nii.gz", "", "sub-01_dwi.nii.gz", "AT1B.nii"])
def test_a_name_that_says_nothing_gives_no_guess(text):
    assert guess_contrast(text) is None


def test_only_t1c_needs_an_entity_to_differ_from_its_bids_suffix():
    keys = [(entry.suffix, entry.entities) for entry in CONTRASTS]

    assert len(set(keys)) == len(keys)
    assert contrast("T1c").suffix == contrast("T1").suffix == "T1w"
    assert contrast("T1c").entities == (("ce", "gadolinium"),)


def test_the_sentence_says_whether_fat_is_suppressed():
    plain, suppressed = contrast("T2").describe(), contrast("T2").describe(fat_suppressed=True)

    assert plain != suppressed
    assert "suppressed" in suppressed


def test_all_twelve_sentences_differ():
    sentences = {entry.describe(flag) for entry in CONTRASTS for flag in (False, True)}

    assert len(sentences) == 12


def test_a_direction_names_its_sources_and_target():
    assert direction_name(["T1"], "T2") == "T1→T2"
    assert direction_name(["T1", "T2"], "T1c") == "T1+T2→T1c"


def test_a_word_is_a_contrast_only_as_a_whole():
    assert all(map(is_contrast, ("T1w", "ce_T1w", "flair")))
    assert not any(map(is_contrast, ("", "T1 head", "case7_T1", "T7")))


@pytest.mark.parametrize("entry", CONTRASTS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("fat_suppressed", [False, True])
def test_the_describing_sentence_tells_its_contrast(entry, fat_suppressed: bool):
    assert guess_contrast(entry.describe(fat_suppressed)) is entry
