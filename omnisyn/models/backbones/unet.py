"""`unet`: MONAI's BasicUNet cut into encoder and decoder.

"U-Net", Ronneberger et al. 2015, with instance normalisation; width 64 is MONAI's own. The target's
text vector is projected and added to what enters each of the four up-blocks, and a sigmoid ends
the decoder, where BasicUNet knows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.conditioning import AddedCondition, steered

_FACTORS = (1, 2, 4, 8, 8)


class UnetEncoder(nn.Module):
    """BasicUNet's first convolutions and its four steps down."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.conv_0 = whole.conv_0
        self.down_1 = whole.down_1
        self.down_2 = whole.down_2
        self.down_3 = whole.down_3
        self.down_4 = whole.down_4

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """[n, 1, rows, columns], multiples of 16, to five maps, fine to coarse."""
        features = [self.conv_0(images)]
        for down in (self.down_1, self.down_2, self.down_3, self.down_4):
            features.append(down(features[-1]))
        return features


class UnetDecoder(nn.Module):
    """BasicUNet's four steps up, the text vector added before each, and a sigmoid at the end."""

    def __init__(self, whole: Any, channels: Sequence[int], condition_size: int) -> None:
        super().__init__()
        self.upcat_4 = whole.upcat_4
        self.upcat_3 = whole.upcat_3
        self.upcat_2 = whole.upcat_2
        self.upcat_1 = whole.upcat_1
        self.final_conv = whole.final_conv
        self.condition = AddedCondition(condition_size, channels[:0:-1])

    def forward(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """[n, 1, rows, columns] in (0, 1)."""
        ups = (self.upcat_4, self.upcat_3, self.upcat_2, self.upcat_1)
        maps = features[-1]
        added = self.condition(condition)
        for up, vector, skip in zip(ups, added, features[-2::-1], strict=True):
            maps = up(steered(maps, vector), skip)
        return torch.sigmoid(self.final_conv(maps))


@register_backbone("unet")
class Unet(Backbone):
    """Five maps at 1 … 1/16 of the resolution, width × (1, 2, 4, 8, 8) channels."""

    stride: ClassVar[int] = 16
    published_width: ClassVar[int] = 64

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        # MONAI takes seconds to import; only who builds this backbone waits for it.
        from monai.networks.nets import BasicUNet

        self.channels = tuple(settings.width * factor for factor in _FACTORS)
        whole = BasicUNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            features=(*self.channels, settings.width),
        )
        self.encoder = UnetEncoder(whole)
        self.decoder = UnetDecoder(whole, self.channels, settings.condition_size)
