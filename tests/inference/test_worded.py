import torch

from omnisyn.inference.asked import Asked
from omnisyn.inference.worded import WordedTargets, unknown_words
from omnisyn.models.clip.texts import Acquisition
from omnisyn.models.clip.vocabulary import CONTEXT_LENGTH, words
from tests.tiny_weights import tiny_tower


def test_each_text_is_encoded_once() -> None:
    tower = tiny_tower()
    heard: list[str] = []
    tokenizer = tower.tokenizer

    def listen(texts):
        heard.extend(texts)
        return tokenizer(texts)

    tower.tokenizer = listen
    asked = Asked(Acquisition(False, echo_time_ms=90))
    worded = WordedTargets(asked, tower)
    first = worded.condition("T2")
    assert first.shape == (1, 128)
    assert worded.condition("T2") is first
    assert not torch.equal(worded.condition("PD"), first)
    assert heard == [asked.text("T2"), asked.text("PD")]


def test_words_that_are_not_known_are_named_once() -> None:
    text = "T2, TE 90.5 ms (vesuvius), Ödem; fat-suppressed 500ms - vesuvius 脑 3T!"
    assert unknown_words(text) == ["vesuvius", "Ödem", "脑"]
    (odd,) = WordedTargets(Asked(prompt=text), tiny_tower()).oddities("T2")
    assert odd == "the text tower does not know: vesuvius, Ödem, 脑"


def test_a_word_of_the_vocabulary_that_no_training_text_has_is_not_known() -> None:
    assert "ce" in words()
    assert unknown_words("T1 CE, DWI, fat sat") == ["CE", "DWI"]


def test_what_is_said_of_an_acquisition_is_known_and_short() -> None:
    asked = Asked(Acquisition(True, 12345.6, 90.5, 2345.6, 1.5))
    worded = WordedTargets(asked, tiny_tower())
    for name in ("T1", "T1c", "T2", "FLAIR", "PD", "MRA"):
        assert worded.oddities(name) == []


def test_text_that_is_too_long_is_told() -> None:
    worded = WordedTargets(Asked(prompt="fat " * CONTEXT_LENGTH), tiny_tower())
    (odd,) = worded.oddities("T2")
    assert odd == "the text is too long: what follows 62 words is not read"


def test_towers_with_a_vocabulary_of_pieces_know_every_word() -> None:
    tower = tiny_tower()
    tower.shape = tower.shape.model_copy(update={"tokenizer": "clip"})
    assert WordedTargets(Asked(prompt="T2 vesuvius"), tower).oddities("T2") == []
