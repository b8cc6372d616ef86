from dataclasses import replace
from types import ModuleType

import torch

from omnisyn.contrasts import CONTRASTS, NAMES
from omnisyn.models.clip.texts import HELD_OUT
from omnisyn.models.generator import PROMPTS
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences
from omnisyn.training.pretrain import present_images
from omnisyn.training.prompts import (
    drawn_sentences,
    held_out_sentences,
    own_texts,
    prompt_labels,
)


def discs(stand_in: ModuleType) -> SliceBatch:
    batch: SliceBatch = stand_in.discs(generator_at(1), 3, 32, "x")
    return batch


def test_every_image_has_the_prompt_of_its_contrast_and_fat_state(stand_in: ModuleType) -> None:
    batch = discs(stand_in)
    _, places = present_images(batch)
    shown = [PROMPTS[number] for number in prompt_labels(batch, places).tolist()]
    assert shown[:4] == ["T1", "T1c", "T2 fat-suppressed", "FLAIR"]
    assert shown[4:8] == ["T1", "T1c", "T2", "FLAIR"]


def test_wordings_keep_the_order_of_the_prompts() -> None:
    # The wording that is drawn first for T1 cannot stand at any other place.
    draws = generator_at(0)
    seen = [drawn_sentences(draws) for _ in range(200)]
    seen += [held_out_sentences(number) for number in range(HELD_OUT)]
    places = [{sentences[place] for sentences in seen} for place in range(len(PROMPTS))]
    assert len(set.union(*places)) == sum(len(texts) for texts in places)
    assert all(
        sentence in texts for sentence, texts in zip(prompt_sentences(), places, strict=True)
    )


def test_images_without_facts_have_the_text_of_their_prompt(stand_in: ModuleType) -> None:
    batch = discs(stand_in)
    _, places = present_images(batch)
    texts, own = own_texts(batch, places, generator_at(0))
    assert len(texts) == 5
    labels = prompt_labels(batch, places)
    assert all((own == own[image]).equal(labels == labels[image]) for image in range(len(own)))


def test_images_acquired_differently_have_texts_that_say_how(stand_in: ModuleType) -> None:
    batch = discs(stand_in)
    facts = batch.acquisition.clone()
    facts[0, NAMES.index("T1"), 0] = 456.0
    facts[1:, NAMES.index("T1")] = torch.tensor([789.0, 23.4, 910.0, 3.0])
    batch = replace(batch, acquisition=facts)
    _, places = present_images(batch)
    texts, own = own_texts(batch, places, generator_at(0))
    of_t1 = [texts[number] for number in own[places % len(NAMES) == 0].tolist()]
    assert "456 m" in of_t1[0]
    assert not any(word in of_t1[0] for word in ("TE", "echo", "TI", "Tesla", "field"))
    assert of_t1[1] == of_t1[2] != of_t1[0]
    assert all(value in of_t1[1] for value in ("789 m", "23.4 m", "910 m", "3 T"))
    assert len(texts) == len(CONTRASTS)
