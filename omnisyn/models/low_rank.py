"""Small changes to large kernels: each is trained as a product of two thin matrices.

"LoRA" (Hu et al. 2021), for convolutions: kernel + second · first, where `first` is rank × (input
channels · rows · columns) and `second` output channels × rank. `second` starts at zero, so that
training sets out from the network as it is, and what can be learned from few patients stays small.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import parametrize


class LowRankChange(nn.Module):
    """A kernel of any shape [out, …] plus a change of limited rank."""

    def __init__(self, kernel: torch.Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        size = kernel[0].numel()
        rank = min(rank, size, len(kernel))
        first = torch.randn(rank, size, generator=generator) / math.sqrt(size)
        self.first = nn.Parameter(first)
        self.second = nn.Parameter(torch.zeros(len(kernel), rank))

    def forward(self, kernel: torch.Tensor) -> torch.Tensor:
        """The kernel as changed, of the same shape."""
        return kernel + (self.second @ self.first).view(kernel.shape)


def add_low_rank_changes(network: nn.Module, rank: int, seed: int) -> None:
    """Give the kernel of each convolution and linear layer a change that is trained in its place.

    Nothing else of the network is trained from then on: no bias, and no transposed convolution.
    """
    network.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            change = LowRankChange(module.weight, rank, generator)
            parametrize.register_parametrization(module, "weight", change)


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state of the network without changes that gives the same: kernels hold their changes."""
    changed = {
        name: module.weight.detach()
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module, "weight")
    }
    state = {}
    for name, tensor in network.state_dict().items():
        owner, found, _ = name.partition(".parametrizations.weight.")
        state[f"{owner}.weight" if found else name] = changed[owner] if found else tensor
    return state
