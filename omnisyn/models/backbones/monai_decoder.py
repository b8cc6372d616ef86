"""The decoder of those of MONAI's networks that raise the coarsest map step by step, with skips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from omnisyn.models.conditioning import AddedCondition, steered


class MonaiDecoder(nn.Module):
    """MONAI's up-blocks, the text vector added before each, and a sigmoid at the end.

    Args:
        whole: the network; its parts keep their names here.
        ups: names of its up-blocks, coarse to fine, one a skip.
        last: name of its last layer.
        channels: of the maps that are decoded, fine to coarse; but for the finest, they are also
            those of what enters the up-blocks.
        condition_size: length of a text vector.
    """

    def __init__(
        self,
        whole: Any,
        ups: Sequence[str],
        last: str,
        channels: Sequence[int],
        condition_size: int,
    ) -> None:
        super().__init__()
        self.ups, self.last = tuple(ups), last
        for name in (*ups, last):
            self.add_module(name, getattr(whole, name))
        self.condition = AddedCondition(condition_size, channels[:0:-1])

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        maps = features[-1]
        added = self.condition(condition)
        for name, vector, skip in zip(self.ups, added, features[-2::-1], strict=True):
            maps = self.get_submodule(name)(steered(maps, vector), skip)
        return torch.sigmoid(self.get_submodule(self.last)(maps))
