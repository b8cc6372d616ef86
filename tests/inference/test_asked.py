import json

import pytest

from omnisyn.contrasts import contrast
from omnisyn.errors import UsageError
from omnisyn.inference.asked import Asked
from omnisyn.models.clip.texts import Acquisition


@pytest.mark.parametrize(
    ("acquisition", "said"),
    [
        ({"echo_time_ms": 0.09}, r"no TE of 0\.09 ms .*give times in ms, 90 for 0\.09 s"),
        ({"echo_time_ms": -90}, "no TE of -90 ms"),
        ({"echo_time_ms": float("nan")}, "no TE of nan ms"),
        ({"repetition_time_ms": 4}, "no TR of 4 ms"),
        ({"inversion_time_ms": 2.4}, "no TI of 2.4 ms"),
        ({"field_tesla": 1500}, "no field of 1500 T"),
        ({"field_tesla": 0}, "no field of 0 T"),
        ({"echo_time_ms": 90, "repetition_time_ms": 90}, "TE is not shorter than TR"),
        ({"inversion_time_ms": 2400, "repetition_time_ms": 9}, "TI is not shorter than TR"),
    ],
)
def test_numbers_that_no_scanner_has_are_refused(acquisition: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Asked(Acquisition(**acquisition))


@pytest.mark.parametrize(
    ("prompt", "said"),
    [(" ", "empty"), ("T2\nTE 90", "cannot be written"), ("T2\udc80", "cannot be written")],
)
def test_prompt_that_says_nothing_or_cannot_be_told_is_refused(prompt: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Asked(prompt=prompt)


@pytest.mark.parametrize("besides", [Acquisition(True), Acquisition(False, echo_time_ms=90)])
def test_prompt_stands_alone(besides: Acquisition) -> None:
    with pytest.raises(UsageError, match="--prompt says everything that is asked for"):
        Asked(besides, "T2")
    assert Asked(Acquisition(False), "T2").prompt == "T2"


@pytest.mark.parametrize(
    ("asked", "in_words", "canonical"),
    [
        (Asked(), False, True),
        (Asked(Acquisition(False)), False, True),
        (Asked(Acquisition(True)), False, False),
        (Asked(Acquisition(True, field_tesla=3)), True, False),
        (Asked(prompt="T2"), True, False),
    ],
)
def test_fat_alone_needs_no_words(asked: Asked, in_words: bool, canonical: bool) -> None:
    assert (asked.in_words, asked.canonical) == (in_words, canonical)
    assert (asked.told("T2") == {}) == canonical
    assert (asked.brief == "") == canonical


def test_what_was_asked_is_told_in_the_words_and_units_of_bids() -> None:
    asked = Asked(Acquisition(True, 4000, 90, 170, 1.5))
    told = asked.told("T2")
    assert told.pop("Text") == asked.text("T2")
    assert "TE 90 ms" in asked.text("T2")
    assert asked.text("T2").startswith(contrast("T2").sentence)
    assert json.loads(json.dumps(told)) == {
        "FatSuppressed": True,
        "RepetitionTime": 4.0,
        "EchoTime": 0.09,
        "InversionTime": 0.17,
        "MagneticFieldStrength": 1.5,
    }
    assert asked.brief == "TR 4000 ms, TE 90 ms, TI 170 ms, field 1.5 T, fat suppressed"
    assert Asked(prompt="T2, TE 90 ms").told("T2") == {"Text": "T2, TE 90 ms"}


def test_brief_form_of_a_prompt_is_short_ascii_without_marks() -> None:
    assert Asked(prompt="T2 → $x$ \\ Ödem").brief == "T2 ? ?x? ? ?dem"
    assert len(Asked(prompt="dark fluid " * 90).brief) <= 200


def test_targets_are_those_wanted_or_the_one_of_the_prompt() -> None:
    assert Asked().targets(["T2", "all"]) == ("T2", "all")
    assert Asked(prompt="A T1-weighted slice without contrast").targets([]) == ("T1",)
    assert Asked(prompt="fluid-attenuated, fat suppressed").targets([]) == ("FLAIR",)
    assert Asked(prompt="bright fluid").targets(["t2w", "T2"]) == ("t2w", "T2")
    with pytest.raises(UsageError, match=r"no target is asked for; give --target"):
        Asked().targets([])
    with pytest.raises(UsageError, match=r"the prompt names no contrast; say with --target"):
        Asked(prompt="bright fluid").targets([])
    for several in (["T2", "PD"], ["all"]):
        with pytest.raises(UsageError, match="a prompt is of one target"):
            Asked(prompt="T2").targets(several)


def test_what_does_not_go_together_is_told() -> None:
    (odd,) = Asked(Acquisition(inversion_time_ms=170)).oddities("T2")
    assert "TI 170 ms is asked of T2, which is acquired without an inversion" in odd
    assert Asked(Acquisition(inversion_time_ms=2400)).oddities("FLAIR") == []
    (odd,) = Asked(prompt="T1-weighted").oddities("T2")
    assert odd == "the prompt seems to be of T1; the result is called T2"
    assert Asked(prompt="bright fluid").oddities("T2") == []


def test_numbers_are_found_in_times_and_in_prompts() -> None:
    assert Asked(Acquisition(echo_time_ms=90)).has_numbers
    assert Asked(prompt="T2-weighted, TE 90 ms").has_numbers
    assert not Asked(prompt="T2-weighted, fat is dark").has_numbers
    assert not Asked(Acquisition(fat_suppressed=True)).has_numbers
