"""What a run shows and keeps while it goes: the bar on a terminal, metrics.jsonl, TensorBoard."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

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
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from omnisyn.listeners import Note
from omnisyn.training.run import RunFolder
from omnisyn.volumes.atomic import resource_error


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


class Board:
    """One session's file for TensorBoard, written in this thread: the thread of TensorBoard's own
    writer meets a full disk alone and ends with a traceback.

    Args:
        folder: of the run's board files.
        first_step: what an earlier session wrote from this step on is hidden.

    Raises:
        OSError: here and in `write`, the disk is full or the place cannot be written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        self._file = (folder / f"events.out.tfevents.{time.time():.6f}").open("xb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"))
        self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Add the `figures` of `step`."""
        values = [
            Summary.Value(tag=f"{kind}/{name}", simple_value=value)
            for name, value in figures.items()
        ]
        self._add(Event(step=step, summary=Summary(value=values)))

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        # What a full disk did not take is tried again here; that it failed is known by then.
        with contextlib.suppress(OSError):
            self._file.close()


class MetricsLog:
    """Appends figures to the run's metrics.jsonl and TensorBoard files.

    Without metrics.jsonl a run does not go on; a board that cannot be written is given up, and
    `say` hears of it once.
    """

    def __init__(self, run: RunFolder, step: int, kept: bool, say: Note) -> None:
        self._run, self._step, self._kept, self._say = run, step, kept, say
        self._board: Board | None = None

    def __enter__(self) -> "MetricsLog":
        if self._kept:
            self._run.truncate_metrics(self._step)
            with self._or_no_board():
                self._board = Board(self._run.path / "tensorboard", self._step + 1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Note the `figures` of `step`; `kind` is `train` or `validation`.

        Raises:
            ResourceError: metrics.jsonl cannot be written.
        """
        if not self._kept:
            return
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        try:
            with self._run.metrics.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"step": step, "kind": kind, **rounded}) + "\n")
        except OSError as error:
            raise resource_error("cannot write", self._run.metrics, error) from error
        if self._board is not None:
            with self._or_no_board():
                self._board.write(step, kind, figures)

    @contextlib.contextmanager
    def _or_no_board(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            fault = resource_error("cannot write", self._run.path / "tensorboard", error)
            self._say(f"{fault.where}: {fault.what} ({fault.why}); training goes on without it")
            if self._board is not None:
                self._board.close()
            self._board = None
