"""Which of a generator's parameters are trained, by how free its encoder is."""

from typing import Literal

import torch
from torch import Tensor, nn

from omnisyn.errors import UsageError
from omnisyn.models.arrangement import PerContrast
from omnisyn.models.generator import Generator

Freedom = Literal["frozen", "partly", "free"]


def freeze_encoder(generator: Generator, freedom: Freedom) -> None:
    """Train everything but the encoder, and of that nothing, its coarser half or all of it.

    Raises:
        UsageError: the encoder cannot be divided.
    """
    generator.requires_grad_(True)
    if freedom == "free":
        return
    if freedom == "frozen":
        generator.encoder.requires_grad_(False)
        return
    encoder = generator.encoder
    parts = encoder.networks.values() if isinstance(encoder, PerContrast) else (encoder,)
    for part in parts:
        for weight in _finer_half(part, generator.stride):
            weight.requires_grad_(False)


def _finer_half(encoder: nn.Module, stride: int) -> list[Tensor]:
    """The parameters that the finer half of the maps depends on.

    Found by following the maps back, so that it means the same for every network: what is left
    makes the coarser maps only.
    """
    weights = [*encoder.parameters()]
    was_training = encoder.training
    # Statistics of batches must not hear of the blank image.
    encoder.eval()
    with torch.enable_grad():
        image = torch.zeros(1, 1, 2 * stride, 2 * stride, device=weights[0].device)
        maps = encoder(image)
        # The first of some encoders is the image itself, which depends on no parameter.
        finer = sum(each.sum() for each in maps[: len(maps) // 2] if each.requires_grad)
        if not isinstance(finer, Tensor):
            raise UsageError(
                "this encoder has no finer half to freeze", remedy="use encoder = free or frozen"
            )
        reached = torch.autograd.grad(finer, weights, allow_unused=True)
    encoder.train(was_training)
    return [weight for weight, slope in zip(weights, reached, strict=True) if slope is not None]
