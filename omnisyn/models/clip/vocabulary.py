"""The small text tower's own vocabulary: whole words of the field, and numbers by magnitude.

The words stand in `vocabulary.txt`, one a line. Trained weights know them by their line number:
append to the file, never reorder or delete (its first lines are from when numbers were read digit
by digit).

A number is read as its magnitude, in steps of an eighth: 87 and 90 ms are nearly the same to a
spin. Digit by digit, each number would be a word of its own. How near two magnitudes are is told by
`numbers.py`.
"""

from __future__ import annotations

import functools
import math
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
_PIECES = re.compile(r"[a-z][a-z0-9]*|[0-9]+(?:\.[0-9]+)?")
# From the field of a small magnet in T to the longest repetition time in ms.
_SMALLEST, _STEP = 0.05, 1.12
MAGNITUDES = 115
"""How many there are."""
FIRST_MAGNITUDE = _END - MAGNITUDES
"""Number of the token of the smallest."""


@functools.cache
def words() -> dict[str, int]:
    """Every known word and its number."""
    text = resources.files("omnisyn.models.clip").joinpath("vocabulary.txt").read_text("utf-8")
    listed = text.split()
    if len(set(listed)) != len(listed) or _FIRST_WORD + len(listed) > FIRST_MAGNITUDE:
        raise ValueError("vocabulary.txt repeats a word or holds too many")
    return {word: _FIRST_WORD + line for line, word in enumerate(listed)}


def pieces(text: str) -> list[str]:
    """What a text is cut into: lower-case words and numbers."""
    return _PIECES.findall(text.lower())


def number_of(piece: str) -> int:
    """The token of a word or number; that of unknown words where it is none of ours."""
    if not piece[0].isdigit():
        return words().get(piece, _UNKNOWN)
    steps = math.log(max(float(piece), _SMALLEST) / _SMALLEST) / math.log(_STEP)
    return FIRST_MAGNITUDE + min(round(steps), MAGNITUDES - 1)


def tokenize(texts: Sequence[str]) -> torch.Tensor:
    """Texts to token numbers, int64 [len(texts), CONTEXT_LENGTH]; what is too long is cut."""
    tokens = torch.full((len(texts), CONTEXT_LENGTH), _PAD, dtype=torch.int64)
    for row, text in zip(tokens, texts, strict=True):
        numbers = [number_of(piece) for piece in pieces(text)][: CONTEXT_LENGTH - 2]
        row[: len(numbers) + 2] = torch.tensor([_START, *numbers, _END])
    return tokens
