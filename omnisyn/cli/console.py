"""What a command says: results to stdout; notes, warnings and progress to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from omnisyn.listeners import Progress, unwatched


class Console:
    """The two streams and how much is wanted on them.

    `verbosity` is -1 with `-q`, 0 by default, 1 with `-v`, 2 with `-vv` (tracebacks).
    """

    def __init__(self) -> None:
        self.verbosity = 0

    def result(self, text: str) -> None:
        """A line that the command was asked for."""
        print(text, file=sys.stdout, flush=True)

    def json(self, value: Mapping[str, Any] | Sequence[Any]) -> None:
        """The same, for machines; NaN and infinity never appear in it."""
        self.result(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))

    def note(self, text: str) -> None:
        """Something worth knowing that is not the result; silenced by `-q`."""
        if self.verbosity >= 0:
            print(_one_line(text), file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        """A note for `-v`."""
        if self.verbosity >= 1:
            self.note(text)

    def error(self, text: str) -> None:
        """The one line that says what went wrong; `-q` does not silence it."""
        print(f"omnisyn: {_one_line(text)}", file=sys.stderr, flush=True)

    def warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Stand-in for `warnings.showwarning`: one line instead of a source excerpt.

        Only warnings meant for users are shown; the rest speak to developers and wait for `-v`.
        """
        if issubclass(category, UserWarning):
            self.note(f"warning: {message}")
        else:
            self.detail(f"warning: {message}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A progress bar on a terminal, and nothing anywhere else."""
        if self.verbosity < 0 or not sys.stderr.isatty():
            yield unwatched
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        # Rich may draw results above the bar only where both streams are one terminal: results
        # that go to a file or a pipe must never turn up on stderr.
        with RichProgress(
            *columns,
            console=RichConsole(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        ) as bars:
            task = bars.add_task("", total=None)

            def advance(done: int, total: int, what: str) -> None:
                bars.update(task, completed=done, total=total, description=what)

            yield advance


def _one_line(text: str) -> str:
    return " ".join(text.split())
