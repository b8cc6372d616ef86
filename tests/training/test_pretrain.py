import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.seeding import generator_at
from omnisyn.training.artefacts import read_encoder
from omnisyn.training.pretrain import Pretraining, present_images, pretrain
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions


@pytest.fixture
def generator(stand_in: ModuleType) -> Generator:
    return build_generator(load_recipe(stand_in.RECIPE).model, seed=3)


def test_present_images_come_with_their_places(stand_in: ModuleType) -> None:
    batch = stand_in.discs(generator_at(1), 3, 32, "x")
    images, places = present_images(batch)
    assert images.shape == (3 * 4, 1, 32, 32)
    for image, place in zip(images, places.tolist(), strict=True):
        assert torch.equal(image[0], batch.images[place // 6, place % 6])


def test_all_contrasts_go_through_the_encoder_in_one_pass(
    stand_in: ModuleType, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    encode = generator.encode
    monkeypatch.setattr(generator, "encode", lambda x, *c: passes.append(len(x)) or encode(x, *c))
    stage = Pretraining(generator, load_recipe(stand_in.RECIPE).pretrain)
    stage(stand_in.discs(generator_at(1), 3, 32, "x"), 0, torch.Generator())
    assert passes == [12]


def test_only_the_encoder_learns(stand_in: ModuleType, generator: Generator) -> None:
    stage = Pretraining(generator, load_recipe(stand_in.RECIPE).pretrain)
    stage(stand_in.discs(generator_at(1), 3, 32, "x"), 0, torch.Generator())["loss"].backward()
    learning = {name for name, p in generator.named_parameters() if p.grad is not None}
    assert learning
    assert all(name.startswith("backbone.encoder.") for name in learning)


def test_training_lowers_the_validation_loss(runs: Path) -> None:
    lines = [
        json.loads(line) for line in (runs / "pretrain/metrics.jsonl").read_text().split("\n")[:-1]
    ]
    losses = [line["loss"] for line in lines if line["kind"] == "validation"]
    assert losses[-1] < losses[0]


def test_final_holds_the_encoder_for_a_generator_of_the_same_shape(
    runs: Path, generator: Generator
) -> None:
    before = {name: p.clone() for name, p in generator.encoder.state_dict().items()}
    card = read_encoder(runs / "pretrain/final", generator)
    assert card["simulated"] is True
    assert card["trained_on"] == "discs"
    after = generator.encoder.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_encoder_of_another_width_is_refused(runs: Path, stand_in: ModuleType) -> None:
    settings = load_recipe(stand_in.RECIPE).model.model_copy(update={"width": 8})
    with pytest.raises(ModelError, match="its width is 4, the recipe asks for 8"):
        read_encoder(runs / "pretrain/final", build_generator(settings))


def test_pretrain_does_not_start_from_later_stages(runs: Path, stand_in: ModuleType) -> None:
    options = RunOptions(
        recipe=stand_in.RECIPE, out=runs / "never", device="cpu", init=(str(runs / "align"),)
    )
    with pytest.raises(UsageError, match="cannot start from a run of align"):
        pretrain(options, source=stand_in.Discs())
