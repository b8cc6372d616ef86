"""Many sources into one set of maps: attention over whatever sources a patient has."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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

    Args:
        channels: of the level's maps.
        kinds: length of the vector that says what kind of image each source is.
        heads: groups of channels.
    """

    def __init__(self, channels: int, kinds: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise UsageError(
                f"{heads} fusion heads do not divide {channels} channels",
                remedy="choose fusion_heads that divides the channels of every level",
            )
        self.heads = heads
        self.own = nn.Conv2d(channels, _HIDDEN, kernel_size=1)
        self.common = nn.Conv2d(channels, _HIDDEN, kernel_size=1, bias=False)
        self.kind = nn.Linear(kinds, _HIDDEN, bias=False)
        # Without a bias: what all sources share has no effect behind a softmax.
        self.score = nn.Conv2d(_HIDDEN, heads, kernel_size=1, bias=False)
        nn.init.zeros_(self.score.weight)

    def forward(
        self, maps: torch.Tensor, kinds: torch.Tensor, present: torch.Tensor
    ) -> torch.Tensor:
        """[batch, sources, c, rows, columns], [batch, sources, kinds] and [batch, sources] bool
        to [batch, c, rows, columns]."""
        batch, sources, channels, rows, columns = maps.shape
        here = present[:, :, None, None, None]
        count = present.sum(dim=1).clamp_min(1)[:, None, None, None].to(maps.dtype)
        # A source is judged beside the mean of all: what does it show that the others do not?
        own = self.own(maps.flatten(0, 1)).unflatten(0, (batch, sources))
        kind = self.kind(kinds)[..., None, None]
        hidden = functional.relu(own + kind + self.common(maps.sum(dim=1) / count)[:, None])
        scores = self.score(hidden.flatten(0, 1)).view(batch, sources, self.heads, 1, rows, columns)
        scores = scores.masked_fill(~here[..., None], float("-inf"))
        weights = torch.softmax(scores.float(), dim=1).to(maps.dtype)
        grouped = maps.view(batch, sources, self.heads, channels // self.heads, rows, columns)
        return (weights * grouped).sum(dim=1).view(batch, channels, rows, columns)


class FirstSource(nn.Module):
    """The maps of the first source, for a level that no decoder reads: only their size counts."""

    def forward(
        self, maps: torch.Tensor, kinds: torch.Tensor, present: torch.Tensor
    ) -> torch.Tensor:
        """As `SourceAttention`."""
        return maps[:, 0]


class Fusion(nn.Module):
    """One `SourceAttention` per level that the decoder reads.

    Fine maps see a few pixels and cannot tell a T1 from a FLAIR. So every level hears what kind of
    image a source is: a mean over its coarsest map, weighted by an attention that can leave out
    air.
    """

    def __init__(self, channels: Sequence[int], heads: int, unread: Collection[int] = ()) -> None:
        super().__init__()
        self.kind = nn.Conv2d(channels[-1], 1, kernel_size=1)
        self.levels = nn.ModuleList(
            FirstSource() if level in unread else SourceAttention(count, channels[-1], heads)
            for level, count in enumerate(channels)
        )

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
        # `where` and not a product: what lies in an absent slot may even be infinite.
        here, nothing = present[:, :, None, None, None], features[0].new_zeros(())
        features = [torch.where(here, maps, nothing) for maps in features]
        coarsest = features[-1].flatten(0, 1)
        weights = torch.softmax(self.kind(coarsest).flatten(1), dim=1)
        kinds = torch.einsum("ncp,np->nc", coarsest.flatten(2), weights)
        kinds = kinds.view(*present.shape, -1)
        return [
            level(maps, kinds, present) for level, maps in zip(self.levels, features, strict=True)
        ]
