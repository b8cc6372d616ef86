"""The device and the number type that networks run in, by the names a user gives."""

from __future__ import annotations

import torch

from omnisyn.errors import UsageError
from omnisyn.listeners import Note

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str, note: Note) -> torch.device:
    """The device `name` (auto, cpu, cuda, cuda:N, mps) stands for.

    Only `auto` may settle for the CPU, and tells `note` so; a device that was asked for by name
    and is not there is an error.

    Raises:
        UsageError: no such device, or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        note("device auto: no GPU was found, running on the CPU")
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise UsageError(f"unknown device '{name}'", remedy="use auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise UsageError(
                f"device '{name}' is not on this machine",
                why=f"PyTorch {torch.__version__} sees {count} CUDA devices",
                remedy="use --device auto or cpu",
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' is not on this machine", remedy="use --device auto or cpu")
    return torch.device(name)


def choose_precision(name: str) -> torch.dtype:
    """The number type that the network computes in; its output is float32 in any case.

    Raises:
        UsageError: no such type.
    """
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision '{name}'", remedy=f"use {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
