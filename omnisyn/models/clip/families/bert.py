"""BERT's encoder (Devlin et al. 2019), of torch's own layers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.clip.families.renaming import Tensors, count, joined, renamed, size
from omnisyn.models.clip.wordpiece import PAD

_HEAD_WIDTH = 64
_EPSILON = 1e-12
_DROPOUT = 0.1
# Transformers' BertModel to the names below; its pooler serves another task.
_RULES = (
    (r"^(pooler\..*|.*\.position_ids)$", ""),
    (r"^embeddings\.word_embeddings\.", "words."),
    (r"^embeddings\.position_embeddings\.", "positions."),
    (r"^embeddings\.token_type_embeddings\.", "kinds."),
    (r"^embeddings\.LayerNorm\.", "norm."),
    (r"^encoder\.layer\.", "layers."),
    (r"\.attention\.output\.dense\.", ".self_attn.out_proj."),
    (r"\.attention\.output\.LayerNorm\.", ".norm1."),
    (r"\.intermediate\.dense\.", ".linear1."),
    (r"(layers\.\d+)\.output\.dense\.", r"\1.linear2."),
    (r"(layers\.\d+)\.output\.LayerNorm\.", r"\1.norm2."),
)
_ATTENTION = tuple(f".attention.self.{name}." for name in ("query", "key", "value"))


class Bert(nn.Module):
    """Token numbers [n, length] to the hidden states after every layer, `[n, length, width]` each.

    `PAD` is passed over. Segments are not told apart: every text is one.
    """

    def __init__(
        self, words: int, positions: int, kinds: int, width: int, hidden: int, layers: int
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.positions = nn.Embedding(positions, width)
        self.kinds = nn.Embedding(kinds, width)
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(_DROPOUT)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                max(1, width // _HEAD_WIDTH),
                hidden,
                dropout=_DROPOUT,
                activation=functional.gelu,
                layer_norm_eps=_EPSILON,
                batch_first=True,
            )
            for _ in range(layers)
        )

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """See the class."""
        places = self.positions.weight[: tokens.shape[1]]
        state = self.norm(self.words(tokens) + places + self.kinds.weight[0])
        state = self.dropout(state)
        states = []
        for layer in self.layers:
            state = layer(state, src_key_padding_mask=tokens == PAD)
            states.append(state)
        return states


def bert_arguments(tensors: Tensors, where: str) -> dict[str, int]:
    """Arguments of `Bert`, read off the tensors of transformers' BertModel.

    Raises:
        ModelError: a tensor is missing.
    """
    embeddings = "embeddings.{}_embeddings.weight"
    return {
        "words": size(tensors, embeddings.format("word"), 0, where),
        "positions": size(tensors, embeddings.format("position"), 0, where),
        "kinds": size(tensors, embeddings.format("token_type"), 0, where),
        "width": size(tensors, embeddings.format("word"), 1, where),
        "hidden": size(tensors, "encoder.layer.0.intermediate.dense.weight", 0, where),
        "layers": count(tensors, r"encoder\.layer\."),
    }


def from_bert_model(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Tensors of transformers' BertModel under the names of `Bert`."""
    return renamed(joined(tensors, _ATTENTION, ".self_attn.in_proj_{}"), _RULES)
