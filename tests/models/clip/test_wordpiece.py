import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.wordpiece import wordpiece

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fluid", "is", "bright", "##er", "##est"),
    *("dark", "fat", "-", "t", "##1", "##2", ".", ",", "(", ")", "te", "80", "##0", "ms", "cafe"),
    *("Fluid", "$", "±", "µ", "##m"),
]
TEXTS = [
    "Fluid is brightest",
    "T1-weighted, fat-suppressed (TE 80 ms).",
    "Café\tdarker\u0000 fluid",
    "水 fluid ± µm $800",
    "",
    "x" * 101,
    "fluid is " * 60,
]


@pytest.mark.parametrize("lower_case", [True, False])
def test_texts_are_cut_as_transformers_cuts_them(lower_case: bool) -> None:
    open_clip_module()  # torchvision must be mended before transformers looks for it
    from transformers import BertTokenizer

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    theirs = BertTokenizer(vocab=vocabulary, do_lower_case=lower_case, model_max_length=77)
    wanted = theirs(TEXTS, truncation=True, padding=True, return_tensors="pt")["input_ids"]
    assert torch.equal(wordpiece(WORDS, lower_case, 77)(TEXTS), wanted)


@pytest.mark.parametrize("words", [[], ["[PAD]"], ["fluid", *WORDS], WORDS[2:]])
def test_vocabulary_of_another_kind_is_refused(words: list[str]) -> None:
    with pytest.raises(ModelError, match="not one of BERT's"):
        wordpiece(words, True, 77)
