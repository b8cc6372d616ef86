"""The machine, commands and calls that are timed on it, and its rate of matrix products."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import torch

Call = Callable[[], object]
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


def run_omnisyn(*arguments: str | os.PathLike[str]) -> None:
    """The command in a process of its own, as a user calls it; what it prints is not shown."""
    subprocess.run([sys.executable, "-m", "omnisyn", *arguments], check=True, capture_output=True)


def best_seconds(call: Call, repeats: int) -> float:
    """The shortest of several runs: the one that was disturbed least. The first is not counted."""
    return best_seconds_of_each({"call": call}, repeats)["call"]


def best_seconds_of_each(calls: Mapping[str, Call], repeats: int) -> dict[str, float]:
    """`best_seconds` of calls that take turns, so that what disturbs one disturbs them all."""
    durations: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_number:
                durations[name].append(time.perf_counter() - start)
    return {name: min(found) for name, found in durations.items()}


@torch.inference_mode()
def matrix_rate() -> float:
    """Operations a second (a multiply and an add are two) of a large fp32 matrix product.

    The faster of two ways, as a product and as a 1×1 convolution: torch has a library for each, and
    the one for products does not use every processor fully, so that convolutions would exceed it.
    """
    left, right = torch.rand(_SIDE, _SIDE), torch.rand(_SIDE, _SIDE)
    maps = left.T.reshape(1, _SIDE, 1, _SIDE).contiguous(memory_format=torch.channels_last)
    kernel = right.T.reshape(_SIDE, _SIDE, 1, 1)
    ways = (lambda: left @ right, lambda: torch.conv2d(maps, kernel))
    return 2 * _SIDE**3 / min(best_seconds(way, repeats=8) for way in ways)
