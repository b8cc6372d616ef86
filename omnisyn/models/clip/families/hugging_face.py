"""Hugging Face's CLIP layout (`vision_model.*`, `text_model.*`), as open_clip's CLIP.

The layout is that of transformers' CLIPModel; RadCLIP's checkpoint has it too (luzhixiu/RadCLIP on
GitHub loads it into the CLIPModel of openai/clip-vit-large-patch14). Sizes are read off the tensors
themselves. Heads and activation come from config.json where the folder has one; without it heads
are 64 wide and the activation is the quick GELU, as in every CLIP of OpenAI. Scaling comes from
preprocessor_config.json, else it is OpenAI's, as in transformers' CLIPImageProcessor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from omnisyn.errors import ModelError, sentence_of
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.families.renaming import Tensors, count, joined, renamed, size
from omnisyn.models.clip.text_image import ClipShape
from omnisyn.paths import name_of, read_json

CONFIGURATION = "config.json"
PREPROCESSING = "preprocessor_config.json"

_HEAD_WIDTH = 64
# What config.json leaves out has the value of transformers' CLIPTextConfig and CLIPVisionConfig.
_DEFAULT_HEADS = {"text_config": 8, "vision_config": 12}
_ACTIVATIONS = {"quick_gelu": True, "gelu": False}
# Pillow's numbers.
_INTERPOLATIONS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
_BYTE_PAIRS = 49408

_WORDS = "text_model.embeddings.token_embedding.weight"
_PATCHES = "vision_model.embeddings.patch_embedding.weight"
_RULES = (
    (r"^.*\.position_ids$", ""),
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_projection\.weight$", "text_projection"),
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^visual_projection\.weight$", "visual.proj"),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"(resblocks\.\d+)\.layer_norm([12])\.", r"\1.ln_\2."),
    (r"(resblocks\.\d+)\.self_attn\.out_proj\.", r"\1.attn.out_proj."),
    (r"(resblocks\.\d+)\.mlp\.fc1\.", r"\1.mlp.c_fc."),
    (r"(resblocks\.\d+)\.mlp\.fc2\.", r"\1.mlp.c_proj."),
)
_ATTENTION = (".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj.")


def is_hugging_face(tensors: Tensors) -> bool:
    """Whether tensors have this layout."""
    return _WORDS in tensors or _PATCHES in tensors


def hugging_face_shape(tensors: Tensors, folder: Path | None, where: str) -> ClipShape:
    """Shape of the model, from its tensors and the JSON files in `folder`.

    Raises:
        ModelError: a tensor or a setting is missing, or open_clip's CLIP has no such thing.
    """
    configuration = _read(folder, CONFIGURATION)
    preprocessing = _read(folder, PREPROCESSING)

    def towers_layers(tower: str) -> tuple[int, float]:
        hidden = f"{tower}.encoder.layers.0.mlp.fc1.weight"
        ratio = size(tensors, hidden, 0, where) / size(tensors, hidden, 1, where)
        return count(tensors, rf"{tower}\.encoder\.layers\."), ratio

    words, width = (size(tensors, _WORDS, axis, where) for axis in (0, 1))
    if words != _BYTE_PAIRS:
        raise ModelError(
            "this CLIP has another vocabulary than OpenAI's",
            where=where,
            why=f"{words} words, OpenAI's has {_BYTE_PAIRS}",
            remedy="choose a CLIP that reads OpenAI's byte pairs",
        )
    vision_width, patch = (size(tensors, _PATCHES, axis, where) for axis in (0, 2))
    places = size(tensors, "vision_model.embeddings.position_embedding.weight", 0, where)
    vision_layers, vision_ratio = towers_layers("vision_model")
    layers, ratio = towers_layers("text_model")
    open_clip = open_clip_module()
    return ClipShape(
        model={
            "embed_dim": size(tensors, "text_projection.weight", 0, where),
            "vision_cfg": {
                "image_size": math.isqrt(places - 1) * patch,
                "layers": vision_layers,
                "width": vision_width,
                "head_width": vision_width // _heads(configuration, "vision_config", vision_width),
                "patch_size": patch,
                "mlp_ratio": vision_ratio,
            },
            "text_cfg": {
                "context_length": size(
                    tensors, "text_model.embeddings.position_embedding.weight", 0, where
                ),
                "vocab_size": words,
                "width": width,
                "heads": _heads(configuration, "text_config", width),
                "layers": layers,
                "mlp_ratio": ratio,
            },
            "quick_gelu": _is_quick(configuration, where),
        },
        tokenizer="clip",
        mean=preprocessing.get("image_mean", open_clip.OPENAI_DATASET_MEAN),
        deviation=preprocessing.get("image_std", open_clip.OPENAI_DATASET_STD),
        interpolation=_INTERPOLATIONS.get(preprocessing.get("resample", 3), "bicubic"),
    )


def from_hugging_face(tensors: Tensors) -> dict[str, Any]:
    """The tensors under the names, and in the form, of open_clip's CLIP."""
    found = renamed(joined(tensors, _ATTENTION, ".attn.in_proj_{}"), _RULES)
    for name in ("text_projection", "visual.proj"):
        if name in found:
            found[name] = found[name].T.contiguous()
    return found


def _heads(configuration: Mapping[str, Any], part: str, width: int) -> int:
    if not configuration:
        return max(1, width // _HEAD_WIDTH)
    return int(configuration.get(part, {}).get("num_attention_heads", _DEFAULT_HEADS[part]))


def _is_quick(configuration: Mapping[str, Any], where: str) -> bool:
    named = {configuration.get(part, {}).get("hidden_act", "quick_gelu") for part in _DEFAULT_HEADS}
    if len(named) != 1 or not named <= _ACTIVATIONS.keys():
        raise ModelError(
            "this CLIP has an activation that is not known here",
            where=where,
            why=", ".join(sorted(named)),
            remedy="choose a CLIP with quick_gelu or gelu in both towers",
        )
    return _ACTIVATIONS[named.pop()]


def _read(folder: Path | None, name: str) -> dict[str, Any]:
    if folder is None or not (folder / name).is_file():
        return {}
    try:
        content = read_json(folder / name)
        if not isinstance(content, dict):
            raise TypeError("it is no JSON object")
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"the folder has no valid {name}",
            where=name_of(folder),
            why=sentence_of(error),
            remedy="copy or fetch it again",
        ) from error
    return content
