"""Random numbers that follow from the seed and the step, and arithmetic that repeats itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from omnisyn.studies.seeding import generator_at

# Second counters behind the seed, so that no two uses of one seed ever share numbers.
_STREAM_DRAWS = 101
_STREAM_LAYERS = 102


@contextmanager
def step_randomness(
    seed: int, step: int, process: int, device: torch.device
) -> Iterator[torch.Generator]:
    """The randomness of one step, as a pure function of the arguments.

    Gives a CPU generator for the stage's own draws. Inside the block torch's own generators,
    which layers such as dropout draw from, are seeded too; afterwards they are as they were.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        layers = generator_at(seed, _STREAM_LAYERS, step, process)
        torch.manual_seed(layers.initial_seed())
        yield generator_at(seed, _STREAM_DRAWS, step, process)


@contextmanager
def repeatable_arithmetic(device: torch.device) -> Iterator[None]:
    """On the CPU, only operations that give the same bits every time; as before afterwards.

    On other devices nothing changes: several operations have no such form there.
    """
    if device.type != "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory only finds bugs that read it; it costs time in every operation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned_only)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
