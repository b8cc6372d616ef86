"""Swin transformers (Liu et al. 2021) of timm, from the layout that transformers gave them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.families.renaming import Tensors, count, joined, renamed, size

_ATTENTION = tuple(f".attention.self.{name}." for name in ("query", "key", "value"))
_RULES = (
    (r"^.*\.relative_position_index$", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.self\.relative_position_bias_table$", ".attn.relative_position_bias_table"),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"(blocks\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
)


def build_swin(arguments: Mapping[str, Any]) -> nn.Module:
    """timm's Swin transformer, whose output is the mean over the deepest map: [n, width]."""
    open_clip_module()  # timm comes with it, and needs the same mend of torchvision
    from timm.models.swin_transformer import SwinTransformer

    network: nn.Module = SwinTransformer(num_classes=0, global_pool="avg", **arguments)
    return network


def swin_arguments(tensors: Tensors, image_size: int, where: str) -> dict[str, Any]:
    """Arguments of `build_swin`, read off the tensors of transformers' SwinModel.

    Raises:
        ModelError: a tensor is missing.
    """
    patches = "embeddings.patch_embeddings.projection.weight"
    stages = range(count(tensors, r"encoder\.layers\."))
    tables = [
        f"encoder.layers.{stage}.blocks.0.attention.self.relative_position_bias_table"
        for stage in stages
    ]
    hidden = "encoder.layers.0.blocks.0.intermediate.dense.weight"
    sides = size(tensors, tables[0] if tables else patches, 0, where)
    return {
        "img_size": image_size,
        "patch_size": size(tensors, patches, 2, where),
        "embed_dim": size(tensors, patches, 0, where),
        "depths": [count(tensors, rf"encoder\.layers\.{stage}\.blocks\.") for stage in stages],
        "num_heads": [size(tensors, table, 1, where) for table in tables],
        # A table has a row for every shift inside a window, -(side - 1) to side - 1 each way.
        "window_size": (math.isqrt(sides) + 1) // 2,
        "mlp_ratio": size(tensors, hidden, 0, where) / size(tensors, hidden, 1, where),
    }


def from_swin_model(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Tensors of transformers' SwinModel (as its releases up to 4 name them) under timm's names."""
    found = renamed(joined(tensors, _ATTENTION, ".attn.qkv.{}"), _RULES)
    # Transformers merges patches at the end of a stage, timm at the beginning of the next.
    return {_next_stage(name): tensor for name, tensor in found.items()}


def _next_stage(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "layers" and parts[2:3] == ["downsample"]:
        parts[1] = str(int(parts[1]) + 1)
    return ".".join(parts)
