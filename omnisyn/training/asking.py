"""How finetuning asks for its targets in words, from a text tower that learns with the decoder."""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnisyn.contrasts import CONTRASTS, NAMES
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.clip.texts import Acquisition, describe
from omnisyn.simulate.any_protocol import draw_times
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences
from omnisyn.training.prompts import drawn_sentences, own_texts
from omnisyn.volumes.sidecar import FACTS

# Middle and spread (a factor) of TR, TE, TI (ms) and field (T), roughly, over all protocols.
_USUAL = ((1000.0, 4.5), (27.0, 3.3), (1100.0, 2.0), (2.1, 1.4))
# Texts of a lesson, what field they tell (T), and the share with suppressed fat.
_LESSON, _FIELDS, _SUPPRESSED = 48, (1.5, 3.0), 0.3
_NEAR = 0.3
# Shares: of descriptions that leave out nothing; of facts that the others tell; and how often
# fat that keeps its signal is spoken of.
_WHOLE, _TOLD, _FAT_TOLD = 0.5, 0.5, 0.7


class Asking(nn.Module):
    """Texts of targets to text vectors.

    Some targets are asked for by how they were acquired (TR, TE, TI and field, where known), the
    others by what their contrast shows; all in words drawn anew, so that what counts are not the
    words. Of half of the former some facts are left out, because who asks seldom says all; fat is
    left out only where it keeps its signal, so that saying nothing of it means that.

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
        self.reading = nn.Linear(text.embed_size, len(_USUAL))
        for start_at_zero in self.reading.parameters():
            nn.init.zeros_(start_at_zero)

    def forward(self, batch: SliceBatch, targets: Tensor, draws: torch.Generator) -> Tensor:
        """Text vectors `[n, d]` of targets `[n]`, places of images in the batch."""
        shape = batch.present.shape
        described = torch.rand(shape, generator=draws) < self.described
        whole = torch.rand(shape, generator=draws) < _WHOLE
        facts = torch.rand(batch.acquisition.shape, generator=draws) < _TOLD
        told = (described[:, :, None] & (whole[:, :, None] | facts)).to(targets.device)
        unknown = torch.full_like(batch.acquisition, torch.nan)
        shown = replace(batch, acquisition=torch.where(told, batch.acquisition, unknown))
        fat_unsaid = torch.rand(len(targets), generator=draws).to(targets.device) >= _FAT_TOLD
        fat_unsaid &= ~batch.fat_suppressed.flatten().index_select(0, targets)
        texts, numbers = own_texts(shown, targets, draws, fat_unsaid)
        return self.text.encode_text(texts).index_select(0, numbers)

    def as_acquired(self, batch: SliceBatch, targets: Tensor) -> Tensor:
        """Text vectors `[n, d]` of targets `[n]` by all that is known of their acquisition, in the
        first wordings."""
        texts, numbers = own_texts(batch, targets)
        return self.text.encode_text(texts).index_select(0, numbers)

    def distance(self, vectors: Tensor, draws: torch.Generator) -> Tensor:
        """Mean of 1 - cosine between the twelve sentences, in wordings drawn anew, and what they
        are to mean, unit vectors `[12, d]`."""
        said = self.text.encode_text(drawn_sentences(draws))
        return 1 - functional.cosine_similarity(said, vectors).mean()

    def lesson(self, draws: torch.Generator, meant: Tensor | None = None) -> Tensor:
        """Mean squared error, a.u., of the numbers that are read back from the vectors of texts
        that are drawn: of any contrast, with times of any other, so that they have to be read.

        What times do to an image shows so faintly that the text tower would long pass over them.
        Where it is said what the twelve sentences are to mean, unit vectors `[12, d]`, a share of
        1 - cosine keeps every text near its sentence: a good place to learn more from.
        """
        drawn = torch.randint(len(CONTRASTS), (_LESSON,), generator=draws).tolist()
        told = [_drawn_acquisition(NAMES[place], draws) for place in drawn]
        texts = [
            describe(CONTRASTS[place], acquisition, draws)
            for place, acquisition in zip(drawn, told, strict=True)
        ]
        vectors = self.text.encode_text(texts)
        facts = [[getattr(each, fact) or math.nan for fact in FACTS] for each in told]
        known = torch.tensor(facts, device=vectors.device)
        middles, spreads = torch.tensor(_USUAL, device=vectors.device).log().unbind(dim=1)
        wanted = (known.log() - middles) / spreads
        error = self.reading(vectors * math.sqrt(vectors.shape[1])) - wanted
        loss: Tensor = (error[~known.isnan()] ** 2).mean()
        if meant is not None:
            sentences = [
                place + len(CONTRASTS) * bool(acquisition.fat_suppressed)
                for place, acquisition in zip(drawn, told, strict=True)
            ]
            near = functional.cosine_similarity(vectors, meant[sentences])
            loss = loss + _NEAR * (1 - near).mean()
        return loss

    def canonical(self) -> Tensor:
        """The vectors of the twelve canonical sentences, `[12, d]`."""
        return self.text.encode_text(prompt_sentences())


def _drawn_acquisition(name: str, draws: torch.Generator) -> Acquisition:
    """What a lesson says of a series of that contrast."""
    field = _FIELDS[int(torch.randint(len(_FIELDS), (), generator=draws))]
    facts = draw_times(name, draws) | {"field_tesla": field}
    whole, fat, *told = torch.rand(2 + len(FACTS), generator=draws).tolist()
    said: dict[str, Any] = {
        fact: facts.get(fact)
        for fact, share in zip(FACTS, told, strict=True)
        if whole < _WHOLE or share < _TOLD
    }
    return Acquisition(fat_suppressed=fat < _SUPPRESSED, **said)
