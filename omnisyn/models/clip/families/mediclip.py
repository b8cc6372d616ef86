"""MediCLIP (Zhang et al. 2024): adapters on a CLIP's patches, learned to tell sick from healthy.

After the published code (cnulab/MediCLIP, `models/Adapter.py`, `CoOp.py`, `train.py`). Its
checkpoint holds one 1×1 convolution for each of some layers of the image tower, which brings that
layer's patches into the space of the texts, and learned tokens to stand before words for `normal`
and `abnormal`.

What it gives here: the image's vector is no longer CLIP's own but the mean of the adapted patches,
each of length one, over the places and the layers (the publication averages its maps over the
layers too; the mean over the places is ours, for it makes maps and no vectors). The learned tokens
are checked and left out: they belong to words about disease, of which our sentences have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.checkpoint_file import read_checkpoint
from omnisyn.models.clip.families.renaming import Tensors, renamed
from omnisyn.models.clip.text_image import ClipShape

_ADAPTERS, _PROMPTS = "adapter_state_dict", "prompt_state_dict"


class AdaptedTower(nn.Module):
    """Images [n, 3, side, side] to vectors [n, embed_dim], by adapters on a tower's layers."""

    def __init__(self, tower: Any, layers: Sequence[int], embed_dim: int) -> None:
        super().__init__()
        width = tower.transformer.width
        tower.ln_post, tower.proj = nn.Identity(), None
        self.tower = tower
        self.places = [layer - 1 for layer in layers]
        self.adapters = nn.ModuleList(nn.Conv2d(width, embed_dim, 1) for _ in layers)

    @property
    def image_size(self) -> Any:
        """Rows and columns of what the tower takes."""
        return self.tower.image_size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        maps = self.tower.forward_intermediates(
            images, indices=self.places, intermediates_only=True
        )["image_intermediates"]
        means = [
            functional.normalize(adapter(own), dim=1).mean(dim=(2, 3))
            for adapter, own in zip(self.adapters, maps, strict=True)
        ]
        return torch.stack(means).mean(dim=0)


def adapted_shape(shape: ClipShape, layers: Sequence[int]) -> ClipShape:
    """Shape of a CLIP with adapters on those layers; resized as the publication does.

    Raises:
        UsageError: its image tower is no vision transformer, or has no such layers.
    """
    depth = shape.model.get("vision_cfg", {}).get("layers")
    if not isinstance(depth, int) or list(layers) != sorted({*layers}) or layers[-1] > depth:
        raise UsageError(
            "the adapters do not fit the image tower",
            why=f"they sit on layers {', '.join(map(str, layers))}",
            remedy="name the CLIP that they were trained on, and clip.adapter_layers, ascending",
        )
    return shape.model_copy(update={"adapters": tuple(layers), "interpolation": "bilinear"})


def adapted_tensors(tensors: Tensors, path: Path, shape: ClipShape) -> dict[str, torch.Tensor]:
    """A CLIP's tensors and those of the checkpoint at `path`, as the adapted model names them.

    Raises:
        ModelError: it is no MediCLIP checkpoint, or of another text tower.
    """
    width = shape.model["text_cfg"]["width"]
    prompts = read_checkpoint(path, _PROMPTS)
    strange = [
        name
        for name, tensor in prompts.items()
        if not name.startswith("ctx.") or tensor.shape[-1] != width
    ]
    if strange:
        raise ModelError(
            "the prompts belong to another text tower",
            where=path.name,
            why=f"{strange[0]} is {list(prompts[strange[0]].shape)}, tokens have {width} entries",
            remedy="name the CLIP that they were trained on",
        )
    # What only the tower's own vector passes through is left out.
    found = renamed(
        tensors, ((r"^visual\.(ln_post\..*|proj)$", ""), (r"^visual\.", "visual.tower."))
    )
    adapters = read_checkpoint(path, _ADAPTERS)
    return found | renamed(adapters, ((r"^(\d+)_adapter\.0\.", r"visual.adapters.\1."),))
