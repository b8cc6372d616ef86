"""From a plan to its report: what the arms cost, what they may spend, and what came of it.

OUT/plan.toml     the plan
OUT/costs/        what each arm costs
OUT/runs/         training runs; of those that finished, the product alone
OUT/units/        the figures of each arm under each budget, with each seed
OUT/report/       tables, figure and page
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from omnisyn.comparison.bench import Setting, digest, stages_before, with_controls
from omnisyn.comparison.cost import measure_cost, operations_of_step
from omnisyn.comparison.plan import Budget, ComparisonPlan, steps_within
from omnisyn.comparison.results import Comparison, Cost, FailedUnit, read_cost, write_cost
from omnisyn.comparison.workers import Job, carry_out
from omnisyn.comparison.write import ComparisonReport, write_comparison
from omnisyn.errors import InputError, UsageError, sentence_of
from omnisyn.inference.sidecar import versions
from omnisyn.listeners import Note
from omnisyn.models.device import choose_device
from omnisyn.paths import data_root, name_of
from omnisyn.settings import dump_toml
from omnisyn.studies.site import DataRoot, Site
from omnisyn.training.recipe import Recipe
from omnisyn.training.run import Precision
from omnisyn.volumes.atomic import output_folder, write_text_atomic
from omnisyn.volumes.locks import held_if_free

_EQUAL: dict[Budget, str] = {
    "steps": "every arm took {steps} optimizer steps in its last stage",
    "compute": "every arm took as many floating-point operations in all its stages as {reference} "
    "does with {steps} steps in its last",
}


def compare(
    plan: ComparisonPlan,
    folder: Path,
    sites: Sequence[Site],
    *,
    data: Path | None,
    label_maps: Sequence[Path] = (),
    devices: Sequence[str] = ("auto",),
    precision: Precision = "float32",
    note: Note,
) -> ComparisonReport:
    """Train, score and report a comparison; what is finished in `folder` is not done again.

    Args:
        plan: what is compared.
        folder: where the comparison lies, or is to lie.
        sites: that are scored.
        data, label_maps, precision: of training, as in `RunOptions`.
        devices: one process works on each.
        note: hears one line at a time.

    Raises:
        InputError: another process works in the folder.
        UsageError: a device that is not there; or no arm can be trained.
        ResourceError: a process was killed, or the disk refuses.
    """
    chosen = [str(choose_device(device, note)) for device in devices]
    with output_folder(folder), held_if_free(folder / ".lock") as free:
        if not free:
            raise InputError(
                "another process works on the comparison",
                where=name_of(folder),
                remedy="wait until it has ended, or choose another --out",
            )
        write_text_atomic(folder / "plan.toml", dump_toml(plan))
        return _compared(
            plan, folder, tuple(sites), data, tuple(label_maps), chosen, precision, note
        )


def _compared(
    plan: ComparisonPlan,
    folder: Path,
    sites: tuple[Site, ...],
    data: Path | None,
    label_maps: tuple[Path, ...],
    devices: Sequence[str],
    precision: Precision,
    note: Note,
) -> ComparisonReport:
    recipes = {arm: plan.recipe_of(arm, plan.learning_rates[0], plan.steps) for arm in plan.arms}
    costs = {}
    for number, (arm, recipe) in enumerate(recipes.items(), start=1):
        note(f"what it costs, {number} of {len(recipes)}: {arm}")
        costs[arm] = _cost(folder, arm, recipe, devices[0])
    before = {arm: _operations_before(recipe) for arm, recipe in recipes.items()}
    steps, operations, failed = _budgets(plan, costs, before)
    for fault in failed:
        note(f"failed: {fault.arm}, equal {fault.budget}: {fault.reason}")
    setting = Setting(
        plan=plan,
        folder=folder,
        sites=sites,
        data=data,
        label_maps=label_maps,
        precision=precision,
        steps=steps,
        operations=operations,
    )
    carry_out(setting, devices, _stage_jobs(setting, recipes), note)
    jobs: list[Job] = [("measure_controls", ())]
    jobs += [("measure_arm", (arm,)) for arm in plan.arms if steps[arm]]
    controls, *arms = carry_out(setting, devices, jobs, note)
    units = [with_controls(unit, controls) for found, _ in arms for unit in found]
    failed += [fault for _, found in arms for fault in found]
    if not units:
        raise UsageError("no arm gave figures", where=plan.name, why=failed[0].reason)
    comparison = Comparison(
        name=plan.name,
        description=plan.description,
        reference=plan.reference,
        budgets={
            budget: _EQUAL[budget].format(steps=plan.steps, reference=plan.reference)
            for budget in plan.equal
        },
        simulated=_trained_on_simulation(data, label_maps),
        data=_data_in_words(setting),
        arms=plan.arms,
        costs=costs,
        results=tuple(units),
        failed=tuple(failed),
        details={
            "device": ", ".join(devices),
            "precision": precision,
            "learning rates tried": ", ".join(f"{rate:g}" for rate in plan.learning_rates),
            "seeds": ", ".join(map(str, plan.seeds)),
            **{f"version of {name}": version for name, version in versions().items()},
        },
    )
    report = folder / "report"
    with output_folder(report):
        return write_comparison(comparison, report, np.random.default_rng(0), overwrite=True)


def _cost(folder: Path, arm: str, recipe: Recipe, device: str) -> Cost:
    """Measured once, and kept."""
    facts = digest({"recipe": recipe.model_dump(mode="json"), "device": device})
    file = folder / "costs" / f"{arm}.{facts}.json"
    if file.is_file():
        return read_cost(file)
    cost = measure_cost(recipe, device)
    write_cost(file, cost)
    return cost


def _operations_before(recipe: Recipe) -> float:
    """Floating-point operations of the stages before the last."""
    return sum(
        operations_of_step(recipe, stage) * recipe.stage(stage).steps
        for stage in stages_before(recipe)
    )


def _budgets(
    plan: ComparisonPlan, costs: Mapping[str, Cost], before: Mapping[str, float]
) -> tuple[dict[str, dict[Budget, int]], dict[str, dict[Budget, float]], list[FailedUnit]]:
    """Steps and operations of each arm under each budget, and those for which nothing is left."""
    reference = plan.reference
    whole = before[reference] + plan.steps * costs[reference].training_operations
    steps: dict[str, dict[Budget, int]] = {arm: {} for arm in plan.arms}
    operations: dict[str, dict[Budget, float]] = {arm: {} for arm in plan.arms}
    failed = []
    for arm in plan.arms:
        a_step = costs[arm].training_operations
        for budget in plan.equal:
            try:
                within = steps_within(whole, before[arm], a_step) if budget == "compute" else None
            except UsageError as fault:
                reason = sentence_of(fault)
                failed += [FailedUnit(arm, budget, seed, reason) for seed in plan.seeds]
                continue
            steps[arm][budget] = within or plan.steps
            operations[arm][budget] = before[arm] + steps[arm][budget] * a_step
    return steps, operations, failed


def _stage_jobs(setting: Setting, recipes: Mapping[str, Recipe]) -> list[Job]:
    """Every run of a stage before the last, once."""
    jobs: dict[Path, Job] = {}
    for recipe in recipes.values():
        for seed in setting.plan.seeds:
            for stage in stages_before(recipe):
                run = setting.stage_run(stage, recipe, seed)
                jobs.setdefault(run, ("train_stage", (stage, recipe, seed)))
    return list(jobs.values())


def _trained_on_simulation(data: Path | None, label_maps: Sequence[Path]) -> bool:
    root = data_root(data)
    if root is None or label_maps:
        return True
    return any(site.settings.simulated for site in DataRoot(root).select("train"))


def _data_in_words(setting: Setting) -> str:
    root = data_root(setting.data)
    trained: list[str] = []
    if root is not None:
        trained.append(f"training sites of {name_of(root)}")
    if setting.label_maps:
        trained.append("SIMULATED heads of label maps")
    if root is None or setting.label_maps:
        trained.append("SIMULATED procedural heads")
    slices = setting.plan.evaluation.slices
    scored = "all slices" if slices is None else f"at most {slices} slices"
    return (
        f"Trained on {' + '.join(trained)}; scored on {', '.join(s.name for s in setting.sites)} "
        f"({scored} a patient, directions among {', '.join(setting.contrasts)})."
    )
