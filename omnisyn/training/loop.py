"""One loop for the three stages: setup → step → validate → checkpoint.

Everything that a step does follows from the weights, the optimizer's state, the seed and the
step's number. So a run that was killed goes on from its last checkpoint as if nothing had
happened: on a CPU in float32, to the last bit.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from omnisyn.errors import ModelError
from omnisyn.listeners import Note
from omnisyn.studies.slices import SliceBatch, SliceSource, SourceClosed
from omnisyn.training.average import AveragedWeights
from omnisyn.training.checkpoints import (
    Checkpoint,
    load_newest_checkpoint,
    optimizer_tensors,
    remove_leftovers,
    restore_optimizer,
    save_checkpoint,
)
from omnisyn.training.determinism import repeatable_arithmetic, step_randomness
from omnisyn.training.memory import keep_freed_memory
from omnisyn.training.progress import MetricsLog, ProgressBar
from omnisyn.training.run import RunFolder, RunOptions
from omnisyn.training.signals import StopRequests
from omnisyn.training.stage import Row, TrainingStage


@dataclass
class Standing:
    """How far a run is: the part of a checkpoint that is no tensor.

    Attributes:
        step: optimizer steps done.
        validated: the last step whose validation is done.
        best_step, best_score, best_figures, best_table: of the best validation so far.
        seconds: training time so far, over all sessions of the run.
    """

    step: int = 0
    validated: int = -1
    best_step: int = -1
    best_score: float | None = None
    best_figures: dict[str, float | None] = field(default_factory=dict)
    best_table: str = ""
    seconds: float = 0.0


class Loop:
    """Trains one stage in one run folder."""

    def __init__(
        self,
        stage: TrainingStage,
        source: SliceSource,
        run: RunFolder,
        options: RunOptions,
        accelerator: Accelerator,
        say: Note,
    ) -> None:
        self.stage, self.source, self.run = stage, source, run
        self.options, self.accelerator, self.say = options, accelerator, say
        self.settings = stage.settings
        self.standing = Standing()
        self._best: dict[str, Tensor] = {}
        self._saved: tuple[int, int] | None = None

    def setup(self, resumed: bool) -> None:
        """Build the optimizer, place everything on its device, go on from a checkpoint.

        Raises:
            ModelError: no checkpoint can be read, or it does not fit.
        """
        chosen = self.settings.optimizer
        if self.accelerator.device.type == "cpu":
            keep_freed_memory()
        self.stage.to(self.accelerator.device)
        optimizer = torch.optim.AdamW(
            [p for p in self.stage.parameters() if p.requires_grad],
            lr=chosen.learning_rate,
            weight_decay=chosen.weight_decay,
        )
        self.wrapped, self.optimizer = self.accelerator.prepare(self.stage, optimizer)
        self.average = (
            AveragedWeights(self.stage.network, chosen.average_decay)
            if chosen.average_decay
            else None
        )
        if self.accelerator.is_main_process:
            remove_leftovers(self.run.checkpoints)
            remove_leftovers(self.run.path)
        self.accelerator.wait_for_everyone()
        if resumed:
            self._restore()

    def _restore(self) -> None:
        found = load_newest_checkpoint(self.run.checkpoints, self.say)
        if found is None:
            self.say(f"{self.run.name} has no checkpoint yet and starts from its first step")
            return
        try:
            self.stage.network.load_state_dict(dict(found.tensors["weights"]))
            if self.stage.companion is not None:
                self.stage.companion.load_state_dict(dict(found.tensors["companion"]))
            restore_optimizer(self.optimizer.optimizer, found.tensors["optimizer"])
            if self.average is not None:
                self.average.restore(found.tensors["average"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(dict(found.state["scaler"]))
            self.standing = Standing(**found.state["standing"])
            if self.standing.best_step >= 0:
                self._best = dict(found.tensors["best"])
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise ModelError(
                "the checkpoint does not fit this run", where=self.run.name, why=str(error)
            ) from error
        self._saved = (self.standing.step, self.standing.validated)
        self.say(f"{self.run.name} goes on from step {self.standing.step}")

    def fit(self) -> str:
        """Train to the last step; returns what ended it, `steps` or `time`.

        Raises:
            SystemExit: 143 after SIGTERM, once a checkpoint is written.
            KeyboardInterrupt: after Ctrl-C, once a checkpoint is written.
            ModelError: the loss is no longer a number.
        """
        session = time.monotonic()
        before = self.standing.seconds
        main = self.accelerator.is_main_process
        save_every = self.options.save_every or self.settings.save_every
        with (
            StopRequests(self._stop_waiting) as stop,
            ProgressBar(
                self.stage.stage, self.settings.steps, self.standing.step, main
            ) as progress,
            MetricsLog(self.run, self.standing.step, main, self.say) as log,
            Batches(self.stage, self.source, self.accelerator) as batches,
            repeatable_arithmetic(self.accelerator.device),
        ):
            try:
                self.patients = self.source.validation()
                while True:
                    ended = self._ended(time.monotonic() - session)
                    if ended or self._due(self.settings.validate_every):
                        self._validate(log, stop)
                    self.standing.seconds = before + time.monotonic() - session
                    if self._agreed(stop.requested):
                        break
                    if ended or self._due(save_every):
                        self._save()
                    if ended:
                        return ended
                    losses = self._step(batches)
                    progress.advance(self.standing.step)
                    if self._due(self.settings.log_every) or self._due(save_every):
                        progress.show(self._log_losses(log, losses))
            except SourceClosed:
                # No step begins before its batch is there, so what is saved now is whole.
                if not stop.requested:
                    raise
            self._save()
            self.say(f"stopped at step {self.standing.step}; --resume auto goes on")
            self.source.close()
            stop.leave()

    def _stop_waiting(self) -> None:
        # Of several processes none may leave before all have agreed on the step.
        if self.accelerator.num_processes == 1:
            self.source.close()

    def _due(self, every: int) -> bool:
        return self.standing.step > 0 and self.standing.step % every == 0

    def _ended(self, seconds: float) -> str:
        if self.standing.step >= self.settings.steps:
            return "steps"
        limit = self.options.max_time
        return "time" if self._agreed(limit is not None and seconds >= limit) else ""

    def _agreed(self, here: bool) -> bool:
        """Whether any process says so: all of them must stop at the same step."""
        if self.accelerator.num_processes == 1:
            return here
        flag = torch.tensor([float(here)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum").item() > 0)

    def _step(self, batches: "Batches") -> Mapping[str, Tensor]:
        step, device = self.standing.step, self.accelerator.device
        batch = batches.take(step)
        self.stage.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.learning_rate(step)
        process = self.accelerator.process_index
        with step_randomness(self.options.seed, step, process, device) as draws:
            losses = self.wrapped(batch, step, draws)
            self.accelerator.backward(losses["loss"])
        if self.settings.optimizer.clip_norm:
            trained = [p for p in self.stage.parameters() if p.grad is not None]
            self.accelerator.clip_grad_norm_(trained, self.settings.optimizer.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.standing.step += 1
        if self.average is not None:
            self.average.update(self.standing.step)
        return {name: value.detach() for name, value in losses.items()}

    def _log_losses(self, log: MetricsLog, losses: Mapping[str, Tensor]) -> dict[str, float]:
        numbers = {name: float(value) for name, value in losses.items()}
        if not math.isfinite(numbers["loss"]):
            raise ModelError(
                "the loss is no longer a number",
                where=f"{self.run.name}, step {self.standing.step}",
                remedy="lower the learning rate, or train with --precision float32",
            )
        rate = self.stage.learning_rate(self.standing.step - 1)
        log.write(self.standing.step, "train", {**numbers, "learning_rate": rate})
        return numbers

    @contextlib.contextmanager
    def _exported_weights(self) -> Iterator[None]:
        """Inside the block the network has the weights that are validated and exported."""
        with self.average.in_place() if self.average is not None else contextlib.nullcontext():
            yield

    def _validate(self, log: MetricsLog, stop: StopRequests) -> None:
        """Once per step; given up, to be done after the resumption, when a stop is requested."""
        standing, alone = self.standing, self.accelerator.num_processes == 1
        if standing.validated == standing.step:
            return
        mine = self.patients[self.accelerator.process_index :: self.accelerator.num_processes]
        rows: list[Row] = []
        self.stage.eval()
        with self._exported_weights(), torch.no_grad(), self.accelerator.autocast():
            for patient in mine:
                if alone and stop.requested:
                    return
                rows += self.stage.validate_patient(patient.to(self.accelerator.device))
            result = self.stage.summarize(rows if alone else gather_object(rows))
            better = standing.best_score is None or result.score > standing.best_score
            if math.isfinite(result.score) and better:
                standing.best_step, standing.best_score = standing.step, result.score
                standing.best_figures = finite(result.figures)
                standing.best_table = result.table
                # Kept here and in the checkpoints, never in a file of their own: weights and the
                # standing that says what they are can then not be of two moments.
                self._best = {
                    name: tensor.detach().to("cpu", copy=True)
                    for name, tensor in self.stage.network.state_dict().items()
                }
        standing.validated = standing.step
        log.write(standing.step, "validation", result.figures)
        self.say(
            f"{self.stage.stage} step {standing.step}: "
            + ", ".join(f"{name} {value:.4g}" for name, value in result.figures.items())
            + (" (best so far)" if standing.best_step == standing.step else "")
        )

    def _save(self) -> None:
        if self._saved == (self.standing.step, self.standing.validated):
            return
        self._saved = (self.standing.step, self.standing.validated)
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        tensors: dict[str, Mapping[str, Tensor]] = {
            "weights": self.stage.network.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer.optimizer),
        }
        if self.stage.companion is not None:
            tensors["companion"] = self.stage.companion.state_dict()
        if self.average is not None:
            tensors["average"] = self.average.tensors()
        if self._best:
            tensors["best"] = self._best
        state: dict[str, Any] = {"standing": asdict(self.standing)}
        if self.accelerator.scaler is not None:
            state["scaler"] = self.accelerator.scaler.state_dict()
        save_checkpoint(
            self.run.checkpoints,
            Checkpoint(self.standing.step, tensors, state),
            self.settings.keep_checkpoints,
        )
        self.run.update(step=self.standing.step)

    def choose_best(self) -> None:
        """Give the network the best weights that the validation found, for the export.

        Raises:
            ModelError: there are none, because no validation gave a finite figure.
        """
        if not self._best:
            raise ModelError(
                "no weights to export",
                where=self.run.name,
                why="no validation patient gave a figure",
                remedy="check that the data has validation patients with two contrasts or more",
            )
        self.stage.network.load_state_dict(self._best)
        self.stage.eval()


def finite(figures: Mapping[str, float]) -> dict[str, float | None]:
    """The figures as strict JSON knows them: None for what is no finite number."""
    return {name: value if math.isfinite(value) else None for name, value in figures.items()}


class Batches:
    """The batches of this process, each made one step ahead in a thread."""

    def __init__(self, stage: TrainingStage, source: SliceSource, accelerator: Accelerator) -> None:
        self._stage, self._source, self._accelerator = stage, source, accelerator
        self._ahead: dict[int, Future[SliceBatch]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def take(self, step: int) -> SliceBatch | None:
        """The batch of `step` on this process's device, or None where the step uses none."""
        self._ask(step)
        self._ask(step + 1)
        future = self._ahead.pop(step, None)
        if future is None:
            return None
        return future.result().to(self._accelerator.device, non_blocking=True)

    def _ask(self, step: int) -> None:
        wanted = step < self._stage.settings.steps and self._stage.uses_slices(step)
        if wanted and step not in self._ahead:
            number = step * self._accelerator.num_processes + self._accelerator.process_index
            self._ahead[step] = self._pool.submit(self._source.batch, number)
