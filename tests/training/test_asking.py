from dataclasses import replace
from types import ModuleType

import pytest
import torch

from omnisyn.contrasts import FAT_STATES
from omnisyn.models.clip.model import build_clip
from omnisyn.models.clip.texts import FAT_WORDINGS
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences
from omnisyn.training.asking import Asking
from omnisyn.training.recipe import load_recipe


@pytest.fixture
def batch(stand_in: ModuleType) -> SliceBatch:
    discs: SliceBatch = stand_in.discs(generator_at(1), 3, 32, "x")
    facts = discs.acquisition.clone()
    echoes = torch.logspace(0.5, 2.2, facts[..., 0].numel()).view(facts.shape[:2])
    facts[..., 0], facts[..., 1], facts[..., 3] = 4321.0, echoes, 3.0
    return replace(discs, acquisition=facts)


@pytest.fixture
def asking(stand_in: ModuleType) -> Asking:
    return Asking(build_clip(load_recipe(stand_in.RECIPE).clip), described=1.0)


def heard(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    encode = asking.text.encode_text
    monkeypatch.setattr(asking.text, "encode_text", lambda new: texts.extend(new) or encode(new))
    return texts


def test_of_half_of_the_targets_not_everything_is_told(
    asking: Asking, batch: SliceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = heard(asking, monkeypatch)
    targets = batch.present.flatten().nonzero().squeeze(1)
    draws = generator_at(0)
    for _ in range(20):
        asking(batch, targets, draws)
    told = [sum(said in text for said in ("4321", " m", "3 T")) for text in texts]
    whole = [text for text in texts if "4321" in text and text.count(" m") >= 2]
    assert 0 < len(whole) < len(texts)
    assert min(told) == 0


def test_fat_is_unspoken_of_only_where_it_keeps_its_signal(
    asking: Asking, batch: SliceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = heard(asking, monkeypatch)
    suppressed = replace(batch, fat_suppressed=batch.present.clone())
    targets = batch.present.flatten().nonzero().squeeze(1)
    for each, said in ((batch, False), (suppressed, True)):
        texts.clear()
        asking(each, targets, generator_at(0))
        spoken = [
            any(f"; {state}" in text for state in FAT_WORDINGS[said].trained) for text in texts
        ]
        assert all(spoken) == said
    assert FAT_STATES[True] in FAT_WORDINGS[True].trained


def test_facts_come_to_be_read_back_from_the_vectors(asking: Asking, batch: SliceBatch) -> None:
    optimizer = torch.optim.Adam([p for p in asking.parameters() if p.requires_grad], lr=2e-3)
    errors = []
    for step in range(25):
        optimizer.zero_grad()
        error = asking.lesson(batch, generator_at(step))
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert sum(errors[-5:]) < 0.5 * sum(errors[:5])


def test_a_batch_of_which_nothing_is_known_has_no_lesson(asking: Asking, batch: SliceBatch) -> None:
    unknown = replace(batch, acquisition=torch.full_like(batch.acquisition, torch.nan))
    error = asking.lesson(unknown, generator_at(0))
    error.backward()
    assert error.item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in asking.parameters())


def test_distance_is_that_of_the_sentences_from_what_they_are_to_mean(asking: Asking) -> None:
    with torch.no_grad():
        own = asking.text.encode_text(prompt_sentences())
        near, far = (asking.distance(vectors, generator_at(0)) for vectors in (own, -own))
    assert 0 < near < far
    assert (near + far).item() == pytest.approx(2, abs=1e-4)
