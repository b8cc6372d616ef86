"""A tiny CLIP as open_clip publishes them, for the tests of several files."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from omnisyn.models.clip.families.open_clip import open_clip_module

# ViT-B-32's layout with every figure made small; only CLIP's own vocabulary keeps its size.
TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 64,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 32,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 2,
    },
}


def tiny_state(**changes: Any) -> dict[str, torch.Tensor]:
    """Weights of a tiny CLIP; `changes` are arguments of open_clip's CLIP."""
    torch.manual_seed(7)
    state: dict[str, torch.Tensor] = open_clip_module().CLIP(**TINY | changes).state_dict()
    return state


def publish(place: Path) -> Path:
    """A folder in open_clip's layout, with the quick GELU and a scaling of its own."""
    state = tiny_state(quick_gelu=True)
    safetensors.torch.save_file(state, place / "open_clip_model.safetensors")
    configuration = {
        "model_cfg": {**TINY, "quick_gelu": True},
        "preprocess_cfg": {
            "mean": [0.4, 0.5, 0.6],
            "std": [0.1, 0.2, 0.3],
            "interpolation": "bilinear",
        },
    }
    (place / "open_clip_config.json").write_text(json.dumps(configuration))
    return place
