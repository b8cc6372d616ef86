import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.models.clip.model import build_clip
from omnisyn.models.clip.texts import CONTRAST_WORDINGS, FAT_WORDINGS
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.weights import load_weights
from omnisyn.simulate.any_protocol import HELD_OUT
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training import asking as asking_module
from omnisyn.training.artefacts import prompt_sentences, read_text_image
from omnisyn.training.asking import Asking
from omnisyn.training.finetune import Finetuning, finetune
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions

T2 = NAMES.index("T2")
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
    text = build_clip(load_recipe(stand_in.RECIPE).clip)
    prompts = torch.randn(12, text.embed_size, generator=generator_at(5))
    return Asking(text, torch.nn.functional.normalize(prompts, dim=1), described=1.0, seed=0)


@pytest.fixture
def generator(stand_in: ModuleType) -> Generator:
    return build_generator(load_recipe(stand_in.RECIPE).model, seed=3)


@pytest.fixture
def short_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that take many of them."""
    monkeypatch.setattr(asking_module, "_LESSON", 8)


def finetuning(generator: Generator, stand_in: ModuleType, **settings: object) -> Finetuning:
    chosen = {"text_weight": 0.0, "described": 0.5} | settings
    recipe = load_recipe(stand_in.RECIPE)
    text = build_clip(recipe.clip)
    return Finetuning(generator, None, recipe.finetune.model_copy(update=chosen), {}, text=text)


def heard(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """The texts of some lessons, and which prompt each of them means."""
    texts: list[str] = []
    prompts: list[int] = []
    encode, map_them = asking.text.encode_text, asking.protocols.forward
    monkeypatch.setattr(asking.text, "encode_text", lambda new: texts.extend(new) or encode(new))
    monkeypatch.setattr(
        asking.protocols,
        "forward",
        lambda kinds, facts: prompts.extend(kinds.tolist()) or map_them(kinds, facts),
    )
    with torch.no_grad():
        for step in range(10):
            asking.lesson(generator_at(step))
    return zip(texts, prompts, strict=True)


def moved(weights: Iterable[torch.Tensor]) -> bool:
    return any(weight.grad is not None and bool((weight.grad != 0).any()) for weight in weights)


def _says(text: str, states: tuple[str, ...]) -> bool:
    return any(f"; {state}" in text for state in states)


def test_of_half_of_the_targets_not_everything_is_told(
    asking: Asking, batch: SliceBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = batch.present.flatten().nonzero().squeeze(1)
    seen: list[torch.Tensor] = []
    map_them = asking.protocols.forward
    monkeypatch.setattr(
        asking.protocols,
        "forward",
        lambda prompts, facts: seen.append(facts) or map_them(prompts, facts),
    )
    draws = generator_at(0)
    for _ in range(30):
        asking(batch, targets, draws)
    facts = torch.cat(seen)
    truth = batch.acquisition.flatten(0, 1)[targets].repeat(30, 1)
    told = ~facts.isnan()
    # All but TI, which the batch does not have.
    assert told.any(dim=0).tolist() == [True, True, False, True]
    assert torch.equal(facts[told], truth[told])
    counts = told.sum(dim=1)
    assert set(counts.tolist()) == {0, 1, 2, 3}
    # Half are whole, and an eighth of the others by chance.
    assert 0.5 < (counts == 3).float().mean() < 0.62


def test_the_others_are_asked_for_by_contrast_and_fat_alone(
    asking: Asking, batch: SliceBatch
) -> None:
    asking.described = 0.0
    with torch.no_grad():
        asking.protocols.change[-1].weight += 1.0
    targets = batch.present.flatten().nonzero().squeeze(1)
    flags = torch.rand(batch.present.shape, generator=generator_at(2)) < 0.5
    given = asking(replace(batch, fat_suppressed=flags), targets, generator_at(0))
    prompts = targets % len(NAMES) + len(NAMES) * flags.flatten()[targets]
    torch.testing.assert_close(given, asking.protocols.prompts[prompts])


def test_fat_is_unspoken_of_only_where_it_keeps_its_signal(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = list(heard(asking, monkeypatch))
    unsaid = suppressed = 0
    for text, prompt in lessons:
        spoken = {state: _says(text, FAT_WORDINGS[state].trained) for state in (False, True)}
        unsaid += not any(spoken.values())
        suppressed += spoken[True]
        assert spoken[True] == (prompt >= len(NAMES))
    assert 0.1 < unsaid / len(lessons) < 0.3
    assert 0.2 < suppressed / len(lessons) < 0.4


def test_a_lesson_means_what_it_says(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, prompt in heard(asking, monkeypatch):
        assert text.startswith(CONTRAST_WORDINGS[NAMES[prompt % len(NAMES)]].trained)


def test_no_lesson_speaks_of_times_that_are_held_out(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_t2 = [text for text, prompt in heard(asking, monkeypatch) if prompt % len(NAMES) == T2]
    told = [float(t) for text in of_t2 for t in re.findall(r"(?:TE|echo time) ([0-9.]+)", text)]
    # A text tells a time to a tenth, or whole from 100 on.
    assert len(told) > 20
    assert not any(low + 0.5 < time < high - 0.5 for time in told for low, high in T2_ECHOES)
    assert min(told) < 55 < 140 < max(told)


@pytest.mark.usefixtures("short_lessons")
def test_the_text_tower_comes_to_say_what_the_map_says(asking: Asking) -> None:
    optimizer = torch.optim.Adam(asking.text.text_tower(), lr=2e-3)
    errors = []
    for _ in range(30):
        optimizer.zero_grad()
        # The same texts again and again: to learn all words takes hundreds of steps.
        error = asking.lesson(generator_at(0))
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.2 * errors[0]
    assert all(weight.grad is None for weight in asking.protocols.parameters())


def test_images_teach_the_map_and_texts_the_tower(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    trained = finetuning(generator, stand_in)
    assert trained.asking is not None
    # Branches of the decoder begin at zero, and what steers them then gets no gradient.
    with torch.no_grad():
        for weight in generator.decoder.parameters():
            weight += 0.02
    losses = trained(batch, 0, generator_at(0))
    (losses["loss"] - losses["words"]).backward(retain_graph=True)
    assert moved(trained.asking.protocols.parameters())
    assert not moved(trained.asking.text.text_tower())
    losses["words"].backward()
    assert moved(trained.asking.text.text_tower())
    assert not moved(trained.asking.text.image_tower())


def test_the_last_steps_may_have_no_images(generator: Generator, stand_in: ModuleType) -> None:
    trained = finetuning(generator, stand_in, steps=10, text_steps=4)
    assert [trained.uses_slices(step) for step in (0, 5, 6, 9)] == [True, True, False, False]
    losses = trained(None, 6, generator_at(0))
    assert set(losses) == {"loss", "words"}
    losses["loss"].backward()
    assert trained.asking is not None
    assert moved(trained.asking.text.text_tower())
    assert not moved([*generator.parameters(), *trained.asking.protocols.parameters()])


@pytest.mark.usefixtures("short_lessons")
def test_a_text_tower_that_learns_beside_the_decoder_is_handed_on(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "recipe.toml"
    text = Path(stand_in.RECIPE).read_text()
    recipe.write_text(text.replace("text_weight = 0.1", "described = 0.5\ntext_steps = 2"))
    starts = (str(runs / "pretrain"), str(runs / "align"))
    options = RunOptions(recipe=recipe, out=tmp_path / "run", init=starts, device="cpu")
    finetune(options, source=stand_in.Discs())
    loaded = load_weights(tmp_path / "run")
    before = read_text_image(runs / "align" / "final")
    with torch.no_grad():
        meant, said = (
            tower.encode_text(prompt_sentences()) for tower in (before, loaded.text_tower())
        )
    assert loaded.card.described
    assert not torch.allclose(meant, said, atol=1e-3)
    torch.testing.assert_close(loaded.generator.target_vectors, meant, atol=1e-3, rtol=0)
    # Resumed from its last checkpoint but one it ends the same.
    whole = {
        file.name: file.read_bytes() for file in (tmp_path / "run/final").glob("*.safetensors")
    }
    shutil.rmtree(sorted((tmp_path / "run/checkpoints").iterdir())[-1])
    shutil.rmtree(tmp_path / "run/final")
    finetune(options, source=stand_in.Discs())
    assert whole == {name: (tmp_path / "run/final" / name).read_bytes() for name in whole}
    assert len(whole) == 2


@pytest.mark.usefixtures("short_lessons")
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
    trained = finetuning(generator, stand_in, encoder="frozen", decoder="frozen")
    assert trained.asking is not None
    text = trained.asking.text
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
