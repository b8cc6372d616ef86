import pytest
import torch

from omnisyn.contrasts import CONTRASTS
from omnisyn.models.clip.vocabulary import (
    CONTEXT_LENGTH,
    VOCABULARY_SIZE,
    number_of,
    pieces,
    tokenize,
    words,
)

UNKNOWN = 1


@pytest.mark.parametrize("entry", CONTRASTS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("fat_suppressed", [False, True])
def test_every_word_of_every_contrast_is_known(entry, fat_suppressed: bool) -> None:
    sentence = entry.describe(fat_suppressed)
    assert set(pieces(sentence)) <= words().keys()
    assert set(pieces(entry.name)) <= words().keys()
    assert len(pieces(sentence)) <= CONTEXT_LENGTH - 2


def test_acquisition_is_known_to_the_last_number() -> None:
    text = "T1c, spin echo, TR 4500 ms, TE 95.5 ms, TI 2400 ms, 1.5 Tesla, Siemens"
    assert UNKNOWN not in tokenize([text])
    assert pieces("TE 95.5.") == ["te", "95.5"]


def test_numbers_are_read_by_magnitude() -> None:
    times = [1.5, 3, 10, 12, 40, 60, 90, 120, 180, 2400, 4500, 9000]
    tokens = [number_of(f"{value:g}") for value in times]
    assert tokens == sorted(tokens)
    assert len(set(tokens)) == len(tokens)
    assert number_of("88") == number_of("90") != number_of("100")
    assert number_of("0") < number_of("0.2") < number_of("15000") < number_of("30000")
    assert number_of("30000") == number_of("99999999")
    # None is the token of a word, or the end mark.
    assert max(words().values()) < number_of("0")
    assert number_of("99999999") < VOCABULARY_SIZE - 1


def test_sentences_differ_in_their_tokens() -> None:
    texts = [entry.describe(fat) for entry in CONTRASTS for fat in (False, True)]
    assert len({tuple(row.tolist()) for row in tokenize(texts)}) == len(texts)


def test_end_mark_is_the_highest_number_of_every_row() -> None:
    tokens = tokenize(["", "T1", "zyzzyva", "fat " * 200])
    assert tokens.shape == (4, CONTEXT_LENGTH)
    assert torch.equal(tokens.max(dim=1).values, torch.full((4,), VOCABULARY_SIZE - 1))
    assert tokens.argmax(dim=1).tolist() == [1, 2, 2, CONTEXT_LENGTH - 1]
    assert tokens[2, 1] == UNKNOWN


def test_numbers_of_words_never_move() -> None:
    # Trained text towers know words by these numbers; the list may only grow at its end.
    listed = list(words())
    assert listed[:12] == [*"0123456789", ".", "t1"]
    assert listed[467] == "adc"
