import pytest

from omnisyn.contrasts import contrast
from omnisyn.volumes.contrast_guess import (
    AGREED,
    CONTRADICTED,
    PARAMETERS_ONLY,
    WORDS_ONLY,
    contradiction,
    guess_from,
)


def facts(tr=None, te=None, ti=None, **more):
    times = {"RepetitionTime": tr, "EchoTime": te, "InversionTime": ti}
    return {**{key: value for key, value in times.items() if value is not None}, **more}


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (facts(550, 12), "T1"),
        (facts(2300, 3, 900, ScanningSequence="GR\\IR"), "T1"),
        (facts(8, 3, ScanningSequence="GR"), "T1"),
        (facts(4500, 95), "T2"),
        (facts(9000, 120, 2400), "FLAIR"),
        (facts(5000, 390, 1800), "FLAIR"),
        (facts(2700, 15), "PD"),
        (facts(22, 4, AngioFlag="Y"), "MRA"),
    ],
)
def test_the_parameters_of_a_sequence_tell_its_contrast(parameters, name):
    guess = guess_from(parameters)

    assert (guess.contrast.name, guess.confidence) == (name, PARAMETERS_ONLY)


@pytest.mark.parametrize(
    "parameters",
    [
        facts(),
        facts(4500),
        facts(3000, 90, ScanningSequence="EP\\SE"),
        facts(3000, 90, SeriesDescription="ep2d_diff"),
        facts(700, 25, ScanningSequence="GR"),
        facts(1500, 50),
    ],
)
def test_what_is_none_of_the_six_is_not_guessed(parameters):
    guess = guess_from(parameters)

    assert (guess.contrast, guess.confidence) == (None, 0.0)


def test_words_and_parameters_that_agree_are_believed_most():
    agreed = guess_from(facts(4500, 95, SeriesDescription="AX T2 TSE"))
    words = guess_from(facts(SeriesDescription="AX T2 TSE"))
    against = guess_from(facts(550, 12, SeriesDescription="AX T2 TSE"))

    assert agreed.contrast is words.contrast is against.contrast is contrast("T2")
    assert [g.confidence for g in (agreed, words, against)] == [AGREED, WORDS_ONLY, CONTRADICTED]
    assert "TR 550 ms, TE 12 ms are those of T1" in against.reason


@pytest.mark.parametrize("agent", ["GADOVIST", "yes"])
def test_an_agent_makes_t1_t1c(agent):
    assert guess_from(facts(550, 12, ContrastBolusAgent=agent)).contrast is contrast("T1c")
    named = facts(SeriesDescription="AX T1", ContrastBolusAgent=agent)
    assert guess_from(named).contrast is contrast("T1c")


def test_no_agent_leaves_t1():
    assert guess_from(facts(550, 12, ContrastBolusAgent="NONE")).contrast is contrast("T1")


def test_a_name_is_asked_where_the_description_is_silent():
    assert guess_from(facts(), ["case7_FLAIR.nii.gz"]).contrast is contrast("FLAIR")


def test_what_is_said_is_held_against_the_parameters():
    assert "are those of T2" in str(contradiction(contrast("T1"), facts(4500, 95)))
    assert contradiction(contrast("T1c"), facts(550, 12)) is None
    assert contradiction(contrast("T1"), facts()) is None
