"""What a stage is to the loop: losses of a batch, figures of a validation patient, a product."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import RunCard
from omnisyn.training.recipe import OptimizerSettings, Stage, StageSettings

Row = dict[str, str | float]


@dataclass(frozen=True)
class Validation:
    """The figures of all validation patients.

    Attributes:
        score: what the best checkpoint is selected on; larger is better.
        figures: named numbers for the log and the product's card.
        table: a table to print, or nothing.
    """

    score: float
    figures: Mapping[str, float] = field(default_factory=dict)
    table: str = ""


class TrainingStage(nn.Module, ABC):
    """One of the three stages. As a module it maps a batch to its losses, so that the loop can
    wrap it for any number of devices."""

    stage: Stage
    settings: StageSettings
    before: Mapping[str, object]
    """By stage, the cards of what this one started from."""

    @property
    @abstractmethod
    def network(self) -> nn.Module:
        """The network that is checkpointed, averaged and exported."""

    @property
    def companion(self) -> nn.Module | None:
        """What is trained beside the network, checkpointed, and not handed on; None: nothing."""
        return None

    @abstractmethod
    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch: `loss`, which is minimized, and its named parts.

        Args:
            batch: the slices, or None where `uses_slices(step)` is false.
            step: steps done before this one.
            draws: a CPU generator for whatever the stage draws in this step.
        """

    @abstractmethod
    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """The figures of one validation patient, one row per direction, contrast or patient."""

    @abstractmethod
    def summarize(self, rows: Sequence[Row]) -> Validation:
        """The figures of all patients from the rows of each."""

    @abstractmethod
    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product into `folder`, which exists and is empty; `table` is the table of the
        exported weights' validation."""

    def uses_slices(self, step: int) -> bool:
        """Whether step `step` looks at images at all."""
        return True

    def learning_rate(self, step: int) -> float:
        """The learning rate of step `step` (counted from 0)."""
        return scheduled_rate(self.settings.optimizer, step, self.settings.steps)


def scheduled_rate(settings: OptimizerSettings, step: int, steps: int) -> float:
    """Linear warmup, then half a cosine down to the final rate at `steps` (or constant)."""
    peak, last = settings.learning_rate, settings.final_learning_rate
    if step < settings.warmup_steps:
        return peak * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return peak
    done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return last + (peak - last) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return sum(values) / len(values) if values else math.nan
