"""The text tower beside a set of weights, for targets that are asked for in words.

NAME.clip.json and NAME.text.safetensors (float16, no image tower) lie beside NAME.safetensors. The
card of the weights pins the second, so that a tower can never be taken for another one's: vectors
of a foreign space would steer the generator anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from omnisyn.errors import ModelError
from omnisyn.models.card import TextTowerSeal, WeightCard
from omnisyn.models.clip.store import StoredClip, build_stored, read_stored, save_clip
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.tensor_file import parse_tensors, read_sealed
from omnisyn.volumes.atomic import json_bytes

_REMEDY = "copy or fetch the weights again, with all files of their name"


class StoredTower(NamedTuple):
    """A text tower as it lies on disk: its description, and the bytes of its file."""

    stored: StoredClip
    content: bytes

    def files(self, card: WeightCard) -> dict[str, bytes]:
        """Both files by name, as they belong beside the weights of `card`."""
        record = json_bytes(self.stored.model_dump(mode="json"))
        return dict(zip(card.tower_files, (record, self.content), strict=True))


def save_text_tower(weights: Path, tower: TextImageModel) -> TextTowerSeal:
    """Write a text tower beside `weights` (NAME.safetensors); what their card says of it.

    Raises ModelError for a weight that float16 cannot hold, ResourceError when the disk refuses.
    """
    stored = save_clip(
        weights.parent, weights.stem, tower, precision="float16", with_image_tower=False
    )
    return TextTowerSeal(**stored.text._asdict())


def read_text_tower(folder: Path, card: WeightCard) -> StoredTower | None:
    """The text tower that a card pins, whole; None for weights without one.

    Raises ModelError when a file is missing, damaged, or of other weights.
    """
    if card.text is None:
        return None
    record, file = card.tower_files
    stored = read_stored(folder / record, _REMEDY)
    if stored.text != card.text.seal:
        raise ModelError(
            "this text tower belongs to other weights",
            where=record,
            why=f"its SHA-256 is {stored.text.sha256[:12]}…, the card of {card.file} says "
            f"{card.text.sha256[:12]}…",
            remedy=_REMEDY,
        )
    return StoredTower(stored, read_sealed(folder / file, stored.text))


def load_text_tower(folder: Path, card: WeightCard) -> TextImageModel:
    """The text tower that a card pins, in evaluation mode on the CPU; only `encode_text` means
    anything.

    Raises ModelError as `read_text_tower`, and for weights without one.
    """
    found = read_text_tower(folder, card)
    if found is None:
        raise no_text_tower(card.name)
    record, file = card.tower_files
    return build_stored(found.stored, parse_tensors(found.content, file), record)


def no_text_tower(name: str) -> ModelError:
    """The refusal of a target in words by the weights of that name."""
    return ModelError(
        "these weights know the twelve canonical targets only",
        where=name,
        why="they have no text tower, which other words need",
        remedy="leave --prompt, --te, --tr, --ti and --field out (--fat-suppressed works), or give "
        "--weights that come with a text tower",
    )
