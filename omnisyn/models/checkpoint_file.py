"""Checkpoints of other programs, read without running anything in them."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch

from omnisyn.errors import ModelError, reason_of
from omnisyn.models.tensor_file import parse_tensors
from omnisyn.paths import open_regular
from omnisyn.volumes.atomic import resource_error

_WRAPPINGS = ("state_dict", "model")
_PREFIX = "module."


def read_checkpoint(path: Path, part: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name: a safetensors file, or what `torch.save` wrote.

    They may lie under `state_dict` or `model`, and may have `module.` before every name. `part`
    names the one that is wanted where several lie side by side.

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
    for wrapping in _WRAPPINGS if part is None else (part,):
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
