"""A tiny source of slices for the tests of the training, and a program that trains on it.

python stand_in.py STAGE RUN_FOLDER [PAUSE]     PAUSE: seconds that every batch takes longer
"""

import sys
import time
from pathlib import Path

import torch

from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch, unknown_acquisition
from omnisyn.training.align import align
from omnisyn.training.finetune import finetune
from omnisyn.training.pretrain import pretrain
from omnisyn.training.run import RunOptions, RunResult

RECIPE = Path(__file__).with_name("tiny.toml")
STAGES = {"pretrain": pretrain, "align": align, "finetune": finetune}


class Discs:
    """Heads that are discs with a core whose grey value is the contrast's own."""

    name = "discs"
    simulated = True
    credits = ()

    def __init__(self, pause: float = 0.0, patients: int = 2) -> None:
        self._pause = pause
        self._patients = patients

    def batch(self, step: int) -> SliceBatch:
        time.sleep(self._pause)
        return discs(generator_at(7, step), 3, 32, "training")

    def validation(self) -> tuple[SliceBatch, ...]:
        return tuple(
            discs(generator_at(8, number), 2, 40, f"patient{number}")
            for number in range(self._patients)
        )

    def close(self) -> None:
        """Nothing is in the making."""


def discs(generator: torch.Generator, count: int, size: int, patient: str) -> SliceBatch:
    """`count` slices with the contrasts T1, T1c, T2 and FLAIR; the first T2 is fat-suppressed."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centres = size / 2 + torch.randn(count, 2, 1, 1, generator=generator)
    radii = size * 0.3 + 3 * torch.rand(count, 1, 1, generator=generator)
    distance = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2).sqrt()
    head, core = (distance < radii).float(), (distance < radii / 2).float()
    images = torch.stack([0.3 * head + 0.15 * number * core for number in range(6)], dim=1)
    present = torch.ones(count, 6, dtype=torch.bool)
    present[:, 4:] = False
    suppressed = torch.zeros(count, 6, dtype=torch.bool)
    suppressed[0, 2] = True
    images = images * present[:, :, None, None]
    patients = (f"sim-discs/{patient}",) * count
    return SliceBatch(
        images, present, suppressed, patients, torch.ones(count), unknown_acquisition(count)
    )


def train(stage: str, out: Path, pause: float = 0.0, **options: object) -> RunResult:
    """Run a stage on the discs with the tiny recipe."""
    chosen = RunOptions(recipe=RECIPE, out=out, device="cpu", **options)  # type: ignore[arg-type]
    return STAGES[stage](chosen, source=Discs(pause))


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) > 3 else 0.0)
