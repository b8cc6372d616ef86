"""A training run on disk: its options, its folder, and how one run finds those before it.

runs/NAME/config.toml        the resolved recipe and options
runs/NAME/run.json           stage, where it started from, how far it is, whether it finished
runs/NAME/checkpoints/       what it can be resumed from
runs/NAME/final/             the stage's product, once there is one
runs/NAME/metrics.jsonl      losses and validation figures by step
runs/NAME/tensorboard/
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from omnisyn.errors import InputError, ModelError, UsageError
from omnisyn.listeners import Note
from omnisyn.paths import name_of, read_json
from omnisyn.settings import Settings, dump_toml, load_toml
from omnisyn.training.recipe import STAGES, Recipe, Stage
from omnisyn.volumes.atomic import resource_error, write_json_atomic, write_text_atomic
from omnisyn.volumes.locks import held_if_free

_LENGTHS = ("steps", "save_every", "keep_checkpoints", "log_every")
Precision = Literal["float32", "bfloat16", "float16"]


def say_to_stderr(line: str) -> None:
    """The default listener for notes: one line to stderr, from the first process only."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a training command is told, the same for all three stages.

    Attributes:
        recipe: a shipped recipe's name, the path of a recipe file, or a recipe; None = `adapt`
            where `finetune` goes on from weights with patients of one's own, else `small`.
        data: a data root whose sites of role `train` are used; None = OMNISYN_DATA, or else the
            simulator itself.
        label_maps: folders of label maps, whose simulated heads are trained on beside the
            procedural ones and, where `data` is given, the patients.
        out: the run's folder; None = the next free `runs/STAGE-RECIPE-NNN`.
        init: runs or weights to start from, each recognised by what it is; empty = the newest
            finished runs of the stages before this one.
        seed: of the weights, the batches and every random draw.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; only `auto` may fall back.
        precision: of the arithmetic inside the networks; weights are always float32.
        max_steps: replaces the recipe's number of steps (the schedule ends there too).
        max_time: seconds after which the run stops, with its final product; `resume` goes on.
        resume: `auto` = go on in `out`, or in the newest unfinished run of the same settings;
            `never` = start anew; a path = go on in that run.
        save_every: steps between checkpoints; None = the recipe's.
        clip_weights: pretrained weights of the text-image model, for `align`: a tag of open_clip
            such as `openai`, `hf-hub:…` or a path.
        objective: of `pretrain`: `contrastive` or `brainmvp`; of `align`: `class` or `contrastive`;
            None = the recipe's.
        adversarial: train `finetune` against a PatchGAN, whether or not the recipe does.
    """

    recipe: str | Path | Recipe | None = None
    data: Path | None = None
    label_maps: tuple[Path, ...] = ()
    out: Path | None = None
    init: tuple[str, ...] = ()
    seed: int = 0
    device: str = "auto"
    precision: Precision = "float32"
    max_steps: int | None = None
    max_time: float | None = None
    resume: str = "auto"
    save_every: int | None = None
    clip_weights: str | None = None
    objective: str | None = None
    adversarial: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a training command gives back.

    Attributes:
        folder: the run's folder.
        stage: which stage it was.
        step: optimizer steps done in all.
        finished: whether `final/` was written.
        stopped_by: `steps` or `time`.
        figures: the validation figures of the exported weights.
        table: the confusion matrix and the similarity matrix of `align` as text, else empty.
    """

    folder: Path
    stage: Stage
    step: int
    finished: bool
    stopped_by: str
    figures: Mapping[str, float] = field(default_factory=dict)
    table: str = ""


