"""Stage 1 by the objective `brainmvp`: images are restored from the fifth of them that is shown.

"BrainMVP", Rui et al. 2024: an image goes in twice, with most of its blocks replaced by those of
another contrast of its slice, and by those of its contrast's template (`masking.py`). Both times it
is to be restored, which trains encoder, decoder and templates; and the two views are to be more
alike than those of other images (InfoNCE). The encoder is handed on; `finetune` begins with a
decoder of its own.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnisyn.contrasts import NAMES
from omnisyn.models.generator import Generator
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.encoder_stage import VALIDATION_IMAGES, EncoderStage, present_images
from omnisyn.training.masking import draw_masks, other_contrasts, shown_templates
from omnisyn.training.objectives import info_nce
from omnisyn.training.recipe import PretrainSettings
from omnisyn.training.stage import Row, mean

_TEMPLATE_BLOCKS = 32
_GREY = 0.3


class Restorer(nn.Module):
    """What the objective needs beside the encoder: a decoder, and a template for each contrast."""

    def __init__(self, decoder: nn.Module, block: int) -> None:
        super().__init__()
        self.decoder = decoder
        size = _TEMPLATE_BLOCKS * block
        self.templates = nn.Parameter(torch.full((len(NAMES), 1, size, size), _GREY))


class MaskedPretraining(EncoderStage):
    """Two views of every image through the encoder in one pass."""

    def __init__(self, generator: Generator, settings: PretrainSettings, seed: int) -> None:
        super().__init__(generator, settings)
        self.seed = seed
        generator.requires_grad_(False)
        generator.encoder.requires_grad_(True)
        generator.decoder.requires_grad_(True)
        self.restorer = Restorer(generator.decoder, settings.masked_block)

    @property
    def companion(self) -> nn.Module:
        """Decoder and templates, which are not handed on."""
        return self.restorer

    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch, see `TrainingStage`."""
        assert batch is not None
        images, places = present_images(batch)
        return self._losses(images, places, draws)

    def _losses(self, images: Tensor, places: Tensor, draws: torch.Generator) -> dict[str, Tensor]:
        chosen, contrasts = self.settings, places % len(NAMES)
        other = images.index_select(0, other_contrasts(places // len(NAMES), draws))
        template = shown_templates(self.restorer.templates, contrasts, *images.shape[-2:])
        views = []
        for stand_in in (other, template):
            gone = draw_masks(images, chosen.masked_share, chosen.masked_block, draws)
            views.append(torch.where(gone, stand_in, images))
        shown = contrasts.repeat(2)
        maps = self.generator.encode(torch.cat(views), shown)
        # Of one source, which fusion would hand on as it is.
        names = [NAMES[place] for place in shown.tolist()]
        restored = self.generator.decode(maps, self.generator.condition(names))
        reconstruction = functional.mse_loss(restored.float(), images.repeat(2, 1, 1, 1))
        each = torch.arange(len(images), device=images.device).repeat(2)
        contrastive = info_nce(maps[-1], each, chosen.temperature)
        total = (
            chosen.reconstruction_weight * reconstruction + chosen.contrastive_weight * contrastive
        )
        return {"loss": total, "reconstruction": reconstruction, "contrastive": contrastive}

    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """One row: the losses over the patient's slices, under masks that are always the same."""
        images, places = present_images(slices)
        draws = generator_at(self.seed, 0)
        parts = [
            self._losses(*part, draws)
            for part in zip(
                torch.split(images, VALIDATION_IMAGES),
                torch.split(places, VALIDATION_IMAGES),
                strict=True,
            )
        ]
        return [{name: mean([float(part[name]) for part in parts]) for name in parts[0]}]
