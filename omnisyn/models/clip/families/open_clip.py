"""What open_clip knows: architectures, published weights by their tags, folders in its layout.

Scaling is what the published tag or the folder says (open_clip, `pretrained.py`, and
`preprocess_cfg` of open_clip_config.json), else OpenAI's: open_clip's own default.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from omnisyn.errors import ModelError, UsageError, sentence_of
from omnisyn.models.clip.text_image import ClipShape
from omnisyn.models.clip.torchvision_mend import mend_torchvision
from omnisyn.paths import name_of, read_json

CONFIGURATION = "open_clip_config.json"

MR_CLIP = "mr-clip"
"""ViT-B/16 with room for 98 tokens and the exact GELU: the architecture's file and the default of
`--force-quick-gelu` in MR-CLIP's repository (myigitavci/MR-CLIP). Scaled as OpenAI's."""
_MR_CLIP_TOKENS = 98


@functools.cache
def open_clip_module() -> ModuleType:
    """open_clip, imported (it takes a second or two) when a model is first built."""
    mend_torchvision()
    import open_clip

    module: ModuleType = open_clip
    return module


def build_open_clip(model: Mapping[str, Any]) -> nn.Module:
    """open_clip's model of that configuration, initialised from torch's current random state."""
    arguments = dict(model)
    custom = arguments.pop("custom_text", False)
    built: nn.Module = getattr(open_clip_module(), "CustomTextCLIP" if custom else "CLIP")(
        **arguments
    )
    return built


def named_shape(architecture: str, published: Mapping[str, Any] | None = None) -> ClipShape:
    """Shape of an architecture; `published` is open_clip's entry of a tag, with its scaling.

    Raises:
        UsageError: open_clip knows no such architecture.
        ModelError: its text tower is not CLIP's.
    """
    published = published or {}
    base = "ViT-B-16" if architecture == MR_CLIP else architecture
    configuration = open_clip_module().get_model_config(base)
    if configuration is None:
        raise UsageError(
            f"unknown CLIP architecture {architecture!r}",
            remedy=f"choose small, {MR_CLIP}, ViT-B-32 or another name of open_clip",
        )
    if architecture == MR_CLIP:
        configuration["text_cfg"]["context_length"] = _MR_CLIP_TOKENS
    if published.get("quick_gelu"):
        configuration["quick_gelu"] = True
    return _shape(configuration, published, architecture)


def file_shape(architecture: str, tensors: Mapping[str, torch.Tensor]) -> ClipShape:
    """Shape of a bare file, which carries no settings: the architecture's, with the file's own
    number of tokens. Raises as `named_shape`."""
    # Those passed around are OpenAI's, or tuned from them, and OpenAI trained with the quick
    # approximation of the GELU.
    shape = named_shape(architecture, {"quick_gelu": architecture != MR_CLIP})
    for name in ("positional_embedding", "text.positional_embedding"):
        if name in tensors:
            shape.model["text_cfg"]["context_length"] = len(tensors[name])
    return shape


def folder_shape(folder: Path) -> ClipShape:
    """Shape that open_clip_config.json in a folder describes.

    Raises:
        ModelError: it is missing or damaged, or its text tower is not CLIP's.
    """
    try:
        content = read_json(folder / CONFIGURATION)
        return _shape(content["model_cfg"], content.get("preprocess_cfg", {}), name_of(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the folder has no valid {CONFIGURATION}",
            where=name_of(folder),
            why=sentence_of(error),
            remedy="give a folder or a hub model in open_clip's or Hugging Face CLIP's layout",
        ) from error


def published_tag(architecture: str, tag: str) -> dict[str, Any] | None:
    """open_clip's entry of a published tag of an architecture, or None where it has none."""
    entry: dict[str, Any] = open_clip_module().get_pretrained_cfg(architecture, tag)
    return entry or None


def is_published_tag(tag: str) -> bool:
    """Whether any architecture has published weights of that tag."""
    return bool(open_clip_module().list_pretrained_models_by_tag(tag))


def published_tags(architecture: str) -> list[str]:
    """Tags of the published weights of an architecture."""
    tags: list[str] = open_clip_module().list_pretrained_tags_by_model(architecture)
    return tags


def with_own_text_tower(
    shape: ClipShape, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Tensors as the model of `shape` names them: older files of models that keep their text tower
    apart name it as CLIP does."""
    if shape.model.get("custom_text") and "positional_embedding" in tensors:
        renamed: dict[str, torch.Tensor] = (
            open_clip_module().model.convert_to_custom_text_state_dict(dict(tensors))
        )
        return renamed
    return dict(tensors)


def _shape(model: dict[str, Any], preprocessing: Mapping[str, Any], where: str) -> ClipShape:
    foreign = {"hf_model_name", "hf_tokenizer_name"} & set(model["text_cfg"])
    if foreign or "multimodal_cfg" in model:
        raise ModelError(
            "this text-image model has a text tower or a vocabulary of another family",
            where=where,
            remedy="choose a CLIP whose text tower is CLIP's own, such as ViT-B-32",
        )
    open_clip = open_clip_module()
    return ClipShape(
        model=model,
        tokenizer="clip",
        mean=preprocessing.get("mean", open_clip.OPENAI_DATASET_MEAN),
        deviation=preprocessing.get("std", open_clip.OPENAI_DATASET_STD),
        interpolation=preprocessing.get("interpolation", "bicubic"),
    )
