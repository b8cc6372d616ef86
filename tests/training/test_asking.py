import re
from dataclasses import replace
from types import ModuleType

import pytest
import torch

from omnisyn.contrasts import FAT_STATES
from omnisyn.models.clip.model import build_clip
from omnisyn.models.clip.texts import CONTRAST_WORDINGS, FAT_WORDINGS
from omnisyn.simulate.any_protocol import HELD_OUT
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences
from omnisyn.training.asking import Asking
from omnisyn.training.recipe import load_recipe

T2_ECHOES = HELD_OUT["T2"]["echo_time_ms"]


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


def test_numbers_come_to_be_read_back_from_the_vectors(asking: Asking) -> None:
    optimizer = torch.optim.Adam([p for p in asking.parameters() if p.requires_grad], lr=2e-3)
    errors = []
    for _ in range(40):
        optimizer.zero_grad()
        # The same texts again and again: to read any numbers takes hundreds of steps.
        error = asking.lesson(generator_at(0))
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


def test_no_lesson_speaks_of_times_that_are_held_out(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = heard(asking, monkeypatch)
    with torch.no_grad():
        for step in range(10):
            asking.lesson(generator_at(step))
    of_t2 = [text for text in texts if text.startswith(CONTRAST_WORDINGS["T2"].trained)]
    told = [float(t) for text in of_t2 for t in re.findall(r"(?:TE|echo time) ([0-9.]+)", text)]
    # A text tells a time to a tenth, or whole from 100 on.
    assert len(told) > 20
    assert not any(low + 0.5 < time < high - 0.5 for time in told for low, high in T2_ECHOES)
    assert min(told) < 10 < 110 < max(told)


@torch.no_grad()
def test_a_lesson_may_keep_every_text_near_its_sentence(asking: Asking) -> None:
    own = asking.text.encode_text(prompt_sentences())
    loose, near, far = (asking.lesson(generator_at(0), meant).item() for meant in (None, own, -own))
    assert loose < near < far


def test_distance_is_that_of_the_sentences_from_what_they_are_to_mean(asking: Asking) -> None:
    with torch.no_grad():
        own = asking.text.encode_text(prompt_sentences())
        near, far = (asking.distance(vectors, generator_at(0)) for vectors in (own, -own))
    assert 0 < near < far
    assert (near + far).item() == pytest.approx(2, abs=1e-4)
