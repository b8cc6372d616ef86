"""How finetuning asks for its targets by how they were acquired, and teaches a text tower to."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnisyn.contrasts import CONTRASTS, NAMES
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.clip.texts import Acquisition, describe
from omnisyn.simulate.any_protocol import draw_times
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.prompts import own_texts, prompt_labels
from omnisyn.training.protocol_vectors import ProtocolVectors
from omnisyn.volumes.sidecar import FACTS

# Texts of a lesson, what field they tell (T), and the share with suppressed fat.
_LESSON, _FIELDS, _SUPPRESSED = 64, (1.5, 3.0), 0.3
# Shares: of descriptions that leave out nothing; of facts that the others tell; and how often
# fat that keeps its signal is spoken of.
_WHOLE, _TOLD, _FAT_TOLD = 0.5, 0.5, 0.7


class Asking(nn.Module):
    """Targets to text vectors, and the text tower that comes to give the same ones.

    A share of the targets is asked for by how they were acquired (TR, TE, TI and field, where
    known), the others by their contrast and fat state alone. Of half of the former some facts are
    left out, because who asks seldom says all.

    Args:
        text: whose text tower is trained; its image tower is put aside.
        prompts: what the twelve prompts mean to the decoder, unit vectors `[12, d]`.
        described: share of the targets that are asked for by how they were acquired.
        seed: of what else than the text tower is trained.
    """

    def __init__(self, text: TextImageModel, prompts: Tensor, described: float, seed: int) -> None:
        super().__init__()
        self.text = text.requires_grad_(False)
        for weight in text.text_tower():
            weight.requires_grad_(True)
        self.protocols = ProtocolVectors(prompts, seed)
        self.described = described

    def forward(self, batch: SliceBatch, targets: Tensor, draws: torch.Generator) -> Tensor:
        """Vectors `[n, d]` of targets `[n]`, places of images in the batch."""
        facts = batch.acquisition.flatten(0, 1).index_select(0, targets)
        told = _told(len(targets), self.described, draws).to(targets.device)
        told_facts = torch.where(told, facts, torch.nan)
        vectors: Tensor = self.protocols(prompt_labels(batch, targets), told_facts)
        return vectors

    def as_acquired(self, batch: SliceBatch, targets: Tensor) -> Tensor:
        """What the text tower gives for targets `[n]`, `[n, d]`, by all that is known of their
        acquisition, in the first wordings."""
        texts, numbers = own_texts(batch, targets)
        return self.text.encode_text(texts).index_select(0, numbers)

    def lesson(self, draws: torch.Generator) -> Tensor:
        """Mean of 1 - cosine between what the text tower gives for texts that are drawn, in any
        wording, and what they are to mean.

        Fat is left out only where it keeps its signal, so that saying nothing of it means that.
        """
        places = torch.randint(len(CONTRASTS), (_LESSON,), generator=draws)
        suppressed = torch.rand(_LESSON, generator=draws) < _SUPPRESSED
        spoken = suppressed | (torch.rand(_LESSON, generator=draws) < _FAT_TOLD)
        facts = torch.tensor([_drawn_facts(NAMES[place], draws) for place in places.tolist()])
        facts = torch.where(_told(_LESSON, self.described, draws), facts, torch.nan)
        texts = [
            describe(CONTRASTS[place], _acquisition(fat if say_fat else None, row), draws)
            for place, fat, say_fat, row in zip(
                places.tolist(), suppressed.tolist(), spoken.tolist(), facts.tolist(), strict=True
            )
        ]
        said = self.text.encode_text(texts)
        prompts = places + len(CONTRASTS) * suppressed
        with torch.no_grad():
            meant = self.protocols(prompts.to(said.device), facts.to(said.device))
        return 1 - functional.cosine_similarity(said, meant).mean()


def _told(count: int, described: float, draws: torch.Generator) -> Tensor:
    """Which facts are told of each target, bool `[count, 4]`."""
    at_all, whole = torch.rand(2, count, 1, generator=draws)
    each = torch.rand(count, len(FACTS), generator=draws) < _TOLD
    told: Tensor = (at_all < described) & ((whole < _WHOLE) | each)
    return told


def _drawn_facts(name: str, draws: torch.Generator) -> list[float]:
    """TR, TE, TI in ms and the field in T of a series of that contrast; NaN where it has none."""
    field = _FIELDS[int(torch.randint(len(_FIELDS), (), generator=draws))]
    facts = draw_times(name, field, draws) | {"field_tesla": field}
    return [facts.get(fact, math.nan) for fact in FACTS]


def _acquisition(fat_suppressed: bool | None, facts: list[float]) -> Acquisition:
    known: dict[str, Any] = {
        fact: value for fact, value in zip(FACTS, facts, strict=True) if not math.isnan(value)
    }
    return Acquisition(fat_suppressed, **known)
