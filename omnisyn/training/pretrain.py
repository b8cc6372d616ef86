"""Stage 1: one contrast-invariant encoder, by feature alignment and InfoNCE."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from omnisyn.errors import UsageError
from omnisyn.listeners import Note
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.slices import SliceBatch, SliceSource
from omnisyn.training.artefacts import RunCard, read_encoder, read_weights, write_encoder
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
from omnisyn.training.stage import Row, TrainingStage, Validation, mean

_VALIDATION_IMAGES = 32


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


def present_images(batch: SliceBatch) -> tuple[Tensor, Tensor]:
    """The images that are there `[n, 1, h, w]`, and their places `[n]`: slice x 6 + contrast."""
    places = batch.present.flatten().nonzero().squeeze(1)
    return batch.images.flatten(0, 1).index_select(0, places)[:, None], places


class Pretraining(TrainingStage):
    """Every contrast of a batch goes through the encoder in one pass."""

    stage = "pretrain"

    def __init__(self, generator: Generator, settings: PretrainSettings) -> None:
        super().__init__()
        self.settings: PretrainSettings = settings
        self.before = {}
        self.generator = generator.requires_grad_(False)
        self.generator.encoder.requires_grad_(True)

    @property
    def network(self) -> nn.Module:
        """What is trained and handed on."""
        return self.generator.encoder

    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch, see `TrainingStage`."""
        assert batch is not None
        images, places = present_images(batch)
        return self._losses(self.generator.encode(images), places // batch.present.shape[1])

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
            self.generator.encode(part)[-4:] for part in torch.split(images, _VALIDATION_IMAGES)
        ]
        maps = [torch.cat(level) for level in zip(*parts, strict=True)]
        numbers = places // slices.present.shape[1]
        losses = self._losses(maps, numbers)
        row: Row = {name: float(value) for name, value in losses.items()}
        row["retrieval"] = float(retrieval_accuracy(maps[-1], numbers))
        return [row]

    def summarize(self, rows: Sequence[Row]) -> Validation:
        """Means over the patients; the score is the loss with its sign turned."""
        names = rows[0] if rows else {}
        figures = {name: mean([float(row[name]) for row in rows]) for name in names}
        return Validation(-figures.get("loss", float("nan")), figures)

    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product, see `TrainingStage`."""
        write_encoder(folder, self.generator, card)


def _find_starts(recipe: Recipe, options: RunOptions) -> tuple[str, ...]:
    others = set(named_runs(options)) - {"pretrain"}
    if others:
        raise UsageError(
            f"pretrain cannot start from a run of {others.pop()}",
            remedy="give a pretrain run or weights",
        )
    return options.init


def _build(beginning: Beginning) -> Pretraining:
    recipe, options = beginning.recipe, beginning.options
    generator = build_generator(recipe.model, seed=options.seed)
    for run in named_runs(options).values():
        read_encoder(run.final, generator)
    weights = named_weights(options)
    if weights is not None:
        generator = read_weights(weights, recipe.model).generator
    return Pretraining(generator, recipe.pretrain)
