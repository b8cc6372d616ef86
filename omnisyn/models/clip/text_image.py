"""Text-image models behind one face: our own small CLIP, and any that open_clip can load."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from omnisyn.models.clip.torchvision_mend import mend_torchvision
from omnisyn.models.clip.vocabulary import tokenize
from omnisyn.settings import Settings

SMALL = "small"
"""The architecture of our own."""

Tokenizer = Callable[[Sequence[str]], torch.Tensor]


class ClipSettings(Settings):
    """Which text-image model, and where its first weights come from."""

    architecture: str = SMALL
    """`small` (our own), or a name that open_clip knows, such as `ViT-B-32`."""
    weights: str | None = None
    """None (trained from nothing), `openai`, `hf-hub:org/name@revision`, a safetensors file in
    open_clip's layout, or a folder with `open_clip_config.json`. For architectures of open_clip
    only; the hub and a folder bring their own architecture."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Pinned hash of the weights' file, checked before it is read."""
    embed_size: int = Field(default=128, ge=8, le=2048)
    """Length of the vectors of `small`: the generator's condition_size. Others bring their own."""


class ClipShape(Settings):
    """All it takes to build a text-image model again, but for its weights."""

    model: dict[str, Any]
    """Arguments of open_clip's class CLIP: embed_dim, vision_cfg, text_cfg, quick_gelu."""
    tokenizer: Literal["small", "clip"]
    """Our own vocabulary, or CLIP's byte pairs."""
    mean: tuple[float, float, float]
    """Of the images as the image tower wants them, per channel."""
    deviation: tuple[float, float, float]


class TextImageModel(nn.Module):
    """Texts and slices to unit vectors of one space.

    Images come as slices with values in [0, 1]; padding to a square, resizing (aspect kept, and
    differentiable), repetition to three channels and the model's own mean and standard deviation
    are applied here. `clip` is open_clip's CLIP: `visual` in it is the image tower, the rest the
    text tower and the temperature.
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
        side = max(rows, columns)
        above, before = (side - rows) // 2, (side - columns) // 2
        square = functional.pad(
            images, (before, side - columns - before, above, side - rows - above)
        )
        size = self.image_size
        if side != size:
            square = functional.interpolate(
                square,
                size=(size, size),
                mode="bilinear",
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


def assemble(shape: ClipShape) -> TextImageModel:
    """A text-image model of that shape, initialised from torch's current random state."""
    clip = open_clip_module().CLIP(**shape.model)
    if shape.tokenizer == "small":
        tokenizer: Tokenizer = tokenize
    else:
        tokenizer = open_clip_module().SimpleTokenizer(context_length=clip.context_length)
    return TextImageModel(clip, tokenizer, shape)


@functools.cache
def open_clip_module() -> ModuleType:
    """open_clip, imported (it takes a second or two) when a model is first built."""
    mend_torchvision()
    import open_clip

    module: ModuleType = open_clip
    return module
