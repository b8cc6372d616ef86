import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.models.clip.model import build_clip
from omnisyn.models.clip.texts import CONTRAST_WORDINGS, FAT_WORDINGS
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.weights import load_weights
from omnisyn.simulate.any_protocol import HELD_OUT
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import prompt_sentences, read_text_image
from omnisyn.training.asking import Asking
from omnisyn.training.finetune import Finetuning, finetune
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions

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


@pytest.fixture
def generator(stand_in: ModuleType) -> Generator:
    return build_generator(load_recipe(stand_in.RECIPE).model, seed=3)


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
    for _ in range(30):
        asking(batch, targets, draws)
    facts = (r"4321 m", r"(TE|echo time) [0-9]", r"(field |at |, |; )3 T")
    told = [sum(bool(re.search(fact, text)) for fact in facts) for text in texts]
    assert {0, 1, 2, 3} == set(told)
    # Half are whole, and an eighth of the others by chance.
    assert 0.4 < sum(count == 3 for count in told) / len(told) < 0.8


def test_fat_is_unspoken_of_only_where_it_keeps_its_signal(
    asking: Asking, batch: SliceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = heard(asking, monkeypatch)
    targets = batch.present.flatten().nonzero().squeeze(1)
    for suppressed in (False, True):
        flags = batch.present.clone() if suppressed else torch.zeros_like(batch.present)
        texts.clear()
        asking(replace(batch, fat_suppressed=flags), targets, generator_at(0))
        states = FAT_WORDINGS[suppressed].trained
        spoken = [any(f"; {state}" in text for state in states) for text in texts]
        assert all(spoken) == suppressed
        assert any(spoken)


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


def test_targets_may_be_asked_for_by_how_they_were_acquired(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = build_clip(load_recipe(stand_in.RECIPE).clip)
    settings = load_recipe(stand_in.RECIPE).finetune.model_copy(
        update={"text_weight": 0.0, "described": 0.5}
    )
    trained = Finetuning(generator, None, settings, {}, text=text)
    # Branches of the decoder begin at zero, and what steers them then gets no gradient.
    with torch.no_grad():
        for weight in generator.decoder.parameters():
            weight += 0.02
    facts = batch.acquisition.clone()
    facts[..., 1] = 87.0
    read: list[str] = []
    encode = text.encode_text
    monkeypatch.setattr(text, "encode_text", lambda texts: read.extend(texts) or encode(texts))
    losses = trained(replace(batch, acquisition=facts), 0, generator_at(0))
    losses["loss"].backward()
    told = [each for each in read if "87" in each]
    assert 0 < len(told) < len(read)
    assert any(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in text.text_tower()
    )
    assert all(weight.grad is None for weight in text.image_tower())


def test_a_text_tower_that_learns_is_handed_on_with_the_vectors_that_it_gives(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "recipe.toml"
    text = Path(stand_in.RECIPE).read_text()
    recipe.write_text(text.replace("text_weight = 0.1", "described = 0.5"))
    starts = (str(runs / "pretrain"), str(runs / "align"))
    options = RunOptions(recipe=recipe, out=tmp_path / "run", init=starts, device="cpu")
    finetune(options, source=stand_in.Discs())
    loaded = load_weights(tmp_path / "run")
    before = read_text_image(runs / "align" / "final")
    after = loaded.text_tower()
    with torch.no_grad():
        old, new = (tower.encode_text(prompt_sentences()) for tower in (before, after))
    assert not torch.allclose(old, new, atol=1e-3)
    torch.testing.assert_close(loaded.generator.target_vectors, new, atol=1e-3, rtol=0)
    # Resumed from its last checkpoint but one it ends the same.
    whole = (tmp_path / "run/final/model.safetensors").read_bytes()
    shutil.rmtree(sorted((tmp_path / "run/checkpoints").iterdir())[-1])
    shutil.rmtree(tmp_path / "run/final")
    finetune(options, source=stand_in.Discs())
    assert (tmp_path / "run/final/model.safetensors").read_bytes() == whole


def test_a_text_tower_alone_learns_to_steer_weights_that_stay_as_they_are(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "words.toml"
    text = Path(stand_in.RECIPE).read_text().replace('encoder = "free"', 'encoder = "frozen"')
    text = text.replace("text_weight = 0.1", 'decoder = "frozen"\ndescribed = 0.8\ntext_steps = 3')
    recipe.write_text(text)
    # No align run is needed: its space would be another one.
    start = runs / "finetune/final/model.safetensors"
    towers = {}
    for steps in (1, 40):
        out = tmp_path / f"{steps}"
        options = RunOptions(
            recipe=recipe, out=out, init=(str(start),), device="cpu", max_steps=steps
        )
        finetune(options, source=stand_in.Discs())
        assert (out / "final/model.safetensors").read_bytes() == start.read_bytes()
        loaded = load_weights(out)
        assert loaded.card.described
        towers[steps] = loaded.text_tower()
    with torch.no_grad():
        meant = loaded.generator.target_vectors
        near = {
            steps: float((tower.encode_text(prompt_sentences()) * meant).sum(dim=1).mean())
            for steps, tower in towers.items()
        }
    assert near[40] > near[1] + 0.1


def test_with_a_frozen_decoder_targets_are_validated_as_they_were_acquired(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = build_clip(load_recipe(stand_in.RECIPE).clip)
    settings = load_recipe(stand_in.RECIPE).finetune.model_copy(
        update={"text_weight": 0.0, "described": 0.5, "encoder": "frozen", "decoder": "frozen"}
    )
    trained = Finetuning(generator, None, settings, {}, text=text)
    read: list[str] = []
    encode = text.encode_text
    monkeypatch.setattr(text, "encode_text", lambda texts: read.extend(texts) or encode(texts))
    facts = batch.acquisition.clone()
    facts[..., 1] = 87.0
    with torch.no_grad():
        rows = trained.validate_patient(replace(batch, acquisition=facts))
    assert len(rows) == 4 * 3
    assert read
    assert all("TE 87 ms" in each for each in read)
