"""What is compared: a TOML file of a recipe, the axes along which it varies, and what is equal.

An axis holds named changes of the recipe; the arms of a comparison are all combinations of one
change from each axis. `plans/` holds those that ship: each of the paper's comparisons at full
scale, and as a small version for two cores.
"""

from __future__ import annotations

import itertools
import math
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from omnisyn.errors import InputError, UsageError
from omnisyn.settings import Settings, load_toml, merged, parse
from omnisyn.training.recipe import Recipe, load_recipe

Budget = Literal["steps", "compute"]
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_JOINT = "+"


class DataSettings(Settings):
    """The training slices, which are the same for all arms, and what is validated on."""

    batches: int | None = Field(default=None, gt=0)
    """Distinct batches of a stage, which come again in turn; None: none comes twice."""
    validation_patients: int = Field(default=6, gt=0)
    """At most so many choose the learning rate and the weights."""
    validation_slices: int = Field(default=12, gt=0)
    """At most so many of each, evenly spread."""


class EvaluationSettings(Settings):
    """What the arms are scored on."""

    sites: tuple[str, ...]
    """Names of sites, or roles; of the data root where one is given, else of the embedded
    simulation."""
    slices: int | None = Field(default=None, gt=0)
    """At most so many axial slices of a patient, evenly spread; None: all."""


class ComparisonPlan(Settings):
    """A comparison: what varies, what is equal, and what it is scored on."""

    name: str = Field(pattern=_NAME)
    description: str
    recipe: str
    """Name of the shipped recipe that all arms begin with."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Of that recipe, for all arms; tables as in a recipe's file."""
    axes: dict[str, dict[str, dict[str, Any]]]
    """Axis → name → changes of the recipe."""
    reference: str
    """The arm that the others are held against, and whose steps set the compute."""
    equal: tuple[Budget, ...] = Field(min_length=1)
    """`steps`: every arm takes as many optimizer steps; `compute`: every arm takes as many
    floating-point operations in all its stages as the reference does."""
    steps: int = Field(gt=0)
    """Of the last stage: of every arm, or of the reference."""
    learning_rates: tuple[float, ...] = Field(min_length=1)
    """Of the last stage, tried by every arm; the best on the validation patients is taken."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """The learning rate is chosen with the first."""
    data: DataSettings = DataSettings()
    evaluation: EvaluationSettings

    @field_validator("axes")
    @classmethod
    def _named_for_files(
        cls, axes: dict[str, dict[str, dict[str, Any]]]
    ) -> dict[str, dict[str, dict[str, Any]]]:
        if not axes or not all(axes.values()):
            raise ValueError("there must be an axis, and every axis must hold something")
        for name in itertools.chain.from_iterable(axes.values()):
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is to name files: letters, digits, '-' and '_'")
        return axes

    @model_validator(mode="after")
    def _reference_is_an_arm(self) -> ComparisonPlan:
        if self.reference not in self.arms:
            raise ValueError(f"there is no arm {self.reference!r}: {', '.join(self.arms)}")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """Their names: one change of each axis, joined by `+`."""
        return tuple(_JOINT.join(names) for names in itertools.product(*self.axes.values()))

    def recipe_of(self, arm: str, learning_rate: float, steps: int) -> Recipe:
        """The whole recipe of an arm.

        Raises:
            InputError: its changes do not fit a recipe.
        """
        content: dict[str, Any] = load_recipe(self.recipe).model_dump(mode="json")
        content = merged(content, self.changes)
        for axis, name in zip(self.axes.values(), arm.split(_JOINT), strict=True):
            content = merged(content, axis[name])
        last = {"steps": steps, "optimizer": {"learning_rate": learning_rate}}
        content = merged(content, {"finetune": last})
        # Of all arms the same: runs of a stage that they share are of one recipe.
        content["name"] = self.name
        return parse(Recipe, content, where=f"{self.name}, arm {arm}")


def plan_names() -> tuple[str, ...]:
    """The shipped comparisons."""
    folder = resources.files("omnisyn.comparison") / "plans"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_plan(name_or_path: str | Path) -> ComparisonPlan:
    """Read a shipped comparison by name, or a file by path; every arm's recipe is checked.

    A file with the key `base`, the name of a shipped one, says only what differs from that.

    Raises:
        UsageError: neither a shipped name nor a file.
        InputError: the file does not parse, or a key, a value or an arm's recipe is wrong.
    """
    path = Path(name_or_path)
    if str(name_or_path) in plan_names():
        path = _shipped(str(name_or_path))
    elif not path.is_file():
        raise UsageError(
            f"there is no comparison {path.name!r}",
            why="it is neither a shipped one nor a file",
            remedy=f"choose one of {', '.join(plan_names())}, or give the path of a TOML file",
        )
    plan = load_toml(path, ComparisonPlan, _shipped)
    for arm in plan.arms:
        plan.recipe_of(arm, plan.learning_rates[0], plan.steps)
    return plan


def _shipped(name: str) -> Path:
    if name not in plan_names():
        raise InputError(
            f"the base {name!r} is no shipped comparison",
            remedy=f"use one of {', '.join(plan_names())}",
        )
    return Path(str(resources.files("omnisyn.comparison") / "plans" / f"{name}.toml"))


def steps_within(operations: float, spent: float, a_step: float) -> int:
    """Optimizer steps that fit into a budget of floating-point operations.

    Args:
        operations: of the budget.
        spent: of them, by the stages before.
        a_step: of one step of the last stage.

    Raises:
        UsageError: not one step fits.
    """
    steps = math.floor((operations - spent) / a_step + 0.5)
    if steps < 1:
        raise UsageError(
            "the budget of operations leaves no step for the last stage",
            why=f"the stages before take {spent:.3g} of {operations:.3g}",
            remedy="raise steps in the comparison's file, or shorten the stages before",
        )
    return steps
