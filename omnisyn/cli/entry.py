"""The command `omnisyn`: whatever happens in it becomes one line and an exit code.

Exit codes: 0 done, 1 unexpected, 2 usage or device, 3 bad input or existing output, 4 model or
weights, 5 memory, disk, permission or network, 6 some cases failed, 130 interrupted, 141 the reader
of our output has left (`| head`), 143 terminated.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from types import FrameType
from typing import Annotated

import typer
from typer.main import get_command

from omnisyn.cli.console import READER_GONE, Console
from omnisyn.cli.options import HELP_NAMES
from omnisyn.cli.verbs import VerbGroup
from omnisyn.errors import (
    InputError,
    OmnisynError,
    ResourceError,
    UsageError,
    reason_of,
    sentence_of,
)

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    cls=VerbGroup,
    help="Make the missing MRI contrasts of a scan: T1, T1c, T2, FLAIR, PD, MRA from any of them.",
    epilog="For research only: not a medical device, and a synthetic image is not a measurement.",
    rich_markup_mode=None,
    add_completion=False,
    context_settings=dict(HELP_NAMES),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"omnisyn {version('omnisyn')}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Say the version and exit."
        ),
    ] = False,
) -> None:
    """Typer hangs the options of `omnisyn` itself on this function."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `omnisyn ARGUMENTS` (default: the process's own) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    with _usable_streams(), warnings.catch_warnings(), _exit_on_termination():
        try:
            return _run(given, Console())
        except SystemExit as exit_request:
            if isinstance(exit_request.__context__, BrokenPipeError):  # Typer's translation
                return READER_GONE
            return exit_request.code if isinstance(exit_request.code, int) else 1


def _run(given: list[str], console: Console) -> int:
    warnings.showwarning = console.warning
    try:
        _refuse_empty(given)
        code = get_command(app).main(
            args=given, prog_name="omnisyn", standalone_mode=False, obj=console
        )
        sys.stdout.flush()
    except Exception as fault:
        return _report(fault, console)
    if code == INTERRUPTED:  # Typer's translation of a KeyboardInterrupt
        console.error("interrupted")
    return code if isinstance(code, int) else 0


def _refuse_empty(words: Sequence[str]) -> None:
    """An empty word would be taken for the current folder; most often a variable was not set."""
    for before, word in pairwise(["", *words]):
        option, given, value = word.partition("=")
        if word == "" or (option.startswith("--") and given and not value):
            name = option or before
            raise UsageError(
                f"{name} is empty" if name.startswith("-") else "an argument is empty",
                remedy="leave it out, or check the variable that it comes from",
            )


def _report(fault: Exception, console: Console) -> int:
    """Print the one line for `fault` (and its traceback with -vv); return the exit code."""
    if isinstance(fault, OSError) and fault.errno == errno.EPIPE:
        return READER_GONE
    if console.verbosity >= 2:
        traceback.print_exception(fault)
    known = _known(fault)
    if known is not None:
        console.error(str(known))
        return known.exit_code
    console.error(
        f"unexpected {sentence_of(fault)} (run again with -vv for the traceback, and please report "
        "it)"
    )
    return 1


def _known(fault: Exception) -> OmnisynError | None:
    """`fault` as one of our own errors, where it is something a user can act on."""
    if isinstance(fault, OmnisynError):
        return fault
    if isinstance(fault, typer.TyperException):
        return UsageError(fault.format_message().rstrip("."), remedy="see omnisyn COMMAND --help")
    if isinstance(fault, UnicodeEncodeError):
        return InputError(
            "a name or a text holds bytes that are not UTF-8", remedy="rename the file or folder"
        )
    # torch's class cannot be named without importing torch; its name is part of its interface.
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
        return ResourceError(
            "out of memory", remedy="close other programs, or try --device cpu or fewer targets"
        )
    if isinstance(fault, (ConnectionError, TimeoutError)):
        return ResourceError(
            "the network did not answer", why=reason_of(fault), remedy="try again later"
        )
    if isinstance(fault, OSError) and fault.strerror:
        name = os.path.basename(os.fsdecode(fault.filename)) if fault.filename else None
        if fault.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return InputError(fault.strerror.lower(), where=name, remedy="check the path")
        return ResourceError(fault.strerror.lower(), where=name)
    return None


@contextmanager
def _usable_streams() -> Iterator[None]:
    """Streams that are there and take every text.

    A closed one (`2>&-`) becomes the null device, and a letter that the encoding lacks is written
    as an escape. One whose reader has left is silenced at the end, or Python would complain.
    """
    given = sys.stdout, sys.stderr
    with ExitStack() as stack:
        for name, stream in zip(("stdout", "stderr"), given, strict=True):
            if stream is None:
                setattr(sys, name, stack.enter_context(open(os.devnull, "w", encoding="utf-8")))
            elif isinstance(stream, io.TextIOWrapper):
                stack.callback(stream.reconfigure, errors=stream.errors)
                stream.reconfigure(errors="backslashreplace")
        try:
            yield
        finally:
            sys.stdout, sys.stderr = given
            for stream in filter(None, given):
                try:
                    stream.flush()
                except OSError:
                    with open(os.devnull, "w", encoding="utf-8") as nowhere:
                        os.dup2(nowhere.fileno(), stream.fileno())


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported somewhere below in the stack."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def _exit_on_termination() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that files half written are removed; exit code 143."""

    def terminate(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            # torch's C++ code aborts the process when an exception meets it while it is imported.
            os._exit(TERMINATED)
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
