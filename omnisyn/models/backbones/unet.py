"""`unet`: MONAI's BasicUNet cut into encoder and decoder.

"U-Net", Ronneberger et al. 2015, with instance normalisation; width 64 is MONAI's own. The target's
text vector is projected and added to what enters each of the four up-blocks, and a sigmoid ends
the decoder, where BasicUNet knows neither.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.monai_decoder import MonaiDecoder

_FACTORS = (1, 2, 4, 8, 8)

_UPS = ("upcat_4", "upcat_3", "upcat_2", "upcat_1")


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
        self.decoder = MonaiDecoder(
            whole, _UPS, "final_conv", self.channels, settings.condition_size
        )
