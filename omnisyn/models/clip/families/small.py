"""The small text-image model of our own."""

from __future__ import annotations

from omnisyn.models.clip.text_image import ClipShape
from omnisyn.models.clip.vocabulary import CONTEXT_LENGTH, VOCABULARY_SIZE


def small_shape(embed_size: int) -> ClipShape:
    """Its shape with vectors of that length."""
    return ClipShape(
        model={
            "embed_dim": embed_size,
            # Convolutions: from nothing and in few steps a vision transformer hardly learns
            # (150 steps, one seed: contrast recognition 0.22 against 0.61).
            "vision_cfg": {
                "image_size": 128,
                "layers": (1, 1, 1, 1),
                "width": 16,
                "head_width": 64,
            },
            "text_cfg": {
                "context_length": CONTEXT_LENGTH,
                "vocab_size": VOCABULARY_SIZE,
                "width": 192,
                "heads": 3,
                "layers": 3,
            },
        },
        tokenizer="small",
        # Mean and spread of a scaled slice, air included.
        mean=(0.2, 0.2, 0.2),
        deviation=(0.25, 0.25, 0.25),
    )
