"""A text-image model from its shape alone."""

from __future__ import annotations

from typing import Any

from omnisyn.models.clip.families.medclip import CONTEXT_LENGTH, MedClip
from omnisyn.models.clip.families.mediclip import AdaptedTower
from omnisyn.models.clip.families.open_clip import build_open_clip, open_clip_module
from omnisyn.models.clip.numbers import see_numbers_as_waves
from omnisyn.models.clip.text_image import ClipShape, TextImageModel, Tokenizer
from omnisyn.models.clip.vocabulary import tokenize
from omnisyn.models.clip.wordpiece import wordpiece


def assemble(shape: ClipShape) -> TextImageModel:
    """A text-image model of that shape, initialised from torch's current random state.

    Raises:
        ModelError: its vocabulary cannot be used.
    """
    if shape.family == "medclip":
        clip: Any = MedClip(**shape.model)
    else:
        clip = build_open_clip(shape.model)
    if shape.adapters:
        clip.visual = AdaptedTower(clip.visual, shape.adapters, shape.model["embed_dim"])
    if shape.tokenizer == "small":
        see_numbers_as_waves(clip.token_embedding)
    return TextImageModel(clip, _tokenizer(clip, shape), shape)


def _tokenizer(clip: Any, shape: ClipShape) -> Tokenizer:
    if shape.tokenizer == "small":
        return tokenize
    if shape.tokenizer == "wordpiece":
        return wordpiece(shape.vocabulary, shape.lower_case, CONTEXT_LENGTH)
    byte_pairs: Tokenizer = open_clip_module().SimpleTokenizer(context_length=clip.context_length)
    return byte_pairs