class RunConfig(Settings):
    """The resolved settings of a run, as `config.toml` keeps them. What only says where and how
    long it runs (device, times) is not among them: it may change when a run is resumed."""

    stage: Stage
    seed: int
    precision: Precision
    data: str
    init: tuple[str, ...] = ()
    recipe: Recipe


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The folder's own name."""
        return name_of(self.path)

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def final(self) -> Path:
        """Folder of the product."""
        return self.path / "final"

    @property
    def metrics(self) -> Path:
        """Losses and figures, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def lock(self) -> Path:
        """Held by the process that runs in the folder."""
        return self.path / ".lock"

    def make(self) -> bool:
        """Make the folder; whether it was this call that made it.

        Raises:
            ResourceError: the disk is full or the place cannot be written.
        """
        try:
            self.path.mkdir(parents=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise resource_error("cannot make the run's folder", self.path, error) from error
        return True

    def start(self, config: RunConfig, starts: Sequence[str]) -> None:
        """Write the settings, and what the run starts from, into the folder.

        Raises:
            ResourceError: the disk is full or the place cannot be written.
        """
        write_text_atomic(self.path / "config.toml", dump_toml(config))
        self.update(
            stage=config.stage,
            recipe=config.recipe.name,
            starts=list(starts),
            finished=False,
            step=0,
        )

    def config(self) -> RunConfig:
        """The settings that the run was started with.

        Raises:
            InputError: config.toml is missing or damaged.
        """
        return load_toml(self.path / "config.toml", RunConfig)

    def record(self) -> dict[str, Any]:
        """What run.json says; empty where there is none or it cannot be read."""
        try:
            record = read_json(self.path / "run.json")
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def starts(self) -> tuple[str, ...]:
        """The runs and weights that the run started from."""
        return tuple(str(start) for start in self.record().get("starts", ()))

    def is_unused(self) -> bool:
        """Whether the folder is missing, empty, or was killed before its run.json was written."""
        if not self.path.exists():
            return True
        return self.path.is_dir() and all(
            path.name in ("config.toml", self.lock.name) or path.name.endswith(".partial")
            for path in self.path.iterdir()
        )

    def update(self, **changes: Any) -> None:
        """Change entries of run.json."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json_atomic(self.path / "run.json", {**self.record(), **changes, "changed": now})

    def truncate_metrics(self, step: int) -> None:
        """Drop the lines after `step`, which a resumed run is going to write again."""
        if not self.metrics.is_file():
            return
        kept = []
        for line in self.metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a killed run may be cut, or never have reached the disk
        write_text_atomic(self.metrics, "".join(kept))


def runs_root(options: RunOptions) -> Path:
    """Where a run's neighbours are looked for: beside `out`, else `runs/`."""
    return Path("runs") if options.out is None else options.out.parent


def find_runs(roots: Sequence[Path], stage: Stage, finished: bool) -> list[RunFolder]:
    """Runs of a stage below `roots`, the last changed first."""
    found: dict[Path, RunFolder] = {}
    for root in roots:
        if root.is_dir():
            for path in root.iterdir():
                run = RunFolder(path)
                record = run.record() if path.is_dir() else {}
                if record.get("stage") == stage and bool(record.get("finished")) == finished:
                    found.setdefault(path.resolve(), run)
    return sorted(
        found.values(), key=lambda run: (str(run.record().get("changed")), run.name), reverse=True
    )


def newest_finished_run(options: RunOptions, stage: Stage) -> RunFolder | None:
    """The newest finished run of `stage` beside `out` or under `runs/`."""
    found = find_runs([runs_root(options), Path("runs")], stage, finished=True)
    return found[0] if found else None


def named_runs(options: RunOptions) -> dict[Stage, RunFolder]:
    """The runs among `options.init`, by stage; what is no run is left for weights.

    Raises:
        ModelError: a run named there has not finished.
        UsageError: two of one stage.
    """
    named: dict[Stage, RunFolder] = {}
    for text in options.init:
        run = RunFolder(Path(text))
        record = run.record()
        stage = record.get("stage")
        if stage not in STAGES:
            continue
        if not record.get("finished"):
            raise ModelError(
                "the run to start from has not finished",
                where=run.name,
                remedy=f"resume it first: omnisyn {stage} --resume {text}",
            )
        if stage in named:
            raise UsageError(
                f"two {stage} runs are given to start from", where=run.name, remedy="give one"
            )
        named[stage] = run
    return named


def named_weights(options: RunOptions) -> str | None:
    """The weights among `options.init`, by name or path: what is no run, or a finetune run.

    Raises:
        UsageError: more than one.
    """
    found = [
        text
        for text in options.init
        if RunFolder(Path(text)).record().get("stage", "finetune") == "finetune"
    ]
    if len(found) > 1:
        raise UsageError("more than one set of weights is given to start from", remedy="give one")
    return found[0] if found else None


