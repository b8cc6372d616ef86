"""What the objectives of stage 1 have in common: an encoder is trained and handed on."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from omnisyn.models.generator import Generator
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import RunCard, write_encoder
from omnisyn.training.recipe import PretrainSettings
from omnisyn.training.stage import Row, TrainingStage, Validation, mean

VALIDATION_IMAGES = 32
"""Of a patient, that are encoded at once."""


def present_images(batch: SliceBatch) -> tuple[Tensor, Tensor]:
    """The images that are there `[n, 1, h, w]`, and their places `[n]`: slice x 6 + contrast."""
    places = batch.present.flatten().nonzero().squeeze(1)
    return batch.images.flatten(0, 1).index_select(0, places)[:, None], places


class EncoderStage(TrainingStage):
    """Stage 1, whatever its objective; the losses of a validation patient are its only row."""

    stage = "pretrain"

    def __init__(self, generator: Generator, settings: PretrainSettings) -> None:
        super().__init__()
        self.settings: PretrainSettings = settings
        self.before = {}
        self.generator = generator

    @property
    def network(self) -> nn.Module:
        """What is trained and handed on."""
        return self.generator.encoder

    def summarize(self, rows: Sequence[Row]) -> Validation:
        """Means over the patients; the score is the loss with its sign turned."""
        names = rows[0] if rows else {}
        figures = {name: mean([float(row[name]) for row in rows]) for name in names}
        return Validation(-figures.get("loss", float("nan")), figures)

    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product, see `TrainingStage`."""
        write_encoder(folder, self.generator, card)
