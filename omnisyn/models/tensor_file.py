"""Safetensors files that are written whole, and read only when they are what they should be."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import safetensors.torch
import torch
from torch import nn

from omnisyn.errors import ModelError
from omnisyn.paths import open_regular
from omnisyn.volumes.atomic import resource_error, write_bytes_atomic

Precision = Literal["float32", "float16"]

_HALF_LIMIT = torch.finfo(torch.float16).max


class FileSeal(NamedTuple):
    """What tells a file from every other one."""

    sha256: str
    size: int
    """Bytes."""


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], precision: Precision
) -> FileSeal:
    """Write `tensors` to a safetensors file, floating ones in `precision`; atomic.

    Raises:
        ModelError: a value is not finite, or too large for float16.
        ResourceError: the disk refuses.
    """
    limit = _HALF_LIMIT if precision == "float16" else float("inf")
    kind = getattr(torch, precision)
    stored = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        if value.is_floating_point():
            largest = float(value.abs().max()) if value.numel() else 0.0
            if not largest <= limit or largest == float("inf"):
                raise ModelError(
                    f"{name} cannot be stored as {precision}",
                    where=path.name,
                    why=f"its largest value is {largest:g}",
                    remedy="the training has diverged; take an earlier checkpoint",
                )
            value = value.to(kind)
        stored[name] = value.contiguous()
    content = safetensors.torch.save(stored)
    write_bytes_atomic(path, content)
    return FileSeal(hashlib.sha256(content).hexdigest(), len(content))


def read_sealed(path: Path, seal: FileSeal) -> bytes:
    """The bytes of a file whose size and hash are those of `seal`; nothing is interpreted before.

    Raises ModelError, with the difference, for a file that is missing, pickled, cut short,
    changed or no regular file; ResourceError when it cannot be read.
    """
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        raise ModelError(
            "the weights' file is missing",
            where=path.name,
            remedy="its card was found without it; copy both",
        ) from None
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENAMETOOLONG, errno.ELOOP):
            raise ModelError(
                "the weights cannot be read",
                where=path.name,
                why=error.strerror,
                remedy="give NAME.safetensors, a file, with NAME.json beside",
            ) from error
        raise resource_error("cannot read", path, error) from error
    # A zip archive or a bare pickle, as torch.save writes them. The length of a safetensors header
    # may begin with a pickle's first byte too, but then the header's brace follows it.
    bare_pickle = content[:1] == b"\x80" and content[8:9] != b"{"
    if content[:4] == b"PK\x03\x04" or bare_pickle:
        raise ModelError(
            "this is a pickled PyTorch file",
            where=path.name,
            why="opening one may run any code",
            remedy="omnisyn reads safetensors only; convert it where it comes from",
        )
    if len(content) != seal.size:
        raise ModelError(
            "the weights are cut short" if len(content) < seal.size else "the weights are too long",
            where=path.name,
            why=f"expected {seal.size} bytes, found {len(content)}",
            remedy="copy or fetch the file again",
        )
    found = hashlib.sha256(content).hexdigest()
    if found != seal.sha256:
        raise ModelError(
            "the weights are damaged or not the ones of their card",
            where=path.name,
            why=f"SHA-256 is {found[:12]}…, the card says {seal.sha256[:12]}…",
            remedy="copy or fetch file and card again",
        )
    return content


def parse_tensors(content: bytes, where: str) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file's bytes. Raises ModelError when it is none."""
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(
            "this is no safetensors file",
            where=where,
            why=str(error),
            remedy="copy or fetch it again",
        ) from error
    return tensors


def fill_module(module: nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Copy `tensors` into the module's parameters and buffers of the same names.

    Raises ModelError, with the first difference, when names or shapes are not the module's.
    """
    wrong = differences(module.state_dict(), tensors)
    if wrong:
        raise ModelError(
            "the weights belong to another model",
            where=where,
            why=wrong,
            remedy="use the weights with the card they were saved with",
        )
    module.load_state_dict(dict(tensors))


def differences(own: Mapping[str, torch.Tensor], told: Mapping[str, torch.Tensor]) -> str:
    """How tensors differ from a model's own by name and shape, the first of each kind; or empty."""
    missing = sorted(own.keys() - told.keys())
    surplus = sorted(told.keys() - own.keys())
    reshaped = [name for name in own if name in told and own[name].shape != told[name].shape]
    found = []
    if missing:
        found.append(f"{len(missing)} tensors are missing, first {missing[0]}")
    if surplus:
        found.append(f"{len(surplus)} are not the model's, first {surplus[0]}")
    if reshaped:
        first = reshaped[0]
        found.append(
            f"{len(reshaped)} have another shape, first {first}: "
            f"{list(told[first].shape)} for {list(own[first].shape)}"
        )
    return "; ".join(found)
