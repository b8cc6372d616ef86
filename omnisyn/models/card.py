"""The card of a set of weights: a JSON file that says what it is, from what, for what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, ModelError, reason_of
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.tensor_file import FileSeal, Precision
from omnisyn.paths import read_json
from omnisyn.settings import Settings, parse


class CardDescription(Settings):
    """What whoever trained the weights has to say."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    recipe: str
    """Name of the recipe, or of the file it was read from."""
    trained_on: str
    """The data, in a sentence."""
    simulated: bool
    """Whether the training data were simulated, wholly or in part."""
    contrasts: tuple[str, ...] = NAMES
    """Contrasts that the weights were trained to read and write."""
    stages: dict[str, Any] = Field(default_factory=dict)
    """By training stage: steps, seed, duration and the like."""
    figures: dict[str, Any] = Field(default_factory=dict)
    """Results, each with the data they were measured on."""
    credits: tuple[str, ...] = ()
    pixel_mm: float | None = Field(default=None, gt=0)
    """Pixel size (mm) to which coarser slices are magnified in synthesis; None: to none."""
    described: bool = False
    """Whether training asked for targets by how they were acquired, too (TR, TE, TI, field)."""
    limits: str = "Trained on few data; it may erase or invent structures, lesions among them."
    licence: str = "Apache-2.0"
    intended_use: str = "Research use only. Not a medical device; not for diagnosis or treatment."
    created: str | None = None
    """Date, ISO 8601."""


class TextTowerSeal(Settings):
    """Pins the text tower that lies beside weights and belongs to them alone."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    """Bytes."""

    @property
    def seal(self) -> FileSeal:
        """What the file must be."""
        return FileSeal(self.sha256, self.size)


class WeightCard(CardDescription):
    """A card as it lies beside its file: the description and what identifies the file."""

    file: str = Field(pattern=r"^[^/\\]+\.safetensors$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(gt=0)
    """Bytes."""
    precision: Precision
    parameters: int
    model: ModelSettings
    prompts: tuple[str, ...]
    """What the rows of the target vectors stand for."""
    text: TextTowerSeal | None = None
    """Of NAME.text.safetensors; None where the weights know no other targets than the prompts."""
    value_range: tuple[float, float] = (0.0, 1.0)
    """Of the images it takes and gives, a.u., scaled per volume."""

    @property
    def seal(self) -> FileSeal:
        """What the file must be."""
        return FileSeal(self.sha256, self.size)

    @property
    def tower_files(self) -> tuple[str, ...]:
        """The files beside `file` that its text tower consists of; none where there is none."""
        return () if self.text is None else tower_names(self.file)


def name_for_card(text: str) -> str:
    """The nearest to any text that a card may be called."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-") or "weights"


def card_path(weights: Path) -> Path:
    """Where the card of a safetensors file lies."""
    return weights.with_suffix(".json")


def tower_names(weights: str) -> tuple[str, str]:
    """What the text tower beside a safetensors file of that name is called: description and
    weights, as `save_clip` names them."""
    stem = Path(weights).stem
    return f"{stem}.clip.json", f"{stem}.text.safetensors"


def read_card(path: Path) -> WeightCard:
    """Read a card. Raises ModelError when it is missing, no JSON, or no card."""
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise ModelError(
            "the weights have no card",
            where=path.name,
            remedy="weights come as NAME.safetensors with NAME.json beside; copy both",
        ) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, dict):
        raise ModelError(
            "this is no card of weights",
            where=path.name,
            remedy="copy or fetch file and card again",
        )
    try:
        card = parse(WeightCard, content, where=path.name)
        # What can be read may still be nested too deeply to be shown.
        card.model_dump(mode="json")
    except InputError as error:
        raise ModelError(error.what, where=path.name, why=error.why, remedy=error.remedy) from error
    except ValueError as error:
        raise _unreadable(path, error) from error
    return card


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        "the card cannot be read",
        where=path.name,
        why=reason_of(error),
        remedy="copy or fetch it again",
    )
