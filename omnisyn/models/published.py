"""Checkpoints of generators in the layouts of their publications.

Backbones that are cut from a library's network keep the names of its parts (`swinViT`, `encoder1`,
`decoder5`, …), so that the place of a foreign tensor is its own name in one of the two halves.
Known layouts: the state of MONAI's SwinUNETR, UNETR or BasicUNet in two dimensions; the encoder
that the method's released scripts save, which has SwinUNETR's names and no decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from omnisyn.errors import ModelError
from omnisyn.models.backbone import Backbone
from omnisyn.models.tensor_file import differences

# Parts that MONAI makes and its networks never use.
_NEVER_USED = ("norm_cross_attn.",)


class Filled(NamedTuple):
    """What a checkpoint gave to a backbone.

    Attributes:
        halves: `encoder`, and `decoder` where that fitted, too.
        left: why the decoder stays as it was, else empty.
    """

    halves: tuple[str, ...]
    left: str


def fill_backbone(backbone: Backbone, tensors: Mapping[str, torch.Tensor], where: str) -> Filled:
    """Copy published tensors into a backbone: all of its encoder, and its decoder if that fits.

    The layers through which the target steers are in no publication and stay as they are.

    Raises:
        ModelError: the encoder's names or shapes are others; with the difference.
    """
    own = {
        half: {
            name: tensor
            for name, tensor in getattr(backbone, half).state_dict().items()
            if not name.startswith("condition.")
        }
        for half in ("encoder", "decoder")
    }
    told = {
        name: tensor
        for name, tensor in tensors.items()
        if not any(part in name for part in _NEVER_USED)
    }
    of_decoder = {name: tensor for name, tensor in told.items() if name in own["decoder"]}
    of_encoder = {name: tensor for name, tensor in told.items() if name not in of_decoder}
    wrong = differences(own["encoder"], of_encoder)
    if wrong:
        raise ModelError(
            "the checkpoint belongs to another network",
            where=where,
            why=wrong,
            remedy="choose a recipe of the backbone and width that it was trained with",
        )
    backbone.encoder.load_state_dict(of_encoder)
    if not of_decoder:
        return Filled(("encoder",), "the checkpoint has none")
    wrong = differences(own["decoder"], of_decoder)
    if wrong:
        return Filled(("encoder",), wrong)
    backbone.decoder.load_state_dict(of_decoder, strict=False)
    return Filled(("encoder", "decoder"), "")
