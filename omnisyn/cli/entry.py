"""The command `omnisyn`: whatever happens in it becomes one line and an exit code.

Exit codes: 0 done, 1 unexpected, 2 usage or device, 3 bad input or existing output, 4 model or
weights, 5 memory, disk, permission or network, 6 some cases failed, 130 interrupted, 143
terminated.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer
from typer.main import get_command

from omnisyn.cli.console import Console
from omnisyn.cli.verbs import VerbGroup
from omnisyn.errors import OmnisynError, ResourceError, UsageError

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    cls=VerbGroup,
    help="Make the missing MRI contrasts of a scan: T1, T1c, T2, FLAIR, PD, MRA from any of them.",
    epilog="For research only: not a medical device, and a synthetic image is not a measurement.",
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    console = Console()
    with warnings.catch_warnings(), _exit_on_termination():
        warnings.showwarning = console.warning
        try:
            code = get_command(app).main(
                args=given, prog_name="omnisyn", standalone_mode=False, obj=console
            )
            if code == INTERRUPTED:  # Typer's translation of a KeyboardInterrupt
                console.error("interrupted")
            return code if isinstance(code, int) else 0
        except SystemExit as exit_request:
            return exit_request.code if isinstance(exit_request.code, int) else 1
        except Exception as fault:
            return _report(fault, console)


def _report(fault: Exception, console: Console) -> int:
    """Print the one line for `fault` (and its traceback with -vv); return the exit code."""
    if isinstance(fault, OSError) and fault.errno == errno.EPIPE:
        # The reader of our output has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if console.verbosity >= 2:
        traceback.print_exception(fault)
    known = _known(fault)
    if known is not None:
        console.error(str(known))
        return known.exit_code
    console.error(
        f"unexpected {type(fault).__name__}: {fault} (run again with -vv for the traceback, "
        "and please report it)"
    )
    return 1


def _known(fault: Exception) -> OmnisynError | None:
    """`fault` as one of our own errors, where it is something a user can act on."""
    if isinstance(fault, OmnisynError):
        return fault
    if isinstance(fault, typer.TyperException):
        return UsageError(fault.format_message().rstrip("."), remedy="see omnisyn COMMAND --help")
    # torch's class cannot be named without importing torch; its name is part of its interface.
    if isinstance(fault, MemoryError) or type(fault).__name__ == "OutOfMemoryError":
        return ResourceError(
            "out of memory", remedy="close other programs, or try --device cpu or fewer targets"
        )
    if isinstance(fault, (ConnectionError, TimeoutError)):
        return ResourceError("the network did not answer", why=str(fault), remedy="try again later")
    if isinstance(fault, OSError) and fault.strerror:
        name = os.path.basename(os.fsdecode(fault.filename)) if fault.filename else None
        return ResourceError(fault.strerror.lower(), where=name)
    return None


@contextmanager
def _exit_on_termination() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that files half written are removed; exit code 143."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
