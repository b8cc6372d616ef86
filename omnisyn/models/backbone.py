"""What a backbone is: an encoder and a conditioned decoder, and the table of those we have."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.settings import Settings


class ModelSettings(Settings):
    """Everything that decides the shape of a generator, and nothing else."""

    backbone: str = "small"
    width: int = Field(default=16, ge=4, le=512)
    """Learned channels of the finest map."""
    condition_size: int = Field(default=128, ge=2, le=4096)
    """Length of a target's text vector: the width of the text-image model's common space."""
    fusion_heads: int = Field(default=4, ge=1, le=64)
    """Groups of channels that weigh the sources separately; must divide every map's channels."""
    contrasts: tuple[str, ...] = NAMES
    """Those that it reads and writes; training leaves others aside."""
    arrangement: str = "1E1D-Cond"
    """Encoders and decoders, see `models/arrangement.py`: of n contrasts `1E1D-Cond`, `1EnD` or
    `nEnD`, with the number in the place of n."""

    @field_validator("contrasts")
    @classmethod
    def _in_canonical_order(cls, contrasts: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(contrasts) - set(NAMES)):
            raise ValueError(f"no contrast is called {unknown[0]!r}: {', '.join(NAMES)}")
        if len(set(contrasts)) < 2:
            raise ValueError("a model needs two contrasts or more")
        return tuple(name for name in NAMES if name in contrasts)

    @model_validator(mode="after")
    def _arrangement_counts_the_contrasts(self) -> ModelSettings:
        count = len(self.contrasts)
        known = ("1E1D-Cond", f"1E{count}D", f"{count}E{count}D")
        if self.arrangement not in known:
            raise ValueError(
                f"there is no arrangement {self.arrangement!r} of {count} contrasts: "
                f"{', '.join(known)}"
            )
        return self

    @property
    def decoder_per_contrast(self) -> bool:
        """Whether each contrast has a decoder of its own."""
        return self.arrangement != "1E1D-Cond"

    @property
    def encoder_per_contrast(self) -> bool:
        """Whether each contrast has an encoder of its own, too."""
        return self.decoder_per_contrast and not self.arrangement.startswith("1E")


class Backbone(nn.Module):
    """An encoder shared by all contrasts and one decoder steered by the target's text vector.

    The generator around it takes care of padding, fusion and text vectors, so a backbone sees
    only images whose rows and columns are multiples of `stride`, and one fused set of maps.
    `encoder` and `decoder` are the two halves that the training stages freeze or train.
    """

    stride: ClassVar[int]
    """Rows and columns of what `encode` receives are multiples of this."""
    published_width: ClassVar[int]
    """The width of the publication, or that of our own weights."""
    width_step: ClassVar[int] = 4
    """Widths are multiples of this."""
    unread: ClassVar[frozenset[int]] = frozenset()
    """Levels that the decoder does not read: of an encoder whose finest map is the image itself, of
    a decoder without skips."""
    channels: tuple[int, ...]
    """Channels of each map, fine to coarse; the first map is at full resolution."""
    encoder: nn.Module
    """Images [n, 1, rows, columns] in [0, 1] to a list of maps, fine to coarse."""
    decoder: nn.Module
    """Maps and text vectors [n, condition_size] to images [n, 1, rows, columns] in [0, 1]."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()

    @classmethod
    def summary(cls) -> str:
        """What it is, in a few words: the first line of its file."""
        first = str(sys.modules[cls.__module__].__doc__).splitlines()[0]
        return first.partition(": ")[2].rstrip(".,")

    def encode(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Images [n, 1, rows, columns] in [0, 1] to maps [n, channels[i], …], fine to coarse."""
        features: list[torch.Tensor] = self.encoder(images)
        return features

    def decode(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """Maps as `encode` gives them and text vectors [n, condition_size] to images in [0, 1]."""
        images: torch.Tensor = self.decoder(features, condition)
        return images


_BACKBONES: dict[str, type[Backbone]] = {}

_Kind = TypeVar("_Kind", bound=type[Backbone])


def register_backbone(name: str) -> Callable[[_Kind], _Kind]:
    """Decorator: enter a backbone, built from `ModelSettings`, into the table under `name`."""

    def enter(backbone: _Kind) -> _Kind:
        if name in _BACKBONES:
            raise ValueError(f"two backbones are called {name!r}")
        _BACKBONES[name] = backbone
        return backbone

    return enter


def backbone_names() -> tuple[str, ...]:
    """Names of all registered backbones, sorted."""
    # Imported here because each backbone's file imports this one.
    import omnisyn.models.backbones  # noqa: F401

    return tuple(sorted(_BACKBONES))


def backbone_class(name: str) -> type[Backbone]:
    """The backbone of this name.

    Raises UsageError for an unknown name, with the nearest one.
    """
    names = backbone_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        raise UsageError(
            f"unknown backbone {name!r}",
            why=f"known are {', '.join(names)}",
            remedy=f"did you mean {near[0]!r}?" if near else None,
        )
    return _BACKBONES[name]


def build_backbone(settings: ModelSettings) -> Backbone:
    """The backbone that `settings` names, freshly initialised from torch's current random state.

    Raises UsageError for an unknown name, or a width that it cannot have.
    """
    kind = backbone_class(settings.backbone)
    if settings.width % kind.width_step:
        raise UsageError(
            f"{settings.backbone} cannot be {settings.width} channels wide",
            remedy=f"choose a multiple of {kind.width_step} "
            f"({kind.published_width} is the published width)",
        )
    return kind(settings)
