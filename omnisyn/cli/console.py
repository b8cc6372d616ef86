"""What a command says: results to stdout; notes, warnings and progress to stderr.

Names and headers of files are other people's words: whatever in them could move a cursor, colour a
terminal or begin a line of its own is left out before a line is written.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from omnisyn.listeners import Progress, unwatched

READER_GONE = 141
"""Exit code when whoever read our output has left: 128 + SIGPIPE, as shells count it."""

_INVISIBLE = {"Cc", "Cf"}  # controls, and formats such as those that turn the reading direction


class Console:
    """The two streams and how much is wanted on them.

    `verbosity` is -1 with `-q`, 0 by default, 1 with `-v`, 2 with `-vv` (tracebacks).
    """

    def __init__(self) -> None:
        self.verbosity = 0

    def result(self, text: str) -> None:
        """A line that the command was asked for."""
        _say(_printable(" ".join(text.splitlines())), sys.stdout)

    def table(self, text: str) -> None:
        """Several such lines."""
        for line in text.split("\n"):
            self.result(line)

    def json(self, value: Mapping[str, Any] | Sequence[Any]) -> None:
        """The same, for machines: ASCII, without NaN or infinity."""
        _say(json.dumps(value, indent=2, allow_nan=False), sys.stdout)

    def note(self, text: str) -> None:
        """Something worth knowing that is not the result; silenced by `-q`."""
        if self.verbosity >= 0:
            _say(_one_line(text), sys.stderr)

    def detail(self, text: str) -> None:
        """A note for `-v`."""
        if self.verbosity >= 1:
            self.note(text)

    def error(self, text: str) -> None:
        """The one line that says what went wrong; `-q` does not silence it."""
        _say(f"omnisyn: {_one_line(text)}", sys.stderr)

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
            TextColumn("{task.description}", markup=False),
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
                bars.update(task, completed=done, total=total, description=_one_line(what))

            yield advance


def _one_line(text: str) -> str:
    return _printable(" ".join(text.split()))


def _printable(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter) not in _INVISIBLE)


def _say(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # No Exception, which a batch would take for the fault of one patient and go on.
        raise SystemExit(READER_GONE) from None
    except OSError:
        # Where stderr cannot be written, nobody can be told; the exit code still says it.
        if stream is not sys.stderr:
            raise
