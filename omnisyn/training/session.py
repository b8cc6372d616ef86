"""From options to a finished run: what the three commands have in common."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, UsageError
from omnisyn.listeners import Note, unheard
from omnisyn.models.device import choose_device
from omnisyn.models.weights import load_card
from omnisyn.paths import data_root
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.label_maps import open_label_maps
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.chosen_contrasts import ChosenContrasts
from omnisyn.studies.mixed import MixedSlices, OpenSource, parts_of_batch
from omnisyn.studies.site import DataRoot
from omnisyn.studies.slices import SliceSource
from omnisyn.training.artefacts import RunCard
from omnisyn.training.loop import Loop
from omnisyn.training.recipe import (
    AlignSettings,
    FinetuneSettings,
    Recipe,
    Stage,
    StageSettings,
    load_recipe,
)
from omnisyn.training.run import (
    RunConfig,
    RunFolder,
    RunOptions,
    RunResult,
    held_run,
    named_weights,
    say_to_stderr,
)
from omnisyn.training.stage import TrainingStage
from omnisyn.volumes.atomic import atomic_directory

OBJECTIVES: dict[Stage, tuple[str, ...]] = {
    "pretrain": ("contrastive", "brainmvp"),
    "align": ("class", "contrastive"),
}
ADVERSARIAL_WEIGHT = 0.01
"""Of the PatchGAN where an option asks for one and the recipe has none: against errors of weight 1,
as the published training of ResViT has it."""
# Of each simulated head: what times do is learned from many of them, and scanning a head anew costs
# less than building one.
_VISITS_OF_ANY_PROTOCOL = 8
_MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Beginning:
    """What a stage is built from.

    Attributes:
        recipe: resolved.
        options: as given.
        starts: the runs and weights to start from, resolved: paths of run folders, and at most
            one set of weights.
        say: hears notes.
    """

    recipe: Recipe
    options: RunOptions
    starts: tuple[str, ...]
    say: Note


def run_stage(
    name: Stage,
    find_starts: Callable[[Recipe, RunOptions], tuple[str, ...]],
    build: Callable[[Beginning], TrainingStage],
    options: RunOptions,
    source: SliceSource | None = None,
    say: Note = say_to_stderr,
) -> RunResult:
    """Run one stage from its options to its product.

    Args:
        name: of the stage.
        find_starts: resolves what a new run starts from, saying nothing.
        build: makes the stage's networks from there.
        options: of the run.
        source: of the slices; None = what `options.data` names, else the simulator.
        say: hears notes, one line each.

    Raises:
        OmnisynError: any of its kinds, see `held_run`, `open_source` and `Loop`.
        SystemExit: 143 after SIGTERM.
    """
    recipe = resolved_recipe(name, options)
    settings = recipe.stage(name)
    with contextlib.ExitStack() as held:
        if source is None:
            source = open_source(options, settings, say)
            held.callback(source.close)
        if recipe.model.contrasts != NAMES:
            source = ChosenContrasts(source, recipe.model.contrasts)
        accelerator = held.enter_context(accelerator_for(options))
        config = RunConfig(
            stage=name,
            seed=options.seed,
            precision=options.precision,
            data=source.name,
            init=options.init,
            recipe=recipe,
        )
        run, resumed, starts = _choose(accelerator, options, config, find_starts, say, held)
        say(f"{name}: {run.path.as_posix()} on {_device_name(accelerator)}, data: {source.name}")
        stage = build(Beginning(recipe, options, starts, say))
        # Only now, so that a start that cannot be used leaves no empty run behind.
        if not resumed and accelerator.is_main_process:
            run.start(config, starts)
        loop = Loop(stage, source, run, options, accelerator, say)
        loop.setup(resumed)
        stopped_by = loop.fit()
        accelerator.wait_for_everyone()
        loop.choose_best()
        if accelerator.is_main_process:
            _export(loop, run, config, source, stopped_by)
        accelerator.wait_for_everyone()
    best = loop.standing
    say(f"{name}: finished at step {best.step}, exported the weights of step {best.best_step}")
    figures = {key: value for key, value in best.best_figures.items() if value is not None}
    return RunResult(run.path, name, best.step, True, stopped_by, figures, best.best_table)


def resolved_recipe(name: Stage, options: RunOptions) -> Recipe:
    """The recipe with the options that replace its values written into it.

    Raises:
        UsageError: no such recipe, or an option that does not fit the stage.
        InputError: the recipe's file is wrong.
    """
    recipe = _chosen_recipe(name, options)
    changes: dict[str, object] = {}
    if options.max_steps is not None:
        if options.max_steps < 1:
            raise UsageError("max_steps must be at least 1", why=f"it is {options.max_steps}")
        changes["steps"] = options.max_steps
        settings = recipe.stage(name)
        if isinstance(settings, AlignSettings | FinetuneSettings):
            changes["text_steps"] = min(settings.text_steps, options.max_steps // 2)
    if options.objective is not None:
        if options.objective not in OBJECTIVES.get(name, ()):
            raise UsageError(
                f"{name} has no objective '{options.objective}'",
                remedy=f"use {' or '.join(OBJECTIVES[name])}" if name in OBJECTIVES else None,
            )
        changes["objective"] = options.objective
    if options.adversarial:
        if name != "finetune":
            raise UsageError("only finetune trains adversarially", where=name)
        changes["adversarial_weight"] = recipe.finetune.adversarial_weight or ADVERSARIAL_WEIGHT
    stage = recipe.stage(name).model_copy(update=changes)
    clip = recipe.clip
    if options.clip_weights is not None:
        if name != "align":
            raise UsageError(
                "CLIP weights can be given to align only", where=name, remedy="leave them out"
            )
        clip = clip.model_copy(update={"weights": options.clip_weights})
    return recipe.model_copy(update={name: stage, "clip": clip})


def _chosen_recipe(name: Stage, options: RunOptions) -> Recipe:
    if isinstance(options.recipe, Recipe):
        return options.recipe
    if options.recipe is not None:
        return load_recipe(options.recipe)
    weights = named_weights(options) if name == "finetune" else None
    if weights is None or data_root(options.data) is None:
        return load_recipe("small")
    # Whatever network the weights are of: to adapt is to keep it.
    return load_recipe("adapt").model_copy(update={"model": load_card(weights).model})


def open_source(options: RunOptions, settings: StageSettings, say: Note) -> SliceSource:
    """The slices to train on: the patients of a data root, simulated heads, or all side by side.

    Without a data root, or with label maps, the embedded simulation is among them.

    Raises:
        InputError: the data root has no training site, no cache or, alone, no patient to validate
            on; or a folder has no label map.
        UsageError: a batch is too small to hold slices of every source.
    """
    shared: dict[str, Any] = {"crop": settings.crop, "seed": options.seed}
    simulated = shared | {"any_protocol": settings.any_protocol}
    if settings.any_protocol:
        simulated["visits"] = _VISITS_OF_ANY_PROTOCOL
    openers: list[OpenSource] = []
    shares: list[float] = []
    root = data_root(options.data)
    if root is not None:
        sites = DataRoot(root).select("train")
        scales = settings.mixture.grey_scales if options.label_maps else None
        openers.append(
            lambda size: CachedSlices(sites, batch_size=size, grey_scales=scales, **shared)
        )
        shares.append(settings.mixture.patients)
    if options.label_maps:
        anatomy = open_label_maps(options.label_maps)
        wide = load_cohort("anywhere")
        # Several visits a head: what holds for a whole exam is learned from many exams only, and a
        # further scan of a head costs less than another head.
        of_maps = {"visits": 4, "window": 30, "pool": 12, "validation_patients": 3} | simulated
        openers.append(
            lambda size: SimulatedSlices(wide, batch_size=size, anatomy=anatomy, **of_maps)
        )
        shares.append(settings.mixture.label_maps)
    if root is None or options.label_maps:
        say("training on simulated heads (SIMULATED patients)")
        hospitals = load_cohort("hospitals")
        several: dict[str, Any] = {"window": 50, "validation_patients": 3} if openers else {}
        openers.append(
            lambda size: SimulatedSlices(hospitals, batch_size=size, **simulated, **several)
        )
        shares.append(settings.mixture.procedural)
    if len(openers) > 1:
        return MixedSlices(openers, parts_of_batch(settings.batch_size, shares))
    source = openers[0](settings.batch_size)
    if isinstance(source, CachedSlices) and not source.validation_patients:
        # Said now, and not when the run has nothing to choose its weights by.
        raise InputError(
            f"no patient of {source.name} is left to validate on",
            why="the weights to keep are chosen on a patient that is not trained on",
            remedy="add a patient, or change the split column of patients.tsv",
        )
    return source


@contextlib.contextmanager
def accelerator_for(options: RunOptions) -> Iterator[Accelerator]:
    """The processes and the device of a run, as `accelerate launch`, `torchrun` or nothing set
    them up; afterwards the next run of this process may choose others.

    Raises:
        UsageError: the device is unknown or not there.
    """
    device = options.device
    if device != "auto":
        choose_device(device, unheard)
    AcceleratorState._reset_state(reset_partial_state=False)
    with _chosen_device(device):
        accelerator = Accelerator(
            cpu=device == "cpu",
            mixed_precision=_MIXED_PRECISION[options.precision],
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
    try:
        yield accelerator
    finally:
        if accelerator.num_processes == 1:
            AcceleratorState._reset_state(reset_partial_state=True)


@contextlib.contextmanager
def _chosen_device(device: str) -> Iterator[None]:
    # Accelerate takes the number of a device from the environment only.
    if ":" not in device:
        yield
        return
    key = "ACCELERATE_TORCH_DEVICE"
    before = os.environ.get(key)
    os.environ[key] = device
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


def _device_name(accelerator: Accelerator) -> str:
    count = accelerator.num_processes
    return f"{accelerator.device}" + (f" and {count - 1} more" if count > 1 else "")


def _choose(
    accelerator: Accelerator,
    options: RunOptions,
    config: RunConfig,
    find_starts: Callable[[Recipe, RunOptions], tuple[str, ...]],
    say: Note,
    held: contextlib.ExitStack,
) -> tuple[RunFolder, bool, tuple[str, ...]]:
    """Choose the run in the first process, which holds it, and tell the others."""
    opened: list[Any] = [None, False, ()]
    if accelerator.is_main_process:
        run, resumed = held.enter_context(held_run(options, config, say))
        # A run goes on from what it started from, whatever has been trained since.
        found = run.starts() if resumed else find_starts(config.recipe, options)
        opened = [str(run.path), resumed, found]
    if accelerator.num_processes > 1:
        broadcast_object_list(opened)
    path, goes_on, starts = opened
    for start in starts:
        say(f"{config.stage} starts from {start}")
    return RunFolder(Path(path)), goes_on, tuple(starts)


def _export(
    loop: Loop, run: RunFolder, config: RunConfig, source: SliceSource, stopped_by: str
) -> None:
    standing = loop.standing
    card = RunCard(
        stage=config.stage,
        recipe=config.recipe.name,
        seed=config.seed,
        trained_on=source.name,
        simulated=source.simulated,
        steps=standing.step,
        best_step=standing.best_step,
        seconds=standing.seconds,
        validation=standing.best_figures,
        before=loop.stage.before,
        credits=source.credits,
    )
    with atomic_directory(run.final, overwrite=True) as folder:
        loop.stage.export(folder, card, standing.best_table)
    run.update(
        finished=True,
        stopped_by=stopped_by,
        step=standing.step,
        best_step=standing.best_step,
        simulated=source.simulated,
        data=source.name,
        figures=standing.best_figures,
    )
