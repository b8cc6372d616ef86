"""Many sources into one set of maps: attention over whatever sources a patient has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from omnisyn.errors import UsageError

_HIDDEN = 16


class SourceAttention(nn.Module):
    """Weighted mean over the present sources of one level, weights learned from the maps.

    Each group of channels ("head") weighs the sources anew at every position, by a softmax over
    the present ones. Weights sum to one, so a single source passes unchanged, the order of the
    sources has no effect, and absent ones have none either. The scores start at zero: training
    sets out from the plain mean.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise UsageError(
                f"{heads} fusion heads do not divide {channels} channels",
                remedy="choose fusion_heads that divides the channels of every level",
            )
        self.heads = heads
        self.own = nn.Conv2d(channels, _HIDDEN, kernel_size=1)
        self.common = nn.Conv2d(channels, _HIDDEN, kernel_size=1, bias=False)
        # Without a bias: what all sources share has no effect behind a softmax.
        self.score = nn.Conv2d(_HIDDEN, heads, kernel_size=1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(self, maps: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """[batch, sources, c, rows, columns] and [batch, sources] bool to [batch, c, …]."""
        batch, sources, channels, rows, columns = maps.shape
        here = present[:, :, None, None, None]
        # `where` and not a product: what lies in an absent slot may even be infinite.
        maps = torch.where(here, maps, torch.zeros((), dtype=maps.dtype, device=maps.device))
        count = present.sum(dim=1).clamp_min(1)[:, None, None, None].to(maps.dtype)
        # A source is judged beside the mean of all: what does it show that the others do not?
        own = self.own(maps.flatten(0, 1)).unflatten(0, (batch, sources))
        hidden = functional.relu(own + self.common(maps.sum(dim=1) / count)[:, None])
        scores = self.score(hidden.flatten(0, 1)).view(batch, sources, self.heads, 1, rows, columns)
        scores = scores.masked_fill(~here[..., None], float("-inf"))
        weights = torch.softmax(scores.float(), dim=1).to(maps.dtype)
        grouped = maps.view(batch, sources, self.heads, channels // self.heads, rows, columns)
        return (weights * grouped).sum(dim=1).view(batch, channels, rows, columns)


class Fusion(nn.Module):
    """One `SourceAttention` per level."""

    def __init__(self, channels: Sequence[int], heads: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(SourceAttention(count, heads) for count in channels)

    def forward(
        self, features: Sequence[torch.Tensor], present: torch.Tensor
    ) -> list[torch.Tensor]:
        """Per level [batch, sources, c, rows, columns] to [batch, c, rows, columns].

        With one source slot the maps pass untouched. Raises ValueError when an item of the batch
        has no source at all.
        """
        if not bool(present.any(dim=1).all()):
            raise ValueError("every item of the batch needs at least one present source")
        if present.shape[1] == 1:
            return [maps[:, 0] for maps in features]
        return [level(maps, present) for level, maps in zip(self.levels, features, strict=True)]
