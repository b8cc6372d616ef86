"""The exponential moving average of a network's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """Follows the parameters that train; everything else of the network is shared with it.

    The decay grows from 0.1 to its final value with the step, so that the random start is
    forgotten: decay(step) = min(decay, (1 + step) / (10 + step)).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._followed = {
            name: parameter
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        }
        self._average = {name: p.detach().clone() for name, p in self._followed.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step `step` (counted from 1)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._average.values()), list(self._followed.values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside the block the network has the averaged weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, parameter in self._followed.items():
            training = parameter.detach().clone()
            parameter.copy_(self._average[name])
            self._average[name].copy_(training)

    def tensors(self) -> dict[str, Tensor]:
        """The averaged parameters by name."""
        return dict(self._average)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        for name, average in self._average.items():
            average.copy_(tensors[name])
