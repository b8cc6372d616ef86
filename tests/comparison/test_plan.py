from pathlib import Path

import pytest

from omnisyn.comparison.plan import ComparisonPlan, load_plan, plan_names, steps_within
from omnisyn.errors import InputError, UsageError
from omnisyn.models.backbone import backbone_names

PAPER = ("backbones", "adversarial", "arrangements", "strategies", "text-targets")

OWN = """
name = "mine"
description = "for the tests"
recipe = "small"
reference = "wide+free"
equal = ["compute"]
steps = 10
learning_rates = [1e-3]

[changes.finetune]
crop = 48

[axes.width]
wide = { model = { width = 32 } }
thin = { model = { width = 8 } }

[axes.encoder]
free = { finetune = { encoder = "free" } }
frozen = { finetune = { encoder = "frozen" } }

[evaluation]
sites = ["sim-external1"]
"""


def own(tmp_path: Path, old: str = "", new: str = "") -> ComparisonPlan:
    assert old in OWN
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(old, new))
    return load_plan(path)


def test_each_of_the_papers_comparisons_ships_at_full_scale_and_small() -> None:
    assert set(plan_names()) == {name + scale for name in PAPER for scale in ("", "-small")}


@pytest.mark.parametrize("name", plan_names())
def test_every_shipped_comparison_is_called_like_its_file_and_all_its_arms_can_be_trained(
    name: str,
) -> None:
    plan = load_plan(name)
    assert plan.name == name
    recipes = [plan.recipe_of(arm, 1e-3, 5) for arm in plan.arms]
    assert len({recipe.model_dump_json() for recipe in recipes}) == len(recipes)
    # Arms differ in what their axes say, and in nothing that makes the race unfair.
    for key in ("batch_size", "crop", "directions", "l1_weight", "ssim_weight", "mse_weight"):
        assert len({getattr(recipe.finetune, key) for recipe in recipes}) == 1
    assert len({recipe.model.contrasts for recipe in recipes}) == 1


@pytest.mark.parametrize("name", ["backbones", "backbones-small"])
def test_every_backbone_takes_part(name: str) -> None:
    assert set(load_plan(name).arms) == set(backbone_names())
    assert len(load_plan(name).learning_rates) == 3


def test_small_versions_train_on_small_crops() -> None:
    for name in plan_names():
        plan = load_plan(name)
        crops = {plan.recipe_of(arm, 1e-3, 5).finetune.crop for arm in plan.arms}
        assert crops == ({64} if name.endswith("-small") else {224})


def test_arms_are_all_combinations_and_their_recipes_hold_all_changes(tmp_path: Path) -> None:
    plan = own(tmp_path)
    assert plan.arms == ("wide+free", "wide+frozen", "thin+free", "thin+frozen")
    recipe = plan.recipe_of("thin+frozen", 7e-4, 12)
    assert (recipe.model.width, recipe.finetune.encoder, recipe.finetune.crop) == (8, "frozen", 48)
    assert (recipe.finetune.optimizer.learning_rate, recipe.finetune.steps) == (7e-4, 12)
    assert recipe.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("wide+free", "wide", "no arm 'wide'"),
        ("width = 8 }", "widht = 8 }", "unknown key 'model.widht'"),
        ("[1e-3]", "[]", "learning_rates"),
        ("steps = 10", "steps = 0", "steps"),
        ("thin =", '"../thin" =', "to name files"),
        ("[evaluation]", "[evaluation]\nslice = 3", "slice"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_before_anything_is_trained(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    with pytest.raises(InputError, match=fault):
        own(tmp_path, old, new)


def test_an_unknown_comparison_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="backbones-small"):
        load_plan("backbone")


def test_a_file_may_change_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text('base = "backbones-small"\nname = "quick"\nsteps = 3\n')
    plan = load_plan(path)
    assert (plan.name, plan.steps, plan.arms) == ("quick", 3, load_plan("backbones-small").arms)


def test_steps_fill_the_budget_to_the_nearest_step() -> None:
    assert steps_within(100.0, 20.0, 8.0) == 10
    assert steps_within(100.0, 0.0, 30.0) == 3
    assert steps_within(100.0, 0.0, 40.0) == 3
    with pytest.raises(UsageError, match="no step"):
        steps_within(100.0, 98.0, 30.0)
