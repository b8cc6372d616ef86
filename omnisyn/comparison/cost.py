"""What an arm costs: parameters, floating-point operations, time a slice, memory of training.

Operations are counted as torch's `FlopCounterMode` does: of convolutions, matrix products and
attention, a multiplication and an addition each. They depend on no machine, and so does what is
called equal compute.
"""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from omnisyn.comparison.results import Cost
from omnisyn.contrasts import NAMES
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.slices import SliceBatch, unknown_acquisition
from omnisyn.training.recipe import Recipe, Stage
from omnisyn.training.stage import TrainingStage
from omnisyn.training.unstarted import unstarted_stage

SLICE_SIZE = (256, 256)
_TIMED, _TRAINED = 5, 2
_COUNTED = 2
_MIB = 2.0**20
_STATUS = Path("/proc/self/status")


def measure_cost(recipe: Recipe, device: str) -> Cost:
    """Measure an arm in a process of its own, so that its memory is its own.

    Args:
        recipe: of the arm.
        device: cpu, cuda:N or mps.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(measure_in_this_process, recipe, device).result()


def measure_in_this_process(recipe: Recipe, device: str) -> Cost:
    """The same; its memory is then what it takes beyond anything before."""
    place = torch.device(device)
    stage = unstarted_stage(recipe, "finetune").to(place)
    generator = build_generator(recipe.model).to(place).eval()
    with torch.inference_mode():
        slice_operations = counted(lambda: _one_slice(generator, place))
        seconds = [_timed(generator, place) for _ in range(_TIMED + 1)][1:]
    memory = _memory_of_training(stage, recipe, place)
    return Cost(
        parameters=sum(weight.numel() for weight in generator.parameters()),
        training_operations=operations_of_step(recipe, "finetune"),
        slice_operations=slice_operations,
        slice_seconds=median(seconds),
        training_memory_mib=memory,
        device=_described(place),
        slice_size=SLICE_SIZE,
    )


def operations_of_step(recipe: Recipe, stage: Stage) -> float:
    """Floating-point operations of one optimizer step of a stage, forward and backward.

    Of slices in all contrasts that the model knows; where two towers are trained one after the
    other, of a step that looks at slices. Counted on few slices and multiplied: a full batch of a
    published network would not fit into every memory.
    """
    size = recipe.stage(stage).batch_size
    few = recipe.stage(stage).model_copy(update={"batch_size": _COUNTED})
    small = recipe.model_copy(update={stage: few})
    built = unstarted_stage(small, stage)
    return counted(lambda: _step(built, small, torch.device("cpu"))) * size / _COUNTED


def counted(run: Callable[[], Any]) -> float:
    """Floating-point operations of a call."""
    # Attention in one kernel is not counted on a CPU; as matrix products it is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def _step(stage: TrainingStage, recipe: Recipe, place: torch.device) -> None:
    settings = stage.settings
    shape = (settings.batch_size, len(NAMES))
    present = torch.tensor([name in recipe.model.contrasts for name in NAMES]).expand(shape)
    draws = torch.Generator().manual_seed(0)
    batch = SliceBatch(
        images=torch.rand(*shape, settings.crop, settings.crop, generator=draws),
        present=present,
        fat_suppressed=torch.zeros(shape, dtype=torch.bool),
        patients=("nobody",) * settings.batch_size,
        pixel_mm=torch.ones(settings.batch_size),
        acquisition=unknown_acquisition(settings.batch_size),
    ).to(place)
    # The step after the last but one: with two towers, that of the second.
    stage.train()(batch, settings.steps - 1, draws)["loss"].backward()


def _one_slice(generator: Generator, place: torch.device) -> None:
    image = torch.rand(1, 1, *SLICE_SIZE, device=place)
    source, target = generator.settings.contrasts[:2]
    shown = torch.tensor([NAMES.index(source)], device=place)
    present = torch.ones(1, 1, dtype=torch.bool, device=place)
    generator(image, present, generator.condition([target]), shown)


def _timed(generator: Generator, place: torch.device) -> float:
    start = time.perf_counter()
    _one_slice(generator, place)
    if place.type == "cuda":
        torch.cuda.synchronize(place)
    return time.perf_counter() - start


def _memory_of_training(stage: TrainingStage, recipe: Recipe, place: torch.device) -> float:
    """MiB that a step takes beyond what is there before the first: gradients, maps, the
    optimizer's state. On a CPU the growth of the process's largest size."""
    optimizer = torch.optim.AdamW([p for p in stage.parameters() if p.requires_grad])
    if place.type == "cuda":
        torch.cuda.reset_peak_memory_stats(place)
    before = _largest_size(place)
    for _ in range(_TRAINED):
        _step(stage, recipe, place)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    after = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else _largest_size(place)
    return (after - before) / _MIB if before else math.nan


def _largest_size(place: torch.device) -> float:
    if place.type == "cuda":
        return float(torch.cuda.memory_allocated(place))
    if place.type != "cpu" or sys.platform == "win32":
        return 0.0
    if _STATUS.exists():
        # Linux: what getrusage gives begins at the size of the process that started this one.
        (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        return float(peak) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(largest * (1 if sys.platform == "darwin" else 1024))


def _described(place: torch.device) -> str:
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"{place.type}, {torch.get_num_threads()} threads" if place.type == "cpu" else place.type
