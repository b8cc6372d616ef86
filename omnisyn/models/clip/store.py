"""A trained text-image model on disk: one file per tower, and a JSON file that seals both.

Synthesis of the canonical targets needs neither: their text vectors lie inside the generator's
weights. The text tower serves targets in other words (`models/text_tower.py`), the image tower the
third training stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field

from omnisyn.errors import InputError, ModelError, reason_of
from omnisyn.models.clip.assembly import assemble
from omnisyn.models.clip.text_image import ClipShape, TextImageModel
from omnisyn.models.tensor_file import (
    FileSeal,
    Precision,
    fill_module,
    parse_tensors,
    read_sealed,
    write_tensors,
)
from omnisyn.paths import read_json
from omnisyn.settings import Settings, parse
from omnisyn.volumes.atomic import write_json_atomic


class StoredClip(Settings):
    """Content of NAME.clip.json: how to build the model, and the seals of its files."""

    shape: ClipShape
    text: FileSeal
    """Text tower and temperature, NAME.text.safetensors."""
    image: FileSeal | None = Field(default=None)
    """Image tower, NAME.image.safetensors; None where it is not shipped."""


def save_clip(
    folder: Path,
    name: str,
    model: TextImageModel,
    *,
    precision: Precision = "float32",
    with_image_tower: bool = True,
) -> StoredClip:
    """Write NAME.text.safetensors, NAME.image.safetensors and, last, NAME.clip.json; atomic each.

    Raises ModelError for a weight that is not finite, ResourceError when the disk refuses.
    """
    weights = model.clip.state_dict()
    image = {key: value for key, value in weights.items() if key.startswith("visual.")}
    text = {key: value for key, value in weights.items() if key not in image}
    stored = StoredClip(
        shape=model.shape,
        text=write_tensors(folder / f"{name}.text.safetensors", text, precision),
        image=write_tensors(folder / f"{name}.image.safetensors", image, precision)
        if with_image_tower
        else None,
    )
    write_json_atomic(folder / f"{name}.clip.json", stored.model_dump(mode="json"))
    return stored


def read_stored(path: Path, remedy: str) -> StoredClip:
    """The content of NAME.clip.json. Raises ModelError, with the remedy, when it is missing or
    damaged."""
    try:
        return parse(StoredClip, read_json(path), where=path.name)
    except FileNotFoundError:
        raise ModelError("there is no text-image model", where=path.name, remedy=remedy) from None
    except (OSError, ValueError, TypeError, InputError) as error:
        raise ModelError(
            "the text-image model cannot be read",
            where=path.name,
            why=reason_of(error),
            remedy=remedy,
        ) from error


def load_clip(folder: Path, name: str, *, with_image_tower: bool = True) -> TextImageModel:
    """The model that `save_clip` wrote, in evaluation mode on the CPU.

    Without its image tower only `encode_text` means anything. Raises ModelError when a file is
    missing, damaged or of another model.
    """
    path = folder / f"{name}.clip.json"
    stored = read_stored(path, remedy="run `omnisyn align`")
    if with_image_tower and stored.image is None:
        raise ModelError(
            "the text-image model comes without its image tower",
            where=path.name,
            remedy="run `omnisyn align` to train one",
        )
    file = folder / f"{name}.text.safetensors"
    weights = parse_tensors(read_sealed(file, stored.text), file.name)
    if with_image_tower and stored.image is not None:
        file = folder / f"{name}.image.safetensors"
        weights.update(parse_tensors(read_sealed(file, stored.image), file.name))
    return build_stored(stored, weights, path.name)


def build_stored(
    stored: StoredClip, weights: Mapping[str, torch.Tensor], where: str
) -> TextImageModel:
    """The model of a description, in evaluation mode on the CPU; an image tower that is not among
    `weights` means nothing. Raises ModelError when they are another model's."""
    with torch.random.fork_rng(devices=[]):
        model = assemble(stored.shape)
    unread = {k: value for k, value in model.clip.state_dict().items() if k.startswith("visual.")}
    fill_module(model.clip, {**unread, **weights}, where)
    return model.eval()
