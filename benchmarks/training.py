"""Steps a second of each training stage, for both recipes, on slices that cost nothing to make."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.table import Row
from omnisyn.contrasts import NAMES
from omnisyn.studies.slices import SliceBatch, unknown_acquisition
from omnisyn.training.align import align
from omnisyn.training.finetune import finetune
from omnisyn.training.pretrain import pretrain
from omnisyn.training.run import RunOptions

_STEPS = 5
_SLICES = 2
_SIDE = 224
_CONTRASTS = 3
_STAGES = {"pretrain": pretrain, "align": align, "finetune": finetune}


class TimedSlices:
    """Random slices of T1, T1c and T2 that remember when each batch was asked for.

    The loop asks for the batch of the next step when a step begins, so the times between two
    requests are those of whole steps.
    """

    name = "random slices for a benchmark"
    simulated = True
    credits = ()

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self.times: list[float] = []

    def batch(self, step: int) -> SliceBatch:
        """The same slices at every step."""
        self.times.append(time.perf_counter())
        return self._slices(self.slices)

    def validation(self) -> Sequence[SliceBatch]:
        """One patient of one slice: a run needs one to select its weights on."""
        return (self._slices(1),)

    def close(self) -> None:
        """Nothing is in the making."""

    @property
    def seconds_a_step(self) -> float:
        """The shortest step; the first one, which builds the optimizer's state, is left out."""
        return min(b - a for a, b in zip(self.times[1:-1], self.times[2:], strict=True))

    def _slices(self, count: int) -> SliceBatch:
        images = torch.zeros(count, len(NAMES), _SIDE, _SIDE)
        generator = torch.Generator().manual_seed(0)
        shape = (count, _CONTRASTS, _SIDE, _SIDE)
        images[:, :_CONTRASTS] = torch.rand(shape, generator=generator)
        present = torch.zeros(count, len(NAMES), dtype=torch.bool)
        present[:, :_CONTRASTS] = True
        suppressed, patients = torch.zeros_like(present), ("benchmark/random",) * count
        unknown = unknown_acquisition(count)
        return SliceBatch(images, present, suppressed, patients, torch.ones(count), unknown)


def rows() -> list[Row]:
    """Every stage of `small` and `paper` on batches of two slices of three contrasts, fp32."""
    found = []
    for recipe in ("small", "paper"):
        with tempfile.TemporaryDirectory() as folder:
            before: list[str] = []
            for stage, train in _STAGES.items():
                source = TimedSlices(_SLICES)
                options = RunOptions(
                    recipe=recipe,
                    out=Path(folder) / stage,
                    init=tuple(before) if stage == "finetune" else (),
                    max_steps=_STEPS,
                    resume="never",
                    device="cpu",
                    objective="contrastive" if stage == "align" else None,
                )
                train(options, source, lambda line: None)
                before.append(str(options.out))
                found.append(
                    Row(
                        f"{recipe}: {stage}",
                        1 / source.seconds_a_step,
                        "steps/s",
                        f"{_SLICES} slices × {_CONTRASTS} contrasts of {_SIDE}²",
                    )
                )
    return found
