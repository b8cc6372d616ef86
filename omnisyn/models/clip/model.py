"""Build a text-image model: our own small one, or a published one with its weights."""

from __future__ import annotations

from pathlib import Path

import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.checkpoint_file import read_checkpoint
from omnisyn.models.clip.assembly import assemble
from omnisyn.models.clip.families.hugging_face import (
    from_hugging_face,
    hugging_face_shape,
    is_hugging_face,
)
from omnisyn.models.clip.families.medclip import from_medclip, is_medclip, medclip_shape
from omnisyn.models.clip.families.mediclip import adapted_shape, adapted_tensors
from omnisyn.models.clip.families.open_clip import (
    file_shape,
    folder_shape,
    named_shape,
    with_own_text_tower,
)
from omnisyn.models.clip.families.renaming import Tensors
from omnisyn.models.clip.families.small import small_shape
from omnisyn.models.clip.sources import ClipSource, find_source, read_vocabulary
from omnisyn.models.clip.text_image import SMALL, ClipSettings, ClipShape, TextImageModel
from omnisyn.models.tensor_file import differences
from omnisyn.volumes.atomic import sha256_file

__all__ = ["SMALL", "ClipSettings", "TextImageModel", "build_clip"]


def build_clip(settings: ClipSettings, seed: int = 0) -> TextImageModel:
    """The text-image model of `settings`; what is not loaded is initialised from `seed`.

    Raises:
        UsageError: open_clip knows no such architecture or tag, `small` was given weights, or
            adapters came without the CLIP that they sit on.
        ModelError: the weights cannot be fetched, are not the pinned ones, or do not fit.
    """
    tensors: Tensors = {}
    if settings.architecture == SMALL and (settings.weights or settings.adapters):
        raise UsageError(
            "the small text-image model takes no foreign weights",
            why=f"weights = {settings.weights or settings.adapters!r}",
            remedy="choose the architecture ViT-B-32, or leave the weights out",
        )
    if settings.weights is not None:
        source = find_source(settings.architecture, settings.weights)
        _check_hash(source.file, source.sha256 or settings.sha256)
        shape, tensors = _known_layout(settings, source, read_checkpoint(source.file))
        where = source.file.name
    elif settings.architecture == SMALL:
        shape = small_shape(settings.embed_size)
    else:
        shape = named_shape(settings.architecture)
    if settings.adapters is not None:
        if not tensors:
            raise UsageError(
                "adapters were given without the CLIP that they sit on",
                where=Path(settings.adapters).name,
                remedy="name its weights as well (clip.weights)",
            )
        shape = adapted_shape(shape, settings.adapter_layers)
        tensors = adapted_tensors(tensors, Path(settings.adapters), shape)
        where = Path(settings.adapters).name
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = assemble(shape)
    if tensors:
        _fill(model, tensors, where)
    return model


def _known_layout(
    settings: ClipSettings, source: ClipSource, tensors: Tensors
) -> tuple[ClipShape, Tensors]:
    """Shape and tensors of a checkpoint, whose layout its own names tell."""
    where = source.file.name
    if is_medclip(tensors):
        words, lower_case = read_vocabulary(settings.vocabulary, source.folder)
        return medclip_shape(tensors, words, lower_case, where), from_medclip(tensors)
    if is_hugging_face(tensors):
        return hugging_face_shape(tensors, source.folder, where), from_hugging_face(tensors)
    if source.published is not None:
        shape = named_shape(settings.architecture, source.published)
    elif source.folder is not None:
        shape = folder_shape(source.folder)
    else:
        shape = file_shape(settings.architecture, tensors)
    return shape, with_own_text_tower(shape, tensors)


def _check_hash(file: Path, pinned: str | None) -> None:
    if pinned is not None and (found := sha256_file(file)) != pinned:
        raise ModelError(
            "these are not the pinned CLIP weights",
            where=file.name,
            why=f"SHA-256 is {found[:12]}…, pinned is {pinned[:12]}…",
            remedy="fetch the file again, or pin the new hash",
        )


def _fill(model: TextImageModel, tensors: Tensors, where: str) -> None:
    wrong = differences(model.clip.state_dict(), tensors)
    if wrong:
        raise ModelError(
            "the CLIP weights belong to another model",
            where=where,
            why=wrong,
            remedy="name their architecture (clip.architecture), or give them with their "
            "configuration",
        )
    model.clip.load_state_dict(dict(tensors))
