"""What the images of a batch are told apart by: the twelve prompts, and texts of their own."""

import torch
from torch import Tensor

from omnisyn.contrasts import CONTRASTS, NAMES
from omnisyn.models.clip.texts import Acquisition, describe, describe_otherwise
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences

_UNKNOWN = -1.0


def drawn_sentences(draws: torch.Generator) -> tuple[str, ...]:
    """The twelve prompts, each in one of its wordings, the canonical one among them."""
    return prompt_sentences(lambda entry, fat: describe(entry, Acquisition(fat), draws))


def held_out_sentences(number: int) -> tuple[str, ...]:
    """The twelve prompts in the wordings of that number that are never trained on."""
    return prompt_sentences(lambda entry, fat: describe_otherwise(entry, Acquisition(fat), number))


def prompt_labels(batch: SliceBatch, places: Tensor) -> Tensor:
    """The prompt of each image `[n]`, by its place from `present_images`: contrast and fat
    state, in the order of `PROMPTS`."""
    suppressed = batch.fat_suppressed.flatten().index_select(0, places)
    return places % len(NAMES) + len(NAMES) * suppressed


def own_texts(
    batch: SliceBatch, places: Tensor, draws: torch.Generator | None = None
) -> tuple[list[str], Tensor]:
    """What is known of each image in words: contrast, fat, TR, TE, TI and field.

    Images that were acquired alike share a text: they cannot be told apart by it.

    Args:
        batch: of slices.
        places: of its images, from `present_images`.
        draws: of the wordings; None = the first ones.

    Returns:
        The distinct texts, and the text of each image `[n]`.
    """
    facts = batch.acquisition.flatten(0, 1).index_select(0, places).nan_to_num(_UNKNOWN).tolist()
    labels = prompt_labels(batch, places).tolist()
    kinds = list(zip(labels, map(tuple, facts), strict=True))
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    texts = []
    for prompt, values in numbers:
        known = (None if value == _UNKNOWN else value for value in values)
        acquisition = Acquisition(prompt >= len(NAMES), *known)
        texts.append(describe(CONTRASTS[prompt % len(NAMES)], acquisition, draws))
    return texts, torch.tensor([numbers[kind] for kind in kinds], device=places.device)
