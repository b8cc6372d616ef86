"""`python -m benchmarks simulation`: what simulated slices cost, beside a step of training."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.machine import best_seconds, describe_machine
from benchmarks.table import Row, print_table
from omnisyn.models.device import choose_device
from omnisyn.models.generator import build_generator
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.label_maps import open_label_maps
from omnisyn.simulate.patient import draw_exam_plan, draw_field_of_view, scan
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.finetune import Finetuning
from omnisyn.training.recipe import Recipe, load_recipe
from omnisyn.training.run import RunOptions
from omnisyn.training.session import open_source

# As many steps as bring several new heads of each kind.
_STEPS = 160
_HEADS = 3


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks simulation", description=__doc__)
    parser.add_argument("--label-maps", type=Path, action="append", required=True)
    parser.add_argument("--device", default="cpu", help="for the slices of label maps alone")
    chosen = parser.parse_args(arguments)
    print(describe_machine())
    print_table("Simulation", rows(chosen.label_maps, chosen.device))


def rows(folders: Sequence[Path], device: str) -> list[Row]:
    """Slices a second from label maps, and the simulation's part of a training step (CPU)."""
    recipe = load_recipe("small")
    source = open_source(RunOptions(label_maps=tuple(folders)), recipe.finetune, lambda line: None)
    batch = source.batch(0)
    begun = time.perf_counter()
    for step in range(1, _STEPS + 1):
        batch = source.batch(step)
    simulation = (time.perf_counter() - begun) / _STEPS
    source.close()
    training = _step_seconds(recipe, batch)
    return [
        Row("label maps: slices of four contrasts, 224²", _slices_a_second(folders, device), "1/s"),
        Row("simulation a step of finetune", simulation, "s", source.name),
        Row("a step of finetune", training, "s", "recipe small, fp32, the slices at hand"),
        Row("simulation : step", simulation / training, "ratio", "they run side by side"),
    ]


def _slices_a_second(folders: Sequence[Path], device: str) -> float:
    chosen = choose_device(device, print)
    anatomy = open_label_maps(folders)
    profile = load_cohort("anywhere").profiles["anywhere-brain"]
    head = anatomy.draw(generator_at(0))
    slices, seconds = 0, []
    for number in range(_HEADS + 1):
        generator = generator_at(0, number)
        view = draw_field_of_view(profile, generator)
        plan = draw_exam_plan(profile, view, generator)
        begun = time.perf_counter()
        patient = scan(anatomy.build(head, view.fine, chosen), view, plan, chosen)
        # To the CPU: only then is a GPU done.
        slices += len(patient.images["T1"].cpu()) if number else 0
        seconds.append(time.perf_counter() - begun)
    # The first one reads the map.
    return slices / sum(seconds[1:])


def _step_seconds(recipe: Recipe, batch: SliceBatch) -> float:
    stage = Finetuning(build_generator(recipe.model), None, recipe.finetune, {}).train()
    parameters = [each for each in stage.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(parameters, 1e-4)

    def step() -> None:
        stage(batch, 0, torch.Generator().manual_seed(0))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return best_seconds(step, repeats=4)
