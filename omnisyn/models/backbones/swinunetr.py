"""`swinunetr`: the published backbone, MONAI's SwinUNETR cut into encoder and decoder.

Recipe `paper`: width 48, depths 2-2-2-2, heads 3-6-12-24, window 7, patch 2. Six maps: 48 at full
resolution, then 48, 96, 192, 384 and 768 at 1/2 … 1/32. MONAI leaves out its block at 1/16, where
the Swin stage's own map is the skip. The target's text vector is projected and added at five
depths: to what enters each of the five up-blocks.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.monai_decoder import MonaiDecoder

_UPS = ("decoder5", "decoder4", "decoder3", "decoder2", "decoder1")


class SwinEncoder(nn.Module):
    """MONAI's Swin transformer and the convolution blocks on its skips."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.swinViT = whole.swinViT
        self.encoder1 = whole.encoder1
        self.encoder2 = whole.encoder2
        self.encoder3 = whole.encoder3
        self.encoder4 = whole.encoder4
        self.encoder10 = whole.encoder10
        self.normalize: bool = bool(whole.normalize)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """[n, 1, rows, columns], multiples of 32, to six maps, fine to coarse."""
        hidden = self.swinViT(images, self.normalize)
        return [
            self.encoder1(images),
            self.encoder2(hidden[0]),
            self.encoder3(hidden[1]),
            self.encoder4(hidden[2]),
            hidden[3],
            self.encoder10(hidden[4]),
        ]


@register_backbone("swinunetr")
class SwinUnetr(Backbone):
    """Six maps at 1 … 1/32 of the resolution, width × (1, 1, 2, 4, 8, 16) channels."""

    stride: ClassVar[int] = 32
    published_width: ClassVar[int] = 48
    width_step: ClassVar[int] = 12
    version_2: ClassVar[bool] = False
    """Whether a residual convolution block stands before each Swin stage."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        # MONAI takes seconds to import; only who builds this backbone waits for it.
        from monai.networks.nets import SwinUNETR

        whole = SwinUNETR(
            in_channels=1,
            out_channels=1,
            spatial_dims=2,
            feature_size=settings.width,
            use_v2=self.version_2,
        )
        self.channels = tuple(settings.width * factor for factor in (1, 1, 2, 4, 8, 16))
        self.encoder = SwinEncoder(whole)
        self.decoder = MonaiDecoder(whole, _UPS, "out", self.channels, settings.condition_size)
