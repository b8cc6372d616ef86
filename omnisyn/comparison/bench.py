"""One device's bench: stages are trained on it, arms are trained, chosen and scored."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.comparison.plan import Budget, ComparisonPlan
from omnisyn.comparison.results import FailedUnit, UnitResult, read_unit, write_unit
from omnisyn.comparison.slices import SharedSlices
from omnisyn.errors import ModelError, OmnisynError, sentence_of
from omnisyn.evaluation.results import SiteScores
from omnisyn.evaluation.scoring import Scope, evaluate_site, slices_in_scope
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.listeners import Note
from omnisyn.models.weights import load_card
from omnisyn.paths import data_root
from omnisyn.simulate.embedded import fingerprint
from omnisyn.studies.site import Site
from omnisyn.training.align import align
from omnisyn.training.finetune import finetune
from omnisyn.training.pretrain import pretrain
from omnisyn.training.recipe import Recipe, Stage
from omnisyn.training.run import Precision, RunFolder, RunOptions
from omnisyn.training.session import open_source
from omnisyn.volumes.volume import Volume

_TRAIN = {"pretrain": pretrain, "align": align, "finetune": finetune}


@dataclass(frozen=True)
class Setting:
    """What is the same for the whole comparison, and where its files lie.

    The settings that decide what a file holds are in its name, as a digest: a plan that was changed
    finds what is still of use to it, and nothing else.

    Attributes:
        plan: what is compared.
        folder: where it lies.
        sites: that are scored.
        data, label_maps: what is trained on, as in `RunOptions`.
        precision: of training, as in `RunOptions`.
        steps: arm → budget → optimizer steps of the last stage.
        operations: arm → budget → floating-point operations of all its training.
    """

    plan: ComparisonPlan
    folder: Path
    sites: tuple[Site, ...]
    data: Path | None
    label_maps: tuple[Path, ...]
    precision: Precision
    steps: Mapping[str, Mapping[Budget, int]]
    operations: Mapping[str, Mapping[Budget, float]]

    def recipe(self, arm: str, learning_rate: float, budget: Budget) -> Recipe:
        """Of an arm under a budget."""
        return self.plan.recipe_of(arm, learning_rate, self.steps[arm][budget])

    def stage_run(self, stage: Stage, recipe: Recipe, seed: int) -> Path:
        """Where a stage's run lies, which arms of equal settings share."""
        model = recipe.model.model_dump(mode="json")
        facts: dict[str, Any] = {"stage": recipe.stage(stage).model_dump(mode="json")}
        if stage == "align":
            facts["clip"] = recipe.clip.model_dump(mode="json")
            model = {key: model[key] for key in ("condition_size", "contrasts")}
        name = f"{stage}.{digest({**facts, 'model': model, **self._trained_on()})}.seed{seed}"
        return self.folder / "runs" / name

    def last_run(self, arm: str, recipe: Recipe, seed: int) -> Path:
        """Where the run of an arm's last stage lies."""
        settings = recipe.finetune
        name = f"{arm}.steps{settings.steps}.rate{settings.optimizer.learning_rate:g}.seed{seed}"
        facts = {"recipe": recipe.model_dump(mode="json"), **self._trained_on()}
        return self.folder / "runs" / f"{name}.{digest(facts)}"

    def unit_file(self, arm: str, budget: Budget, seed: int) -> Path:
        """Where a unit's result lies."""
        facts = {
            "recipe": self.recipe(arm, self.plan.learning_rates[0], budget).model_dump(mode="json"),
            "rates": self.plan.learning_rates,
            "chosen with": self.plan.seeds[0],
            **self._trained_on(),
            **self._scored_on(),
        }
        return self.folder / "units" / f"{arm}.{budget}.seed{seed}.{digest(facts)}.json"

    def controls_file(self) -> Path:
        """Where the figures of the controls lie."""
        return self.folder / "units" / f"controls.{digest(self._scored_on())}.json"

    def _trained_on(self) -> dict[str, Any]:
        # Only ever seen as a digest, so that whole paths may be among them.
        root = data_root(self.data)
        return {
            "slices": self.plan.data.model_dump(mode="json"),
            "root": None if root is None else str(root.resolve()),
            "label maps": [str(folder.resolve()) for folder in self.label_maps],
            "simulator": fingerprint(),
            "precision": self.precision,
        }

    def _scored_on(self) -> dict[str, Any]:
        return {
            "sites": [str(site.path.resolve()) for site in self.sites],
            "slices of a patient": self.plan.evaluation.slices,
            "contrasts": self.contrasts,
        }

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Those that every arm knows; directions among them are scored."""
        known = [
            set(self.plan.recipe_of(arm, self.plan.learning_rates[0], 1).model.contrasts)
            for arm in self.plan.arms
        ]
        first = self.plan.recipe_of(self.plan.reference, self.plan.learning_rates[0], 1)
        return tuple(name for name in first.model.contrasts if all(name in each for each in known))


def stages_before(recipe: Recipe) -> tuple[Stage, ...]:
    """Which stages an arm needs before its last one."""
    needed: list[Stage] = ["pretrain"] if recipe.finetune.pretrained else []
    return (*needed, "align") if recipe.finetune.aligned else tuple(needed)


def digest(facts: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of settings, to name files by."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


@dataclass
class Bench:
    """Trains and scores on one device. What is finished on disk is not done again.

    Attributes:
        setting: of the comparison.
        device: as in `RunOptions`.
        note: hears one line at a time.
    """

    setting: Setting
    device: str
    note: Note
    _slices: dict[tuple[Any, ...], SharedSlices] = field(default_factory=dict)

    def close(self) -> None:
        """Give up what is in the making."""
        for source in self._slices.values():
            source.close()

    def train_stage(self, stage: Stage, recipe: Recipe, seed: int) -> None:
        """Train one of the stages before the last. What fails here fails each arm that needs it."""
        try:
            self._train_stage(stage, recipe, seed)
        except OmnisynError as fault:
            self.note(f"failed: {stage}, seed {seed}: {sentence_of(fault)}")

    def _train_stage(self, stage: Stage, recipe: Recipe, seed: int) -> str:
        folder = self.setting.stage_run(stage, recipe, seed)
        self._train(stage, recipe, seed, folder, ())
        return str(folder)

    def measure_arm(self, arm: str) -> tuple[list[UnitResult], list[FailedUnit]]:
        """Train and score an arm under every budget, with every seed."""
        units, failed = [], []
        plan = self.setting.plan
        for budget in plan.equal:
            if budget not in self.setting.steps[arm]:
                continue
            rate: float | None = None
            sweep: dict[str, float] = {}
            for seed in plan.seeds:
                try:
                    file = self.setting.unit_file(arm, budget, seed)
                    if file.is_file():
                        unit = read_unit(file)
                    else:
                        if rate is None:
                            rate, sweep = self._choose_rate(arm, budget)
                        unit = self._unit(arm, budget, seed, rate, sweep)
                        write_unit(file, unit)
                    rate, sweep = unit.learning_rate, dict(unit.sweep)
                    units.append(unit)
                except OmnisynError as fault:
                    failed.append(FailedUnit(arm, budget, seed, sentence_of(fault)))
                    self.note(f"failed: {arm}, equal {budget}, seed {seed}: {sentence_of(fault)}")
        return units, failed

    def measure_controls(self) -> tuple[SiteScores, ...]:
        """Score the controls, which belong to no arm."""
        file = self.setting.controls_file()
        if not file.is_file():
            scores = self._scores(None, controls=True)
            write_unit(file, UnitResult("controls", "", 0, 0.0, {}, 0, 0.0, 0.0, scores))
        return read_unit(file).scores

    def _choose_rate(self, arm: str, budget: Budget) -> tuple[float, dict[str, float]]:
        scores = {}
        for rate in self.setting.plan.learning_rates:
            try:
                run = self._finetune(arm, budget, self.setting.plan.seeds[0], rate)
            except ModelError as fault:
                # It may be too high for this network: that is what is being asked.
                self.note(f"{arm}: learning rate {rate:g}: {sentence_of(fault)}")
                continue
            scores[rate] = float(run.record()["figures"]["ssim"])
        if not scores:
            raise ModelError("no learning rate gave a network", where=arm)
        best = max(scores, key=lambda rate: scores[rate])
        return best, {f"{rate:g}": score for rate, score in scores.items()}

    def _unit(
        self, arm: str, budget: Budget, seed: int, rate: float, sweep: Mapping[str, float]
    ) -> UnitResult:
        run = self._finetune(arm, budget, seed, rate)
        weights = run.final / "model.safetensors"
        stages = load_card(weights).stages
        synthesizer = replace(Synthesizer.load(weights, self.device, note=self.note), plain=True)
        return UnitResult(
            arm=arm,
            budget=budget,
            seed=seed,
            learning_rate=rate,
            sweep=sweep,
            steps=self.setting.steps[arm][budget],
            operations=self.setting.operations[arm][budget],
            seconds=sum(float(stages[name]["seconds"]) for name in _TRAIN if name in stages),
            scores=self._scores(synthesizer, controls=False),
        )

    def _scores(self, synthesizer: Synthesizer | None, *, controls: bool) -> tuple[SiteScores, ...]:
        slices = self.setting.plan.evaluation.slices
        scope = Scope(self.setting.contrasts, slices, controls)
        painter = None if synthesizer is None else _Painter(synthesizer, slices)
        return tuple(
            replace(evaluate_site(site, painter, scope=scope), examples=())
            for site in self.setting.sites
        )

    def _finetune(self, arm: str, budget: Budget, seed: int, rate: float) -> RunFolder:
        recipe = self.setting.recipe(arm, rate, budget)
        starts = tuple(self._train_stage(stage, recipe, seed) for stage in stages_before(recipe))
        folder = self.setting.last_run(arm, recipe, seed)
        return self._train("finetune", recipe, seed, folder, starts)

    def _train(
        self, stage: Stage, recipe: Recipe, seed: int, folder: Path, starts: tuple[str, ...]
    ) -> RunFolder:
        run = RunFolder(folder)
        # The settings that decide it are in its name.
        if run.record().get("finished"):
            return run
        options = RunOptions(
            recipe=recipe,
            out=folder,
            init=starts,
            seed=seed,
            device=self.device,
            precision=self.setting.precision,
        )
        _TRAIN[stage](options, source=self._source(stage, recipe, seed), say=self.note)
        # What a finished run could be resumed from is not needed any more.
        shutil.rmtree(run.checkpoints, ignore_errors=True)
        return run

    def _source(self, stage: Stage, recipe: Recipe, seed: int) -> SharedSlices:
        settings = recipe.stage(stage)
        # Everything of the settings that `open_source` reads.
        key = (
            settings.batch_size,
            settings.crop,
            settings.any_protocol,
            settings.mixture.model_dump_json(),
            seed,
        )
        if key not in self._slices:
            options = RunOptions(
                data=self.setting.data, label_maps=self.setting.label_maps, seed=seed
            )
            source = open_source(options, settings, self.note)
            self._slices[key] = SharedSlices(source, self.setting.plan.data)
        return self._slices[key]


class _Painter:
    """Makes all targets of a source at once, and only the slices that are scored."""

    def __init__(self, synthesizer: Synthesizer, slices: int | None) -> None:
        self._synthesizer, self._slices = synthesizer, slices
        self._shown: list[Volume] = []
        self._made: dict[str, NDArray[np.float32]] = {}

    def __call__(self, volumes: Mapping[str, Volume], target: str) -> NDArray[np.float32]:
        """The target's volume, zero where it is not scored."""
        shown = list(volumes.values())
        if [id(volume) for volume in shown] != [id(volume) for volume in self._shown]:
            self._shown, self._made = shown, self._paint(volumes)
        return self._made[target]

    def _paint(self, volumes: Mapping[str, Volume]) -> dict[str, NDArray[np.float32]]:
        scaled = self._synthesizer.scaled(volumes)
        kept = slices_in_scope(len(next(iter(scaled.values()))), self._slices)
        made = self._synthesizer.synthesize_slices(
            {name: array[kept] for name, array in scaled.items()}, ["all"]
        )
        whole = {}
        for name, array in made.items():
            whole[name] = np.zeros_like(next(iter(scaled.values())))
            whole[name][kept] = array
        return whole


def with_controls(unit: UnitResult, controls: Sequence[SiteScores]) -> UnitResult:
    """The unit with the rows of the controls beside its own."""
    scores = tuple(
        replace(own, rows=(*own.rows, *shared.rows))
        for own, shared in zip(unit.scores, controls, strict=True)
    )
    return replace(unit, scores=scores)
