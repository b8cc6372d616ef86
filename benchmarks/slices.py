"""One slice through both recipes' generators: operations, seconds, share of the machine's rate."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import best_seconds, matrix_rate
from benchmarks.table import Row
from omnisyn.models.generator import Generator, build_generator
from omnisyn.training.recipe import load_recipe

_SIDE = 224


def rows() -> list[Row]:
    """One source to one target at 224×224, fp32, and the ratios small : paper."""
    rate = matrix_rate()
    found = [Row("matrix product 2048³, fp32", rate / 1e9, "GFLOP/s", "this machine, this run")]
    operations: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for recipe in ("small", "paper"):
        generator = build_generator(load_recipe(recipe).model).eval()
        parameters = sum(parameter.numel() for parameter in generator.parameters())
        operations[recipe] = _operations(generator)
        seconds[recipe] = best_seconds(lambda g=generator: _slice(g), repeats=5)
        share = operations[recipe] / seconds[recipe] / rate
        found += [
            Row(f"{recipe}: parameters", parameters / 1e6, "M"),
            Row(f"{recipe}: operations a slice", operations[recipe] / 1e9, "GFLOP"),
            Row(f"{recipe}: a slice, warm", seconds[recipe], "s", "1 source, 1 target, fp32"),
            Row(f"{recipe}: share of the matrix rate", 100 * share, "%"),
        ]
    return [
        *found,
        Row("paper : small, operations", operations["paper"] / operations["small"], "ratio"),
        Row("paper : small, seconds", seconds["paper"] / seconds["small"], "ratio"),
    ]


@torch.inference_mode()
def _slice(generator: Generator) -> torch.Tensor:
    sources = torch.zeros(1, 1, _SIDE, _SIDE)
    return generator(sources, torch.ones(1, 1, dtype=torch.bool), generator.condition(["T2"]))


def _operations(generator: Generator) -> float:
    with FlopCounterMode(display=False) as counter:
        _slice(generator)
    return float(counter.get_total_flops())
