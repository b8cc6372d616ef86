from pathlib import Path

import pytest

from omnisyn.errors import InputError, UsageError
from omnisyn.settings import dump_toml, load_toml
from omnisyn.training.recipe import Recipe, load_recipe, recipe_names

TINY = Path(__file__).with_name("tiny.toml")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = TINY.read_text()
    assert old in text
    path = tmp_path / "changed.toml"
    path.write_text(text.replace(old, new))
    return path


def test_small_and_paper_are_shipped() -> None:
    assert {"small", "paper"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_loads_under_its_own_name(name: str) -> None:
    assert load_recipe(name).name == name


def test_paper_has_the_published_figures() -> None:
    paper = load_recipe("paper")
    assert (paper.model.backbone, paper.model.width) == ("swinunetr", 48)
    assert paper.clip.architecture == "ViT-B-32"
    assert paper.model.condition_size == 512
    assert (paper.pretrain.batch_size, paper.pretrain.temperature) == (24, 0.07)
    assert (paper.pretrain.alignment_weight, paper.pretrain.contrastive_weight) == (1, 1)
    assert (paper.align.objective, paper.align.text_steps) == ("class", 1000)
    assert paper.align.optimizer.learning_rate == 1e-5
    assert (paper.finetune.mse_weight, paper.finetune.text_weight) == (3, 1)
    assert paper.finetune.encoder == "frozen"
    assert paper.finetune.batch_size == 32
    for stage in (paper.pretrain, paper.finetune):
        assert stage.optimizer.learning_rate == 1e-4
        assert stage.optimizer.weight_decay == 1e-5


def test_recipe_survives_being_written_and_read(tmp_path: Path) -> None:
    recipe = load_recipe("small")
    path = tmp_path / "resolved.toml"
    path.write_text(dump_toml(recipe))
    assert load_toml(path, Recipe) == recipe


def test_unknown_recipe_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no recipe 'smal'.*paper, small"):
        load_recipe("smal")


def test_unknown_key_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="l1_weight"):
        load_recipe(changed(tmp_path, "l1_weight", "l1_wieght"))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("l1_weight = 1.0\nssim_weight = 0.5", "l1_weight = 0.0", "must be above 0"),
        ("embed_size = 16", "embed_size = 32", "condition_size"),
        ("steps = 6\nbatch_size = 3\ncrop = 32\nvalidate_every = 4", "steps = 0", "steps"),
        ('"contrastive"\nsteps = 6', '"class"\nsteps = 6\ntext_steps = 6', "text_steps"),
        (
            '"contrastive"\nsteps = 6',
            '"class"\ntext_targets = "similar"\nsteps = 6',
            "needs the objective contrastive",
        ),
        (
            '"contrastive"\nsteps = 6',
            '"class"\nacquisition_weight = 1.0\nsteps = 6',
            "acquisition_weight needs the objective contrastive",
        ),
        ("text_weight = 0.1", 'decoder = "frozen"\ndescribed = 0.5', "the encoder frozen"),
        ("text_weight = 0.1", "text_steps = 2", "described above 0"),
        ("text_weight = 0.1", "text_steps = 8\ndescribed = 0.5", "fewer than steps"),
        ('encoder = "free"', 'encoder = "frozen"\ndecoder = "frozen"', "described must be above 0"),
        (
            'encoder = "free"',
            'encoder = "frozen"\ndecoder = "frozen"\ndescribed = 0.5\nlow_rank = 2',
            "go with a decoder that is free",
        ),
        (
            "[finetune.optimizer]",
            "[finetune.mixture]\npatients = 0\n[finetune.optimizer]",
            "patients",
        ),
        (
            "[finetune.optimizer]",
            "[finetune.mixture.grey_scales]\nT3 = { slope = [1.0, 1.0], shift = [0.0, 0.0] }\n"
            "[finetune.optimizer]",
            "no contrast is called 'T3'",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        load_recipe(changed(tmp_path, old, new))


def test_a_recipe_says_only_what_differs_from_its_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nbase = "small"\n[finetune.optimizer]\nlearning_rate = 0.5\n')
    mine, small = load_recipe(path), load_recipe("small")
    assert mine.finetune.optimizer.learning_rate == 0.5
    assert mine.finetune.optimizer.warmup_steps == small.finetune.optimizer.warmup_steps
    assert mine.pretrain == small.pretrain
    assert mine.name == "mine"


def test_an_unknown_base_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nbase = "large"\n')
    with pytest.raises(InputError, match=r"'large'.*small"):
        load_recipe(path)
