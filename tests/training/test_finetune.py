import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, ModelError
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.weights import load_weights
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.artefacts import (
    read_target_vectors,
    read_text_image,
)
from omnisyn.training.finetune import Finetuning, finetune
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions
from tests.hub_server import HubServer


@pytest.fixture
def generator(stand_in: ModuleType) -> Generator:
    return build_generator(load_recipe(stand_in.RECIPE).model, seed=3)


@pytest.fixture
def batch(stand_in: ModuleType) -> SliceBatch:
    return stand_in.discs(generator_at(1), 3, 32, "x")


def stage(generator: Generator, stand_in: ModuleType, **changes: object) -> Finetuning:
    settings = load_recipe(stand_in.RECIPE).finetune.model_copy(
        update={"text_weight": 0.0, **changes}
    )
    return Finetuning(generator, None, settings, {})


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_source_is_encoded_once_for_all_its_targets(
    generator: Generator,
    batch: SliceBatch,
    stand_in: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded, decoded = [], []
    encode, decode = generator.encode, generator.decode
    monkeypatch.setattr(generator, "encode", lambda x, *c: encoded.append(len(x)) or encode(x, *c))
    monkeypatch.setattr(generator, "decode", lambda x, c: decoded.append(len(c)) or decode(x, c))
    trained = stage(generator, stand_in, directions=12, several_sources=0.5)
    trained(batch, 0, draws())
    assert encoded == [3 * 4]
    assert decoded == [3 * 12]


def test_losses_are_those_of_the_directions_taken_one_by_one(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    changes = {"directions": 12, "several_sources": 0.0, "ssim_weight": 0.0}
    trained = stage(generator, stand_in, **changes, background_weight=1.0)
    found = float(trained(batch, 0, draws())["l1"].detach())
    errors = []
    for source in range(4):
        for target in range(4):
            if source == target:
                continue
            suppressed = batch.fat_suppressed[:, target].tolist()
            condition = generator.condition([NAMES[target]] * 3, suppressed)
            chosen = batch.images[:, source : source + 1]
            with torch.no_grad():
                image = generator(chosen, torch.ones(3, 1, dtype=torch.bool), condition)
            errors.append(float((image[:, 0] - batch.images[:, target]).abs().mean()))
    assert found == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_fat_suppressed_targets_are_asked_for_by_their_own_vector(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, bool]] = []
    condition = generator.condition

    def listening(names: list[str], suppressed: list[bool]) -> torch.Tensor:
        asked.extend(zip(names, suppressed, strict=True))
        return condition(names, suppressed)

    monkeypatch.setattr(generator, "condition", listening)
    stage(generator, stand_in, directions=4)(batch, 0, draws())
    assert sorted(set(asked)) == sorted(
        [("FLAIR", False), ("T1", False), ("T1c", False), ("T2", False), ("T2", True)]
    )
    assert asked.count(("T2", True)) == 1


def test_only_what_is_free_of_the_encoder_gets_a_gradient(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    learning = {}
    for freedom in ("frozen", "partly", "free"):
        trained = stage(generator, stand_in, encoder=freedom, several_sources=0.5)
        trained.train()
        trained.zero_grad()
        trained(batch, 0, draws())["loss"].backward()
        assert any(p.grad is not None for p in generator.decoder.parameters())
        assert any(p.grad is not None for p in generator.fusion.parameters())
        encoder = generator.encoder
        learning[freedom] = {name for name, p in encoder.named_parameters() if p.grad is not None}
        assert encoder.training is (freedom != "frozen")
    assert learning["frozen"] == set()
    assert learning["free"] == {name for name, _ in generator.encoder.named_parameters()}
    assert set() < learning["partly"] < learning["free"]


def test_an_adversary_trains_both_sides_at_once(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    trained = stage(generator, stand_in, adversarial_weight=0.1, adversarial_width=4)
    losses = trained(batch, 0, draws())
    losses["loss"].backward()
    assert {"adversarial", "adversary"} <= set(losses)
    assert trained.companion is not None
    assert all(p.grad is not None for p in trained.companion.parameters())
    plain = stage(generator, stand_in)
    assert plain.companion is None
    assert "adversary" not in plain(batch, 0, draws())


@pytest.mark.parametrize("missing", ["pretrained", "aligned"])
def test_a_run_may_begin_without_the_stage_before(
    runs: Path, tmp_path: Path, stand_in: ModuleType, missing: str
) -> None:
    text = Path(stand_in.RECIPE).read_text().replace("text_weight = 0.1", f"{missing} = false")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)
    other = {"pretrained": "align", "aligned": "pretrain"}[missing]
    options = RunOptions(
        recipe=recipe, out=tmp_path / "run", init=(str(runs / other),), device="cpu", max_steps=2
    )
    finetune(options, source=stand_in.Discs())
    card = load_weights(tmp_path / "run").card
    assert {"pretrain", "align"} & set(card.stages) == {other}


def test_text_supervision_without_an_align_run_is_refused(
    tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "recipe.toml"
    text = Path(stand_in.RECIPE).read_text()
    recipe.write_text(text.replace("text_weight = 0.1", "text_weight = 0.1\naligned = false"))
    with pytest.raises(InputError, match="'finetune' is not valid"):
        finetune(RunOptions(recipe=recipe, out=tmp_path / "run"), source=stand_in.Discs())


def test_other_contrasts_than_the_models_are_left_aside(
    tmp_path: Path, stand_in: ModuleType, runs: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    text = Path(stand_in.RECIPE).read_text().replace("text_weight = 0.1", "pretrained = false")
    recipe.write_text(
        text.replace("[model]", '[model]\ncontrasts = ["T2", "T1"]\narrangement = "2E2D"')
    )
    options = RunOptions(
        recipe=recipe,
        out=tmp_path / "run",
        init=(str(runs / "align"),),
        device="cpu",
        max_steps=2,
    )
    result = finetune(options, source=stand_in.Discs())
    assert "T1→T2" in result.table
    assert "FLAIR" not in result.table
    loaded = load_weights(tmp_path / "run")
    assert loaded.card.contrasts == ("T1", "T2")
    assert set(loaded.generator.encoder.networks) == {"T1", "T2"}


def test_low_rank_training_changes_the_decoder_alone_and_exports_a_plain_generator(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "tiny-adapt.toml"
    text = Path(stand_in.RECIPE).read_text().replace('encoder = "free"', "low_rank = 2")
    recipe.write_text(text.replace("text_weight = 0.1", "text_weight = 0.0"))
    weights = str(runs / "finetune/final/model.safetensors")
    options = RunOptions(
        recipe=recipe, out=tmp_path / "adapted", init=(weights,), device="cpu", max_steps=4
    )
    finetune(options, source=stand_in.Discs())
    before = load_weights(weights).generator.state_dict()
    after = load_weights(tmp_path / "adapted").generator.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("encoder" not in name and name.endswith("weight") for name in changed)
    kernels = {name for name in changed if before[name].dim() > 1 and before[name].shape[0] > 2}
    assert kernels
    for name in kernels:
        change = (after[name] - before[name]).flatten(1).double()
        assert int((torch.linalg.svdvals(change) > 1e-5).sum()) <= 2


def test_weights_are_called_like_their_run_and_their_pixels_are_kept_by_later_runs(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    text = Path(stand_in.RECIPE).read_text(encoding="utf-8")
    text = re.sub("text_weight = .*", "text_weight = 0", text)
    starts = {
        "first": tuple(str(runs / stage) for stage in ("pretrain", "align")),
        "second+more": (str(tmp_path / "first"),),
    }
    for name, line in (("first", "pixel_mm = 0.6"), ("second+more", "")):
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(text.replace("[finetune]", f"[finetune]\n{line}", 1))
        options = RunOptions(
            recipe=recipe, out=tmp_path / name, init=starts[name], device="cpu", max_steps=1
        )
        finetune(options, source=stand_in.Discs())
        card = load_weights(tmp_path / name).card
        # A folder may be called what a card cannot.
        assert (card.name, card.pixel_mm) == (name.replace("+", "-"), 0.6)


Shown = Callable[..., tuple[list[bool], list[bool]]]


@pytest.fixture
def shown(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Shown:
    """Trains a step: which of its sources, and of its targets, are images as the batch has them."""

    def train(**changes: object) -> tuple[list[bool], list[bool]]:
        sources: list[torch.Tensor] = []
        targets: list[torch.Tensor] = []
        trained = stage(generator, stand_in, **changes)
        encode, losses = generator.encode, trained._losses
        monkeypatch.setattr(
            generator,
            "encode",
            lambda images, *shown: sources.append(images) or encode(images, *shown),
        )
        monkeypatch.setattr(
            trained,
            "_losses",
            lambda made, truth, *rest: targets.append(truth) or losses(made, truth, *rest),
        )
        trained(batch, 0, draws())
        known = batch.images.flatten(0, 1)[:, None]
        among_the_known = [
            [bool((known == image).flatten(1).all(dim=1).any()) for image in images]
            for images in (sources[0], targets[0])
        ]
        return among_the_known[0], among_the_known[1]

    return train


def test_sources_may_vary_in_appearance_but_targets_do_not(
    shown: Shown,
) -> None:
    sources, targets = shown(source_variation=1.0)
    assert all(targets)
    assert not all(sources)


def test_sources_beside_the_first_are_moved_and_nothing_else_is(
    shown: Shown, batch: SliceBatch
) -> None:
    sources, targets = shown(
        directions=1,
        several_sources=1.0,
        most_sources=2,
        source_variation=0.0,
        misregistration_pixels=2.0,
    )
    assert all(targets)
    # Two sources a slice: the first as it is, the second moved.
    assert len(sources) == 2 * len(batch)
    assert sum(sources) == len(batch)


def test_text_loss_reaches_the_generator_through_the_frozen_image_tower(
    runs: Path, generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    clip = read_text_image(runs / "align/final")
    read_target_vectors(runs / "align/final", generator)
    settings = load_recipe(stand_in.RECIPE).finetune
    trained = Finetuning(generator, clip, settings, {})
    trained.train()
    losses = trained(batch, 0, draws())
    losses["text"].backward()
    assert any(p.grad is not None for p in generator.decoder.parameters())
    assert all(p.grad is None for p in clip.parameters())
    assert not clip.training


def test_batch_without_two_contrasts_of_a_slice_is_an_error(
    generator: Generator, batch: SliceBatch, stand_in: ModuleType
) -> None:
    present = torch.zeros_like(batch.present)
    present[:, 0] = True
    lonely = replace(batch, present=present)
    with pytest.raises(ModelError, match="fewer than two contrasts"):
        stage(generator, stand_in)(lonely, 0, draws())


def test_final_holds_the_whole_generator_with_its_text_vectors(
    runs: Path, stand_in: ModuleType
) -> None:
    loaded = load_weights(runs / "finetune")
    expected = build_generator(load_recipe(stand_in.RECIPE).model)
    read_target_vectors(runs / "align/final", expected)
    assert torch.equal(loaded.generator.target_vectors, expected.target_vectors)
    assert loaded.card.simulated
    assert loaded.card.trained_on == "discs"
    assert set(loaded.card.stages) == {"pretrain", "align", "finetune"}
    assert loaded.card.stages["finetune"]["steps"] == 8


def test_exported_weights_are_those_with_the_best_mean_over_all_directions(runs: Path) -> None:
    lines = (runs / "finetune/metrics.jsonl").read_text().splitlines()
    scores = {
        line["step"]: line["ssim"]
        for line in map(json.loads, lines)
        if line["kind"] == "validation"
    }
    best = max(scores, key=lambda step: scores[step])
    assert json.loads((runs / "finetune/run.json").read_text())["best_step"] == best


def test_training_goes_on_from_weights(runs: Path, tmp_path: Path, stand_in: ModuleType) -> None:
    weights, run = str(runs / "finetune/final/model.safetensors"), str(runs / "align")
    result = stand_in.train("finetune", tmp_path / "on", init=(weights, run), max_steps=1)
    assert result.finished
    stages = load_weights(tmp_path / "on").card.stages
    begun_from = load_weights(runs / "finetune").card.stages
    assert "weights" in stages
    assert stages["finetune"]["continues"] == begun_from["finetune"]


@pytest.mark.parametrize("missing", ["pretrain", "align"])
def test_without_the_stage_before_the_error_says_what_to_run(
    runs: Path,
    tmp_path: Path,
    stand_in: ModuleType,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for stage_name in {"pretrain", "align"} - {missing}:
        shutil.copytree(runs / stage_name, tmp_path / "runs" / stage_name)
    options = RunOptions(recipe=stand_in.RECIPE, device="cpu")
    with pytest.raises(ModelError, match=f"run `omnisyn {missing}` first"):
        finetune(options, source=stand_in.Discs())
    assert not (tmp_path / "runs/finetune-tiny-001").exists()


def test_weights_on_the_hub_are_a_start(
    runs: Path, hub: HubServer, tmp_path: Path, stand_in: ModuleType
) -> None:
    hub.create("org/model")
    final = runs / "finetune/final"
    files = {path.name: path.read_bytes() for path in final.iterdir()}
    address = f"hf-hub:org/model@{hub.add('org/model', files)}"
    begun = (address, str(runs / "align"))
    stand_in.train("finetune", tmp_path / "run", init=begun, max_steps=1)
    card = load_weights(tmp_path / "run").card
    started = hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert started in json.dumps(card.stages)


def test_weights_of_another_network_are_refused(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    text = Path(stand_in.RECIPE).read_text()
    recipe = tmp_path / "wider.toml"
    recipe.write_text(text.replace("width = 4", "width = 8"))
    weights = str(runs / "finetune/final/model.safetensors")
    options = RunOptions(
        recipe=recipe, device="cpu", out=tmp_path / "x", init=(weights, str(runs / "align"))
    )
    with pytest.raises(ModelError, match="belong to another network"):
        finetune(options, source=stand_in.Discs())
