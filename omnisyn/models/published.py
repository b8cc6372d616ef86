"""Checkpoints in the layouts of their publications, read without running anything in them.

Backbones that are cut from a library's network keep the names of its parts (`swinViT`, `encoder1`,
`decoder5`, …), so that the place of a foreign tensor is its own name in one of the two halves.
Known layouts: the state of MONAI's SwinUNETR, UNETR or BasicUNet in two dimensions; the encoder
that the method's released scripts save, which has SwinUNETR's names and no decoder; either as it
is, under `state_dict` or `model`, and with or without `module.` before every name.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from omnisyn.errors import ModelError, reason_of
from omnisyn.models.backbone import Backbone
from omnisyn.models.tensor_file import differences, parse_tensors
from omnisyn.paths import open_regular
from omnisyn.volumes.atomic import resource_error

_WRAPPINGS = ("state_dict", "model")
_PREFIX = "module."
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


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: a safetensors file, or what `torch.save` wrote.

    A pickled file is read by torch's restricted reader, which makes tensors and plain containers
    and nothing else.

    Raises:
        ModelError: it is missing, damaged, holds other things than tensors, or none.
        ResourceError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            content: Any
            if path.suffix == ".safetensors":
                content = parse_tensors(file.read(), path.name)
            else:
                content = _unpickled(file)
    except FileNotFoundError:
        raise ModelError(
            "there is no such checkpoint", where=path.name, remedy="give its path"
        ) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise ModelError(
            "the checkpoint cannot be read",
            where=path.name,
            why=reason_of(error),
            remedy="save its tensors alone, as torch.save(network.state_dict(), file)",
        ) from error
    except OSError as error:
        raise resource_error("cannot read", path, error) from error
    for wrapping in _WRAPPINGS:
        if isinstance(content, dict) and isinstance(content.get(wrapping), dict):
            content = content[wrapping]
    tensors = {
        str(name).removeprefix(_PREFIX): value
        for name, value in (content.items() if isinstance(content, dict) else ())
        if isinstance(value, torch.Tensor)
    }
    if not tensors:
        raise ModelError(
            "the checkpoint holds no tensors by name",
            where=path.name,
            remedy="save them as torch.save(network.state_dict(), file)",
        )
    return tensors


def _unpickled(file: BinaryIO) -> Any:
    with warnings.catch_warnings():
        # Of a pickle protocol that is not torch's own: it is read or refused all the same.
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


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