@contextlib.contextmanager
def held_run(options: RunOptions, config: RunConfig, say: Note) -> Iterator[tuple[RunFolder, bool]]:
    """The folder to run in, and whether the run goes on from its checkpoints. Inside the block no
    other process runs in it. A new run's folder is there, and goes again when nothing was put in.

    Raises:
        InputError: `out` exists and may not be continued, or holds a run of other settings;
            another process is running in the folder.
        UsageError: `resume` names no run.
        ResourceError: the folder cannot be made.
    """
    with contextlib.ExitStack() as held:
        yield _choose_run(options, config, say, held)


def _choose_run(
    options: RunOptions, config: RunConfig, say: Note, held: contextlib.ExitStack
) -> tuple[RunFolder, bool]:
    if options.resume not in ("auto", "never"):
        run = RunFolder(Path(options.resume))
        if not run.record():
            raise UsageError(
                "there is no run to resume",
                where=run.name,
                remedy="give the folder of a run, 'auto' or 'never'",
            )
        _hold(run, held)
        return _continued(run, config, say)
    if options.out is not None:
        run = RunFolder(options.out)
        made = run.make()
        _hold(run, held)
        if made:
            held.callback(_remove_if_empty, run)
        if run.is_unused():
            return run, False
        if options.resume == "never" or not run.record():
            raise InputError(
                "the run's folder exists already",
                where=run.name,
                remedy="choose another --out, or go on with --resume auto",
            )
        return _continued(run, config, say)
    root = runs_root(options)
    if options.resume == "auto":
        for run in find_runs([root], config.stage, finished=False):
            if _difference(run, config) is not None:
                continue
            with contextlib.ExitStack() as attempt:
                free = attempt.enter_context(held_if_free(run.lock))
                # It may have finished while its lock was being asked for.
                if free and not run.record().get("finished"):
                    held.enter_context(attempt.pop_all())
                    return _continued(run, config, say)
                say(f"{run.name} is left to another process, which is running in it")
    while True:
        run = RunFolder(root / _free_name(root, f"{config.stage}-{config.recipe.name}"))
        if run.make() and held.enter_context(held_if_free(run.lock)):
            held.callback(_remove_if_empty, run)
            return run, False


def _hold(run: RunFolder, held: contextlib.ExitStack) -> None:
    if not held.enter_context(held_if_free(run.lock)):
        raise InputError(
            "the run is in use by another process",
            where=run.name,
            remedy="wait until it has ended, or choose another --out",
        )


def _remove_if_empty(run: RunFolder) -> None:
    with contextlib.suppress(OSError):
        if list(run.path.iterdir()) == [run.lock]:
            run.lock.unlink()
        run.path.rmdir()


def _continued(run: RunFolder, config: RunConfig, say: Note) -> tuple[RunFolder, bool]:
    """`run`, after a check that it has the settings of `config`; only its length may differ."""
    difference = _difference(run, config, but_length=True)
    if difference is not None:
        raise InputError(
            "the run cannot be resumed with other settings",
            where=run.name,
            why=difference,
            remedy="use the same settings, or start a new run with another --out",
        )
    longer = _difference(run, config)
    if longer is not None:
        say(f"{run.name} goes on with another length: {longer}")
        write_text_atomic(run.path / "config.toml", dump_toml(config))
    return run, True


def _free_name(root: Path, stem: str) -> str:
    taken = [path.name for path in root.iterdir()] if root.is_dir() else []
    numbers = [
        int(found.group(1))
        for name in taken
        if (found := re.fullmatch(re.escape(stem) + r"-(\d+)", name))
    ]
    return f"{stem}-{max(numbers, default=0) + 1:03d}"


def _difference(run: RunFolder, config: RunConfig, but_length: bool = False) -> str | None:
    """The first setting in which the run on disk differs, or None."""
    try:
        old = _flat(run.config().model_dump(mode="json"))
    except InputError:
        return "its config.toml cannot be read"
    new = _flat(config.model_dump(mode="json"))
    others = set(STAGES) - {config.stage}
    for key in sorted(old.keys() | new.keys()):
        parts = key.split(".")
        if parts[0] == "recipe" and parts[1] in others:
            continue  # the settings of other stages do not touch this run
        if but_length and parts[-1] in _LENGTHS:
            continue
        if old.get(key) != new.get(key):
            return f"{key} is {old.get(key)!r} there and {new.get(key)!r} here"
    return None


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
