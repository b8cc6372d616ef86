"""Stage 1: one contrast-invariant encoder, by feature alignment and InfoNCE."""

from collections.abc import Sequence

import torch
from torch import Tensor

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.listeners import Note
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.slices import SliceBatch, SliceSource
from omnisyn.training.artefacts import read_encoder, read_weights
from omnisyn.training.encoder_stage import VALIDATION_IMAGES, EncoderStage, present_images
from omnisyn.training.masked_pretrain import MaskedPretraining
from omnisyn.training.objectives import feature_alignment, info_nce, retrieval_accuracy
from omnisyn.training.recipe import PretrainSettings, Recipe
from omnisyn.training.run import (
    RunOptions,
    RunResult,
    named_runs,
    named_weights,
    say_to_stderr,
)
from omnisyn.training.session import Beginning, run_stage
from omnisyn.training.stage import Row


def pretrain(
    options: RunOptions | None = None,
    source: SliceSource | None = None,
    say: Note = say_to_stderr,
) -> RunResult:
    """Train the encoder; `final/` then holds it.

    Args:
        options: of the run; none = the recipe `small` on the embedded simulation.
        source: of the slices; None = what the options name.
        say: hears notes, one line each.

    Raises:
        OmnisynError: see `session.run_stage`.
    """
    return run_stage("pretrain", _find_starts, _build, options or RunOptions(), source, say)


class Pretraining(EncoderStage):
    """Every contrast of a batch goes through the encoder in one pass."""

    def __init__(self, generator: Generator, settings: PretrainSettings) -> None:
        super().__init__(generator, settings)
        self.generator.requires_grad_(False)
        self.generator.encoder.requires_grad_(True)

    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch, see `TrainingStage`."""
        assert batch is not None
        images, places = present_images(batch)
        maps = self.generator.encode(images, places % len(NAMES))
        return self._losses(maps, places // len(NAMES))

    def _losses(self, maps: Sequence[Tensor], slices: Tensor) -> dict[str, Tensor]:
        alignment = feature_alignment(maps, slices)
        contrastive = info_nce(maps[-1], slices, self.settings.temperature)
        total = (
            self.settings.alignment_weight * alignment
            + self.settings.contrastive_weight * contrastive
        )
        return {"loss": total, "alignment": alignment, "contrastive": contrastive}

    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """One row: the losses over all slices of the patient, and how often the nearest image
        of the patient shows the same slice."""
        images, places = present_images(slices)
        parts = [
            self.generator.encode(part, shown % len(NAMES))[-4:]
            for part, shown in zip(
                torch.split(images, VALIDATION_IMAGES),
                torch.split(places, VALIDATION_IMAGES),
                strict=True,
            )
        ]
        maps = [torch.cat(level) for level in zip(*parts, strict=True)]
        numbers = places // len(NAMES)
        losses = self._losses(maps, numbers)
        row: Row = {name: float(value) for name, value in losses.items()}
        row["retrieval"] = float(retrieval_accuracy(maps[-1], numbers))
        return [row]


def _find_starts(recipe: Recipe, options: RunOptions) -> tuple[str, ...]:
    others = set(named_runs(options)) - {"pretrain"}
    if others:
        raise UsageError(
            f"pretrain cannot start from a run of {others.pop()}",
            remedy="give a pretrain run or weights",
        )
    return options.init


def _build(beginning: Beginning) -> EncoderStage:
    recipe, options = beginning.recipe, beginning.options
    generator = build_generator(recipe.model, seed=options.seed)
    for run in named_runs(options).values():
        read_encoder(run.final, generator)
    weights = named_weights(options)
    if weights is not None:
        generator = read_weights(weights, recipe.model).generator
    return encoder_stage(generator, recipe.pretrain, options.seed)


def encoder_stage(generator: Generator, settings: PretrainSettings, seed: int) -> EncoderStage:
    """The stage with the objective that its settings name."""
    if settings.objective == "brainmvp":
        return MaskedPretraining(generator, settings, seed)
    return Pretraining(generator, settings)
