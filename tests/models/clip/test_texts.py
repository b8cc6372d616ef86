import itertools
from collections.abc import Iterator

import pytest
import torch

from omnisyn.contrasts import CONTRASTS, contrast
from omnisyn.models.clip.texts import (
    CONTRAST_WORDINGS,
    FACT_WORDINGS,
    FAT_WORDINGS,
    HELD_OUT,
    Acquisition,
    Wordings,
    describe,
    describe_otherwise,
)
from omnisyn.models.clip.vocabulary import CONTEXT_LENGTH, pieces, words

EVERYTHING = Acquisition(True, 11234, 12.3, 2345, 1.5, "United Imaging")


def every_wording() -> Iterator[Wordings]:
    for table in (CONTRAST_WORDINGS, FAT_WORDINGS, FACT_WORDINGS):
        yield from table.values()


def drawn(entry_name: str, acquisition: Acquisition, count: int = 1000) -> set[str]:
    draws = torch.Generator().manual_seed(0)
    return {describe(contrast(entry_name), acquisition, draws) for _ in range(count)}


@pytest.mark.parametrize("entry", CONTRASTS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("fat_suppressed", [False, True])
def test_first_wording_is_the_canonical_sentence(entry, fat_suppressed: bool) -> None:
    acquisition = Acquisition(fat_suppressed)
    assert describe(entry, acquisition) == entry.describe(fat_suppressed)
    assert entry.describe(fat_suppressed) in drawn(entry.name, acquisition)


def test_what_is_known_is_said_and_nothing_else() -> None:
    entry = contrast("FLAIR")
    assert describe(entry, Acquisition()) == f"{entry.sentence}."
    known = Acquisition(False, 9000, 95.5, field_tesla=3, vendor="GE")
    assert describe(entry, known) == (
        f"{entry.sentence}; fat keeps its own signal; TR 9000 ms, TE 95.5 ms, 3 T, GE scanner."
    )


def test_every_wording_that_is_trained_on_is_drawn_and_no_other() -> None:
    expected = {
        f"{sentence}; {fat}."
        for sentence, fat in itertools.product(
            CONTRAST_WORDINGS["T2"].trained, FAT_WORDINGS[True].trained
        )
    }
    assert drawn("T2", Acquisition(True)) == expected


def test_what_follows_the_contrast_is_drawn_in_any_order() -> None:
    orders = set()
    for text in drawn("PD", Acquisition(True, 4321, 98)):
        text = text.replace("; FS", "; fat")
        orders.add(tuple(sorted(("fat", "4321", "98"), key=text.rindex)))
    assert orders == {
        ("fat", "4321", "98"),
        ("fat", "98", "4321"),
        ("4321", "98", "fat"),
        ("98", "4321", "fat"),
    }


def test_the_same_generator_draws_the_same_words() -> None:
    first, second = (torch.Generator().manual_seed(5) for _ in range(2))
    for entry in CONTRASTS:
        assert describe(entry, EVERYTHING, first) == describe(entry, EVERYTHING, second)


def test_no_wording_says_the_same_as_another() -> None:
    every = [text for wordings in every_wording() for text in (*wordings[0], *wordings[1])]
    assert len(set(every)) == len(every)
    texts = [tuple(pieces(text)) for text in every]
    assert len(set(texts)) == len(texts)


def test_held_out_wordings_use_words_that_are_trained_on() -> None:
    trained = {word for each in every_wording() for text in each.trained for word in pieces(text)}
    held_out = {word for each in every_wording() for text in each.held_out for word in pieces(text)}
    assert held_out <= trained
    assert trained <= words().keys()
    assert all(len(each.held_out) == HELD_OUT for each in every_wording())


def test_held_out_texts_are_never_drawn() -> None:
    for entry in CONTRASTS:
        for number in range(HELD_OUT):
            text = describe_otherwise(entry, Acquisition(True), number)
            assert text not in drawn(entry.name, Acquisition(True))


def test_longest_text_is_read_to_its_end() -> None:
    # Alone, with each wording of one thing at a time: what a text is made of adds up.
    longest = 0
    values = {"repetition_time_ms": "11234", "inversion_time_ms": "2345", "field_tesla": "1.5"}
    values |= {"echo_time_ms": "12.3", "vendor": "United Imaging"}
    for table in (CONTRAST_WORDINGS, FAT_WORDINGS):
        texts = [text for each in table.values() for text in each.trained + each.held_out]
        longest += max(len(pieces(text)) for text in texts)
    for fact, each in FACT_WORDINGS.items():
        texts = [text.format(values[fact]) for text in each.trained + each.held_out]
        longest += max(len(pieces(text)) for text in texts)
    assert longest <= CONTEXT_LENGTH - 2


def test_facts_are_said_to_a_tenth_where_it_counts() -> None:
    text = describe(contrast("T1"), Acquisition(None, 550.4, 12.34, field_tesla=2.89))
    assert text.endswith("; TR 550 ms, TE 12.3 ms, 2.9 T.")
