"""Text-image models behind one face: our own small CLIP, and the published ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, PositiveInt
from torch import nn
from torch.nn import functional

from omnisyn.settings import Settings

SMALL = "small"
"""The architecture of our own."""

Tokenizer = Callable[[Sequence[str]], torch.Tensor]


class ClipSettings(Settings):
    """Which text-image model, and where its first weights come from."""

    architecture: str = SMALL
    """`small` (our own), `mr-clip`, or a name that open_clip knows, such as `ViT-B-32`."""
    weights: str | None = None
    """None (trained from nothing), a tag under which open_clip knows published weights of the
    architecture (`openai`, `laion2b_s34b_b79k`, …), `hf-hub:org/name@revision`, a file, or a
    folder. The hub, a folder, and any checkpoint in the layout of Hugging Face's CLIP or MedCLIP
    bring their own architecture."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Pinned hash of the weights' file, checked before it is read."""
    adapters: str | None = None
    """A MediCLIP checkpoint, put on the CLIP of `architecture` and `weights`."""
    adapter_layers: tuple[PositiveInt, ...] = Field(default=(12, 18, 24), min_length=1)
    """Layers of the image tower that it adapts, the first being 1."""
    vocabulary: str | None = None
    """Of MedCLIP: `hf-hub:org/name`, a folder or a vocab.txt; None: beside the weights."""
    embed_size: int = Field(default=128, ge=8, le=2048)
    """Length of the vectors of `small`: the generator's condition_size. Others bring their own."""


class ClipShape(Settings):
    """All it takes to build a text-image model again, but for its weights."""

    family: Literal["open_clip", "medclip"] = "open_clip"
    """Whose code: open_clip's CLIP or CustomTextCLIP, or `families/medclip.py`."""
    model: dict[str, Any]
    """Arguments of the model's class; of open_clip's: embed_dim, vision_cfg, text_cfg, quick_gelu,
    and `custom_text` where the text tower stands apart."""
    adapters: tuple[int, ...] = ()
    """Layers of the image tower that MediCLIP adapts, the first being 1."""
    tokenizer: Literal["small", "clip", "wordpiece"]
    """Our own vocabulary, CLIP's byte pairs, or BERT's pieces of words."""
    vocabulary: tuple[str, ...] = ()
    """The pieces, of `wordpiece`."""
    lower_case: bool = True
    """Whether `wordpiece` makes texts lower case."""
    mean: tuple[float, float, float]
    """Of the images as the image tower wants them, per channel."""
    deviation: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How images are resized."""
    magnify: bool = True
    """Whether small images are resized too; else they are padded to the tower's size."""


class TextImageModel(nn.Module):
    """Texts and slices to unit vectors of one space.

    Images come as slices with values in [0, 1]; padding to a square, resizing (aspect kept, and
    differentiable), repetition to three channels and the model's own mean and standard deviation
    are applied here. `clip` is open_clip's CLIP or has its face: `visual` in it is the image tower,
    the rest the text tower and the temperature.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, clip: nn.Module, tokenizer: Tokenizer, shape: ClipShape) -> None:
        super().__init__()
        self.clip: Any = clip
        self.tokenizer = tokenizer
        self.shape = shape
        for name in ("mean", "deviation"):
            value = torch.tensor(getattr(shape, name)).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @property
    def image_size(self) -> int:
        """Rows and columns of what the image tower takes."""
        size = self.clip.visual.image_size
        return int(size[0] if isinstance(size, tuple) else size)

    @property
    def embed_size(self) -> int:
        """Length of the vectors."""
        return int(self.shape.model["embed_dim"])

    @property
    def logit_scale(self) -> torch.Tensor:
        """What cosines are multiplied by to become logits (1 / temperature), a scalar."""
        scale: torch.Tensor = self.clip.logit_scale.exp()
        return scale

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts to unit vectors [len(texts), embed_size]."""
        tokens = self.tokenizer(list(texts)).to(self.mean.device)
        vectors: torch.Tensor = self.clip.encode_text(tokens, normalize=True)
        return vectors

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Slices [n, 1, rows, columns] in [0, 1] to unit vectors [n, embed_size]."""
        vectors: torch.Tensor = self.clip.encode_image(self.preprocess(images), normalize=True)
        return vectors

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Slices [n, 1, rows, columns] to what the tower takes: [n, 3, image_size, image_size]."""
        rows, columns = images.shape[-2:]
        size = self.image_size
        side = max(rows, columns, 0 if self.shape.magnify else size)
        above, before = (side - rows) // 2, (side - columns) // 2
        square = functional.pad(
            images, (before, side - columns - before, above, side - rows - above)
        )
        if side != size:
            square = functional.interpolate(
                square,
                size=(size, size),
                mode=self.shape.interpolation,
                align_corners=False,
                antialias=True,
            )
        return (square.expand(-1, 3, -1, -1) - self.mean) / self.deviation

    def image_tower(self) -> Iterator[nn.Parameter]:
        """The parameters that only images pass through."""
        parameters: Iterator[nn.Parameter] = self.clip.visual.parameters()
        return parameters

    def text_tower(self) -> Iterator[nn.Parameter]:
        """The parameters that only texts pass through; the temperature is in neither tower."""
        for name, parameter in self.clip.named_parameters():
            if is_text_tower(name):
                yield parameter


def is_text_tower(name: str) -> bool:
    """Whether a parameter of open_clip's CLIP, by its name, belongs to the text tower."""
    return not name.startswith("visual.") and name not in ("logit_scale", "logit_bias")
