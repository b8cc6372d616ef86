"""`unetr`: MONAI's UNETR, a plain transformer with a convolutional decoder, cut into both halves.

"UNETR", Hatamizadeh et al. 2022, in 2D; published width 16 (768 numbers a token, 12 layers). The
position embedding is interpolated to the size of the image. The target's text vector is projected
and added to what enters each of the four up-blocks, and a sigmoid ends the decoder.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from omnisyn.models.backbone import Backbone, ModelSettings, register_backbone
from omnisyn.models.backbones.monai_decoder import MonaiDecoder
from omnisyn.models.backbones.positions import PUBLISHED_IMAGE, at_size, maps_of, tokens_of

_TOKEN_FACTOR, _HEADS = 48, 12
_SIDE = PUBLISHED_IMAGE // 16
# Layers of the transformer whose tokens become a skip.
_TAPPED = (3, 6, 9)
_UPS = ("decoder5", "decoder4", "decoder3", "decoder2")


class UnetrEncoder(nn.Module):
    """MONAI's vision transformer and the convolution blocks on its skips."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.vit = whole.vit
        for block in self.vit.blocks:
            # MONAI makes it for a second kind of attention, which UNETR has not: a parameter that
            # never learns stops training on several devices.
            block.norm_cross_attn = nn.Identity()
        self.encoder1 = whole.encoder1
        self.encoder2 = whole.encoder2
        self.encoder3 = whole.encoder3
        self.encoder4 = whole.encoder4

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """[n, 1, rows, columns], multiples of 16, to five maps, fine to coarse."""
        embedding = self.vit.patch_embedding
        maps = embedding.patch_embeddings(images)
        rows, columns = maps.shape[-2:]
        positions = at_size(maps_of(embedding.position_embeddings, _SIDE, _SIDE), rows, columns)
        tokens = tokens_of(maps + positions)
        tapped = []
        for number, block in enumerate(self.vit.blocks):
            tokens = block(tokens)
            if number in _TAPPED:
                tapped.append(maps_of(tokens, rows, columns))
        skips = (self.encoder2, self.encoder3, self.encoder4)
        return [
            self.encoder1(images),
            *(skip(maps) for skip, maps in zip(skips, tapped, strict=True)),
            maps_of(self.vit.norm(tokens), rows, columns),
        ]


@register_backbone("unetr")
class Unetr(Backbone):
    """Five maps at 1 … 1/16 of the resolution, width × (1, 2, 4, 8, 48) channels."""

    stride: ClassVar[int] = 16
    published_width: ClassVar[int] = 16

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        # MONAI takes seconds to import; only who builds this backbone waits for it.
        from monai.networks.nets import UNETR

        tokens = settings.width * _TOKEN_FACTOR
        whole = UNETR(
            in_channels=1,
            out_channels=1,
            img_size=PUBLISHED_IMAGE,
            feature_size=settings.width,
            hidden_size=tokens,
            mlp_dim=4 * tokens,
            num_heads=_HEADS,
            spatial_dims=2,
        )
        self.channels = (*(settings.width * factor for factor in (1, 2, 4, 8)), tokens)
        self.encoder = UnetrEncoder(whole)
        self.decoder = MonaiDecoder(whole, _UPS, "out", self.channels, settings.condition_size)
