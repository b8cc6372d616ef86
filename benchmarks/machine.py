"""The machine and its measured rate of matrix products, against which the networks are held."""

import os
import platform
import time
from importlib.metadata import version

import torch

_SIDE = 2048
_PACKAGES = ("omnisyn", "torch", "monai", "numpy")


def describe_machine() -> str:
    """Processor, cores, system and versions in one paragraph."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{device}, {platform.system()}, Python {platform.python_version()}, {versions}"
    )


def best_seconds(call, repeats: int) -> float:
    """The shortest of several runs: the one that was disturbed least. The first is not counted."""
    call()
    durations = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return min(durations)


def matrix_rate() -> float:
    """Operations a second (a multiply and an add are two) of a large fp32 matrix product."""
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    return 2 * _SIDE**3 / best_seconds(lambda: left @ right, repeats=8)
