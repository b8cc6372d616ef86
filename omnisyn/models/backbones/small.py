"""`small`: our default backbone, fully convolutional, made for two CPU cores.

A residual U-Net of six levels. Plain dense 3×3 convolutions throughout, because depthwise ones
are bound by memory on a CPU; the full-resolution level is thin and has no residual block in the
encoder, because that is where the time goes. No normalisation: residual branches that start at
zero train without it (in a single trial of 200 steps, to a lower loss than with each position
normalised over its channels). Without statistics over the image a result does not depend on how
much air surrounds the head, so that crops in training and whole slices in use are the same task.
The price is a limit on the learning rate: 1e-3 with warm-up trains well, 3e-3 was seen to fail.

Most of a contrast is a curve over another one's grey values that changes slowly over the head. So
the finest map holds, beside learned features, the source's grey value as weights of a few knots,
and the decoder ends in their sum with coefficients from half the resolution: a curve of its own at
every place ("HDRNet", Gharbi et al. 2017, has affine maps there). What no curve can do is added.
Folds of the cortex then stay as sharp as the source shows them, after few steps of training. The
knots are there twice, in channels of their own heads of the fusion: of two sources each can then
bring its grey values, where one set would hold a mean that no curve can take apart again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.conditioning import Modulation

# Grey values, evenly from 0 to 1, between which the curves are linear; and sets of them.
_KNOTS, _SETS = 8, 2
# Multiples of the width per level, and residual blocks per level in encoder and decoder.
_CHANNEL_FACTORS = (1, 2, 4, 8, 12, 16)
_ENCODER_BLOCKS = (0, 1, 1, 1, 2, 2)
_DECODER_BLOCKS = (1, 1, 1, 1, 2)


class ResidualBlock(nn.Module):
    """x + conv(relu(scale · conv(x) + shift)); the branch starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        for start_at_zero in self.second.parameters():
            nn.init.zeros_(start_at_zero)

    def forward(
        self, maps: torch.Tensor, modulation: tuple[torch.Tensor, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """[n, c, rows, columns]; modulation = scale and shift, each [n, c, 1, 1]."""
        branch = self.first(maps)
        if modulation is not None:
            scale, shift = modulation
            branch = torch.addcmul(shift, branch, scale)
        result: torch.Tensor = maps + self.second(functional.relu(branch))
        return result


class GlobalContext(nn.Module):
    """Adds to every position what an attention-weighted look at the whole map says.

    The attention can leave air out, so that the result does not hang on the field of view. After
    "GCNet" (Cao et al. 2019), with the transform reduced to one linear layer that starts at zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv2d(channels, 1, 1)
        self.transform = nn.Linear(channels, channels)
        nn.init.zeros_(self.transform.weight)
        nn.init.zeros_(self.transform.bias)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, rows, columns] to the same."""
        weights = torch.softmax(self.attention(maps).flatten(1), dim=1)
        summary = torch.einsum("ncp,np->nc", maps.flatten(2), weights)
        result: torch.Tensor = maps + self.transform(summary)[:, :, None, None]
        return result


def knot_weights(images: torch.Tensor) -> torch.Tensor:
    """Grey values [n, 1, …] in [0, 1] as weights [n, knots, …] of the knots next to them.

    At most two of a pixel's weights are above zero, and all sum to one.
    """
    knots = torch.arange(_KNOTS, device=images.device, dtype=images.dtype).view(1, -1, 1, 1)
    return (1 - (images.clamp(0, 1) * (_KNOTS - 1) - knots).abs()).clamp_min(0)


class SmallEncoder(nn.Module):
    """[n, 1, rows, columns] to six maps at 1, 1/2, … 1/32 of the resolution.

    The finest holds the sets of knots' weights after its other channels.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels[0], 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(channels)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(channels[level]) for _ in range(_ENCODER_BLOCKS[level])))
            for level in range(1, len(channels))
        )
        self.context = GlobalContext(channels[-1])

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps, fine to coarse."""
        maps = functional.relu(self.stem(images))
        knots = knot_weights(images).contiguous(memory_format=torch.channels_last)
        features = [torch.cat([maps, *[knots] * _SETS], dim=1)]
        for down, blocks in zip(self.downs, self.blocks, strict=True):
            maps = blocks(down(maps))
            features.append(maps)
        features[-1] = self.context(features[-1])
        return features


class SmallDecoder(nn.Module):
    """Fused maps and text vector to the target's image, coarse to fine, steered at five depths."""

    def __init__(self, channels: Sequence[int], condition_size: int) -> None:
        super().__init__()
        levels = range(len(channels) - 1)
        skipped = (channels[0] + _SETS * _KNOTS, *channels[1:-1])
        self.modulation = Modulation(condition_size, channels[:-1])
        self.ups = nn.ModuleList(nn.Conv2d(channels[i + 1], channels[i], 1) for i in levels)
        self.skips = nn.ModuleList(nn.Conv2d(skipped[i], channels[i], 1) for i in levels)
        self.blocks = nn.ModuleDict(
            {
                f"{level}_{number}": ResidualBlock(channels[level])
                for level in levels
                for number in range(_DECODER_BLOCKS[level])
            }
        )
        self.last = nn.Conv2d(channels[0], 1, 3, padding=1)
        self.coefficients = nn.Conv2d(channels[1], skipped[0], 1)
        with torch.no_grad():
            # An image as bright as most heads' mean, to be filled in.
            self.last.weight.mul_(0.1)
            self.last.bias.fill_(0.2)  # type: ignore[union-attr]
            for start_at_zero in self.coefficients.parameters():
                start_at_zero.zero_()

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in [0, 1]."""
        modulations = self.modulation(condition)
        maps = features[-1]
        for level in reversed(range(len(self.ups))):
            # Channels are reduced before the enlargement: four times fewer operations.
            raised = functional.interpolate(
                self.ups[level](maps), scale_factor=2, mode="bilinear", align_corners=False
            )
            maps = raised + self.skips[level](features[level])
            for number in range(_DECODER_BLOCKS[level]):
                maps = self.blocks[f"{level}_{number}"](maps, modulations[level])
            if level == 1:
                coefficients = functional.interpolate(
                    self.coefficients(maps), scale_factor=2, mode="bilinear", align_corners=False
                )
        curves = (coefficients * features[0]).sum(dim=1, keepdim=True)
        return bounded(self.last(functional.relu(maps)) + curves)


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        (values,) = context.saved_tensors
        further_out = ((values < 0) & (gradient > 0)) | ((values > 1) & (gradient < 0))
        return gradient.masked_fill(further_out, 0)


def bounded(values: torch.Tensor) -> torch.Tensor:
    """Clamp to [0, 1] whose gradient still pulls back a value that strayed out of range.

    Air becomes exactly 0 and the grey scale stays linear up to 1; a sigmoid gives neither. A
    gradient that would push a value further out is dropped.
    """
    result: torch.Tensor = _Bounded.apply(values)  # type: ignore[no-untyped-call]
    return result


@register_backbone("small")
class Small(Backbone):
    """Six maps at 1 … 1/32 of the resolution, width × (1, 2, 4, 8, 12, 16) channels; the finest
    has a channel more for each knot of the curves, twice."""

    stride: ClassVar[int] = 32
    published_width: ClassVar[int] = 16

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        channels = tuple(settings.width * factor for factor in _CHANNEL_FACTORS)
        self.channels = (channels[0] + _SETS * _KNOTS, *channels[1:])
        self.encoder = SmallEncoder(channels)
        self.decoder = SmallDecoder(channels, settings.condition_size)
        for parameter in self.parameters():
            if parameter.dim() == 4:
                parameter.data = _channels_last(parameter.data)


def _channels_last(kernel: torch.Tensor) -> torch.Tensor:
    """The kernel with its channels innermost in memory, so that the maps get that layout too.

    Convolutions then run without reordering their operands (a fifth faster on two cores). Spelled
    out in strides, because torch leaves a kernel of a single input channel as it is.
    """
    _, channels, rows, columns = kernel.shape
    strides = (rows * columns * channels, 1, columns * channels, channels)
    return kernel.contiguous(memory_format=torch.channels_last).as_strided(kernel.shape, strides)
