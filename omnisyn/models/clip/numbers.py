"""How the small text tower sees a number: as waves of its magnitude, which are not learned.

An embedding that is learned knows the magnitudes that training drew, and nothing of one in between:
a text with an echo time that was held out would hold an unknown word. Waves, as "Attention Is All
You Need" (Vaswani et al. 2017) has them for positions, change little from a magnitude to the next.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from omnisyn.models.clip.vocabulary import FIRST_MAGNITUDE, MAGNITUDES

# In magnitudes; the shortest still tells neighbours apart.
_LONGEST, _SHORTEST = 120.0, 4.0
# As large as the entries of words, when their training begins.
_DEVIATION = 0.02


def number_waves(width: int) -> torch.Tensor:
    """The embedding of every magnitude, float32 `[MAGNITUDES, width]`."""
    lengths = torch.logspace(math.log10(_LONGEST), math.log10(_SHORTEST), width // 2)
    phases = 2 * math.pi * torch.arange(MAGNITUDES)[:, None] / lengths
    waves = torch.zeros(MAGNITUDES, width)
    waves[:, : width // 2] = phases.sin()
    waves[:, width // 2 : 2 * (width // 2)] = phases.cos()
    return math.sqrt(2) * _DEVIATION * waves


def see_numbers_as_waves(embedding: nn.Embedding) -> None:
    """Put the waves into the rows of the magnitudes, and keep training from changing them."""
    rows = slice(FIRST_MAGNITUDE, FIRST_MAGNITUDE + MAGNITUDES)
    learned = torch.ones(embedding.num_embeddings, 1)
    learned[rows] = 0
    with torch.no_grad():
        embedding.weight[rows] = number_waves(embedding.embedding_dim)

    def keep(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * learned.to(gradient.device)

    embedding.weight.register_hook(keep)  # type: ignore[no-untyped-call]
