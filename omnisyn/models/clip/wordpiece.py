"""WordPiece, BERT's way to cut texts: words into the longest pieces that a vocabulary holds.

After Devlin et al. 2019, and the released BERT code's BasicTokenizer and WordpieceTokenizer. The
vocabulary comes with a checkpoint and is not ours to ship.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

import torch

from omnisyn.errors import ModelError

PAD = 0
"""Number of the empty token, in every vocabulary of BERT."""

_MARKS = ("[UNK]", "[CLS]", "[SEP]")
_LONGEST_WORD = 100


def wordpiece(
    vocabulary: Sequence[str], lower_case: bool, context_length: int
) -> Callable[[Sequence[str]], torch.Tensor]:
    """What turns texts into token numbers, int64 [len(texts), longest of them].

    Shorter texts are filled up with `PAD`; what is longer than `context_length` is cut.

    Raises:
        ModelError: the vocabulary is none of BERT's.
    """
    numbers = {word: number for number, word in enumerate(vocabulary)}
    if numbers.get("[PAD]") != PAD or not all(mark in numbers for mark in _MARKS):
        raise ModelError(
            "the vocabulary is not one of BERT's",
            why="it must begin with [PAD] and hold [UNK], [CLS] and [SEP]",
            remedy="give the vocab.txt that the model was trained with",
        )
    unknown, start, end = (numbers[mark] for mark in _MARKS)

    def tokenize(texts: Sequence[str]) -> torch.Tensor:
        rows = []
        for text in texts:
            pieces = [
                numbers.get(piece, unknown)
                for word in words(text, lower_case)
                for piece in _cut(word, numbers)
            ]
            rows.append(torch.tensor([start, *pieces[: context_length - 2], end]))
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    return tokenize


def words(text: str, lower_case: bool) -> list[str]:
    """A text's words and signs of punctuation, one by one."""
    if lower_case:
        decomposed = unicodedata.normalize("NFD", text.lower())
        text = "".join(sign for sign in decomposed if unicodedata.category(sign) != "Mn")
    spaced = "".join(_spaced(sign) for sign in text)
    return spaced.split()


def _spaced(sign: str) -> str:
    kind = unicodedata.category(sign)
    if sign.isspace():
        return " "
    if kind.startswith("C") or sign == "\ufffd":
        return ""
    # All ASCII that is no letter, digit or space counts as punctuation, currency and the like too.
    # Chinese characters are words by themselves.
    alone = kind.startswith("P") or (sign.isascii() and not sign.isalnum())
    return f" {sign} " if alone or _is_chinese(sign) else sign


def _is_chinese(sign: str) -> bool:
    return unicodedata.name(sign, "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH"))


def _cut(word: str, known: dict[str, int]) -> Iterator[str]:
    pieces, begin = [], 0
    while begin < len(word) <= _LONGEST_WORD:
        mark = "##" if begin else ""
        ends = range(len(word), begin, -1)
        end = next((end for end in ends if mark + word[begin:end] in known), None)
        if end is None:
            break
        pieces.append(mark + word[begin:end])
        begin = end
    # A word that cannot be cut to its end is unknown as a whole.
    return iter(pieces if begin == len(word) else [_MARKS[0]])
