"""How finetuning asks for its targets in words, from a text tower that learns with the decoder."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences
from omnisyn.training.prompts import own_texts


class Asking(nn.Module):
    """Texts of targets to text vectors.

    Some targets are asked for by how they were acquired (TR, TE, TI and field, where known), the
    others by what their contrast shows; all in words drawn anew, so that what counts are not the
    words.

    Args:
        text: whose text tower is trained; its image tower is put aside.
        described: share of the images that are asked for by how they were acquired.
    """

    def __init__(self, text: TextImageModel, described: float) -> None:
        super().__init__()
        self.text = text.requires_grad_(False)
        for weight in text.text_tower():
            weight.requires_grad_(True)
        self.described = described

    def forward(self, batch: SliceBatch, targets: Tensor, draws: torch.Generator) -> Tensor:
        """Text vectors `[n, d]` of targets `[n]`, places of images in the batch."""
        shape = batch.present.shape
        described = torch.rand(shape, generator=draws) < self.described
        known = described.to(targets.device)[:, :, None]
        unknown = torch.full_like(batch.acquisition, torch.nan)
        shown = replace(batch, acquisition=torch.where(known, batch.acquisition, unknown))
        texts, numbers = own_texts(shown, targets, draws)
        return self.text.encode_text(texts).index_select(0, numbers)

    def canonical(self) -> Tensor:
        """The vectors of the twelve canonical sentences, `[12, d]`."""
        return self.text.encode_text(prompt_sentences())
