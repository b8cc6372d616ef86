"""Fixed vectors for the prompts, whose geometry is chosen and not learned.

The publication compares text targets that are similar, orthogonal or opposite (OmniSyn, arXiv
2602.08822); how it made them it does not say. Here their Gram matrix is written down, and vectors
that have it are turned into a random direction of the space.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.studies.seeding import generator_at

Geometry = Literal["similar", "orthogonal", "opposite"]

SIMILAR = 0.9
"""Cosine of any two contrasts whose targets are similar."""
FAT_SUPPRESSED = 0.95
"""Cosine of a contrast's fat-suppressed prompt and its plain one."""
_SMALLEST_PIVOT = 1e-9


def fixed_targets(geometry: Geometry, contrasts: Sequence[str], size: int, seed: int) -> Tensor:
    """Unit vectors `[12, size]` for the prompts: the plain ones, then those with fat suppression.

    Args:
        geometry: of the plain ones; of k contrasts `opposite` is the regular simplex, whose cosine
            -1 / (k - 1) is the furthest apart that so many vectors can all be.
        contrasts: names of those that have it, two or more; any other is orthogonal to all.
        size: of the space.
        seed: of the direction in space.

    Raises:
        UsageError: the space has too few dimensions.
    """
    return vectors_with(prompt_gram(geometry, contrasts), size, seed)


def prompt_gram(geometry: Geometry, contrasts: Sequence[str]) -> Tensor:
    """The cosines `[12, 12]` of the prompts, float64. Arguments as in `fixed_targets`.

    A fat-suppressed prompt leaves its plain one in a direction of its own, which no other has.
    """
    cosine = {"similar": SIMILAR, "orthogonal": 0.0, "opposite": -1 / (len(contrasts) - 1)}
    own = torch.eye(len(NAMES), dtype=torch.float64)
    chosen = torch.tensor([name in contrasts for name in NAMES], dtype=torch.float64)
    plain = own + cosine[geometry] * (1 - own) * torch.outer(chosen, chosen)
    across = FAT_SUPPRESSED * plain
    suppressed = FAT_SUPPRESSED**2 * plain + (1 - FAT_SUPPRESSED**2) * own
    return torch.cat([torch.cat([plain, across], dim=1), torch.cat([across, suppressed], dim=1)])


def vectors_with(gram: Tensor, size: int, seed: int) -> Tensor:
    """Vectors `[n, size]`, float32, whose products are `gram` `[n, n]`, turned at random.

    Raises:
        UsageError: `size` is below the rank of `gram`.
    """
    factor = _cholesky(gram)
    rank = factor.shape[1]
    if size < rank:
        raise UsageError(
            "the text vectors are too short for the text targets",
            why=f"{len(gram)} prompts take {rank} dimensions, and condition_size is {size}",
            remedy="raise condition_size in the recipe, or learn the text targets",
        )
    noise = torch.randn(size, rank, generator=generator_at(seed), dtype=torch.float64)
    directions, triangle = torch.linalg.qr(noise)
    # The signs of a QR decomposition are free; these make it the same everywhere.
    directions = directions * triangle.diagonal().sign()
    vectors: Tensor = factor @ directions.T
    return vectors.float()


def _cholesky(gram: Tensor) -> Tensor:
    """The factor `[n, rank]` of a positive semidefinite matrix. It is unique, which its
    eigenvectors are not where eigenvalues repeat; torch's own asks for full rank."""
    count = len(gram)
    factor = torch.zeros_like(gram)
    for row in range(count):
        for column in range(row + 1):
            rest = float(gram[row, column] - factor[row] @ factor[column])
            if row == column:
                factor[row, row] = math.sqrt(rest) if rest > _SMALLEST_PIVOT else 0.0
            elif factor[column, column] > 0:
                factor[row, column] = rest / factor[column, column]
    return factor[:, factor.diagonal() > 0]
