"""The small text tower's own vocabulary: whole words of the field, and numbers digit by digit.

The words stand in `vocabulary.txt`, one a line. Trained weights know them by their line number:
append to the file, never reorder or delete.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources

import torch

VOCABULARY_SIZE = 640
"""Rows of the embedding, some of them kept free for words to come."""
CONTEXT_LENGTH = 64

_PAD, _UNKNOWN, _START = 0, 1, 2
_FIRST_WORD = 3
# open_clip pools the text at the highest number of a row, so the end mark must be the last one.
_END = VOCABULARY_SIZE - 1
_PIECES = re.compile(r"[a-z][a-z0-9]*|[0-9]|\.(?=[0-9])")


@functools.cache
def words() -> dict[str, int]:
    """Every known word and its number."""
    text = resources.files("omnisyn.models.clip").joinpath("vocabulary.txt").read_text("utf-8")
    listed = text.split()
    if len(set(listed)) != len(listed) or _FIRST_WORD + len(listed) > _END:
        raise ValueError("vocabulary.txt repeats a word or holds too many")
    return {word: _FIRST_WORD + line for line, word in enumerate(listed)}


def pieces(text: str) -> list[str]:
    """What a text is cut into: lower-case words, digits and decimal points."""
    return _PIECES.findall(text.lower())


def tokenize(texts: Sequence[str]) -> torch.Tensor:
    """Texts to token numbers, int64 [len(texts), CONTEXT_LENGTH]; what is too long is cut."""
    known = words()
    tokens = torch.full((len(texts), CONTEXT_LENGTH), _PAD, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        numbers = [known.get(piece, _UNKNOWN) for piece in pieces(text)][: CONTEXT_LENGTH - 2]
        row[: len(numbers) + 2] = torch.tensor([_START, *numbers, _END])
    return tokens
