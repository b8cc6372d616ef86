"""What a run shows and keeps while it goes: the bar on a terminal, metrics.jsonl, TensorBoard."""

import json
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Column
from torch.utils.tensorboard import SummaryWriter

from omnisyn.training.run import RunFolder


def _fixed() -> Column:
    return Column(no_wrap=True, min_width=8)


class ProgressBar:
    """Steps, losses and the time left, on stderr, only where that is a terminal."""

    def __init__(self, title: str, steps: int, done: int, shown: bool) -> None:
        console = Console(stderr=True)
        self._bar: RichProgress | None = None
        if shown and console.is_terminal:
            self._bar = RichProgress(
                TextColumn("{task.description}", table_column=_fixed()),
                BarColumn(bar_width=12),
                MofNCompleteColumn(table_column=_fixed()),
                # On a narrow terminal the last losses go first, never the time left.
                TextColumn("{task.fields[losses]}", table_column=Column(no_wrap=True, ratio=1)),
                TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
                TextColumn("left", table_column=Column(no_wrap=True, min_width=4)),
                console=console,
            )
            self._task: TaskID = self._bar.add_task(title, total=steps, completed=done, losses="")

    def __enter__(self) -> "ProgressBar":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Move to `step`."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def show(self, losses: Mapping[str, float]) -> None:
        """Show the newest losses."""
        if self._bar is not None:
            text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
            self._bar.update(self._task, losses=text)


class MetricsLog:
    """Appends figures to the run's metrics.jsonl and TensorBoard files."""

    def __init__(self, run: RunFolder, step: int, kept: bool) -> None:
        self._run, self._step, self._kept = run, step, kept
        self._lines: TextIO
        self._board: SummaryWriter

    def __enter__(self) -> "MetricsLog":
        if self._kept:
            self._run.truncate_metrics(self._step)
            self._lines = self._run.metrics.open("a", encoding="utf-8")
            self._board = SummaryWriter(
                str(self._run.path / "tensorboard"), purge_step=self._step + 1
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            self._lines.close()
            self._board.close()

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Note the `figures` of `step`; `kind` is `train` or `validation`."""
        if not self._kept:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        self._lines.write(json.dumps({"step": step, "kind": kind, **rounded}) + "\n")
        self._lines.flush()
        for name, value in figures.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
