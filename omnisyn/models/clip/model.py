"""Build a text-image model: our own small one, or one of open_clip's with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from omnisyn.errors import ModelError, UsageError, reason_of, sentence_of
from omnisyn.models.clip.text_image import (
    SMALL,
    ClipSettings,
    ClipShape,
    TextImageModel,
    assemble,
    open_clip_module,
)
from omnisyn.models.clip.vocabulary import CONTEXT_LENGTH, VOCABULARY_SIZE
from omnisyn.models.hub.address import HubAddress, is_hub_address, parse_hub_address
from omnisyn.models.hub.fetch import fetch_from_hub
from omnisyn.paths import name_of, read_json
from omnisyn.volumes.atomic import sha256_file

__all__ = ["SMALL", "ClipSettings", "TextImageModel", "build_clip"]

_CONFIGURATION = "open_clip_config.json"
_PATTERNS = (_CONFIGURATION, "open_clip*.safetensors")


def build_clip(settings: ClipSettings, seed: int = 0) -> TextImageModel:
    """The text-image model of `settings`; what is not loaded is initialised from `seed`.

    Raises:
        UsageError: open_clip knows no such architecture, or `small` was given weights.
        ModelError: the weights cannot be fetched, are not the pinned ones, or do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.architecture == SMALL:
            if settings.weights is not None:
                raise UsageError(
                    "the small text-image model takes no foreign weights",
                    why=f"weights = {settings.weights!r}",
                    remedy="choose the architecture ViT-B-32, or leave the weights out",
                )
            return assemble(_small_shape(settings.embed_size))
        source = _find_source(settings)
        model = assemble(source.shape)
    if source.file is not None:
        _load(model, source.file, source.sha256 or settings.sha256)
    return model


def _small_shape(embed_size: int) -> ClipShape:
    return ClipShape(
        model={
            "embed_dim": embed_size,
            # Convolutions: from nothing and in few steps a vision transformer hardly learns
            # (150 steps, one seed: contrast recognition 0.22 against 0.61).
            "vision_cfg": {
                "image_size": 128,
                "layers": (1, 1, 1, 1),
                "width": 16,
                "head_width": 64,
            },
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": VOCABULARY_SIZE,
                "width": 192,
                "heads": 3,
                "layers": 3,
            },
        },
        tokenizer="small",
        # Mean and spread of a scaled slice, air included.
        mean=(0.2, 0.2, 0.2),
        deviation=(0.25, 0.25, 0.25),
    )


class _Source(NamedTuple):
    shape: ClipShape
    file: Path | None
    sha256: str | None = None
    """What an address on the hub pins."""


def _find_source(settings: ClipSettings) -> _Source:
    weights = settings.weights
    if weights is None:
        return _Source(_known_shape(settings.architecture, quick_gelu=False), None)
    if weights == "openai":
        # OpenAI trained with the quick approximation of the GELU.
        shape = _known_shape(settings.architecture, quick_gelu=True)
        published = open_clip_module().get_pretrained_cfg(settings.architecture, "openai")
        if not published.get("hf_hub"):
            raise UsageError(
                f"OpenAI has published no weights of {settings.architecture!r}",
                remedy="choose ViT-B-32",
            )
        address = HubAddress(published["hf_hub"].strip("/"))
        return _Source(shape, _weights_in(fetch_from_hub(address, _PATTERNS)))
    if is_hub_address(weights):
        address = parse_hub_address(weights)
        folder = fetch_from_hub(address, _PATTERNS)
        return _Source(_shape_in(folder), _weights_in(folder), address.sha256)
    path = Path(weights)
    if path.is_dir():
        return _Source(_shape_in(path), _weights_in(path))
    if not path.is_file():
        raise ModelError(
            "there are no such CLIP weights",
            where=path.name,
            remedy="give openai, hf-hub:org/name@revision, a safetensors file or a folder",
        )
    if path.suffix != ".safetensors":
        raise _not_safetensors(path)
    # A bare file carries no settings. Those passed around are OpenAI's, or tuned from them.
    return _Source(_known_shape(settings.architecture, quick_gelu=True), path)


def _known_shape(architecture: str, quick_gelu: bool) -> ClipShape:
    configuration = open_clip_module().get_model_config(architecture)
    if configuration is None:
        raise UsageError(
            f"unknown CLIP architecture {architecture!r}",
            remedy="choose small, ViT-B-32 or another name of open_clip",
        )
    if quick_gelu:
        configuration["quick_gelu"] = True
    return _shape(configuration, {}, architecture)


def _shape_in(folder: Path) -> ClipShape:
    try:
        content = read_json(folder / _CONFIGURATION)
        return _shape(content["model_cfg"], content.get("preprocess_cfg", {}), folder.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the folder has no valid {_CONFIGURATION}",
            where=name_of(folder),
            why=sentence_of(error),
            remedy="give a folder or a hub model in open_clip's layout",
        ) from error


def _shape(model: dict[str, Any], preprocessing: dict[str, Any], where: str) -> ClipShape:
    foreign = {"hf_model_name", "hf_tokenizer_name"} & set(model["text_cfg"])
    if foreign or model.get("custom_text") or "multimodal_cfg" in model:
        raise ModelError(
            "this text-image model has a text tower of another family",
            where=where,
            remedy="choose a CLIP whose text tower is CLIP's own, such as ViT-B-32",
        )
    open_clip = open_clip_module()
    return ClipShape(
        model=model,
        tokenizer="clip",
        mean=preprocessing.get("mean", open_clip.OPENAI_DATASET_MEAN),
        deviation=preprocessing.get("std", open_clip.OPENAI_DATASET_STD),
    )


def _weights_in(folder: Path) -> Path:
    files = sorted(folder.glob("open_clip*.safetensors")) or sorted(folder.glob("*.safetensors"))
    if not files:
        raise _not_safetensors(folder)
    return files[0]


def _not_safetensors(path: Path) -> ModelError:
    return ModelError(
        "CLIP weights are read from safetensors files only",
        where=path.name,
        why="other formats may run code when they are opened",
        remedy="convert the weights once with safetensors.torch.save_file",
    )


def _load(model: TextImageModel, file: Path, pinned: str | None) -> None:
    if pinned is not None and (found := sha256_file(file)) != pinned:
        raise ModelError(
            "these are not the pinned CLIP weights",
            where=file.name,
            why=f"SHA-256 is {found[:12]}…, pinned is {pinned[:12]}…",
            remedy="fetch the file again, or pin the new hash",
        )
    try:
        open_clip_module().load_checkpoint(model.clip, str(file), strict=True)
    except Exception as error:
        # open_clip, safetensors and torch each have their own classes of errors.
        raise ModelError(
            "the CLIP weights cannot be loaded",
            where=file.name,
            why=reason_of(error),
            remedy="give weights of the same architecture, in open_clip's layout",
        ) from error
