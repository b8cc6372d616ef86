"""Every way in which omnisyn refuses: what is wrong, where, why, and what to do about it.

Each class carries the exit code that the command line ends with. Whatever is not an
:class:`OmnisynError` is a fault of ours and ends with 1.
"""

import re

# Greedy, because folders may have spaces: rather a word too few than the name of a folder.
_FOLDERS = re.compile(r"(?<![\w.])(?:~|[A-Za-z]:)?[/\\](?:[^/\\]*[/\\])*")


class OmnisynError(Exception):
    """A refusal that a user can act on; its text is one line.

    Args:
        what: the fault, in a few words ("the gzip stream is cut short").
        where: the file, option or name it was found in (a basename, never a private path).
        why: the detail that shows it ("expected 8388608 bytes, found 5242880").
        remedy: what the user can do ("copy the file again").
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        why: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.why = why
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.why:
            line += f" ({self.why})"
        if self.remedy:
            line += f"; {self.remedy}"
        return " ".join(line.split())


class UsageError(OmnisynError):
    """The command was asked for something it does not know: an option, a contrast, a device."""

    exit_code = 2


class InputError(OmnisynError):
    """An input is missing, damaged or unfit, or an output exists already."""

    exit_code = 3


class ModelError(OmnisynError):
    """Weights or a training run are missing, damaged, or belong to another model."""

    exit_code = 4


class ResourceError(OmnisynError):
    """Memory, disk, permission or network ran out."""

    exit_code = 5


class PartialFailure(OmnisynError):
    """Some of several cases failed; the others are done."""

    exit_code = 6


def sentence_of(fault: BaseException) -> str:
    """What to tell of a fault: our own words, else its class and reason, without folders."""
    if isinstance(fault, OmnisynError):
        return str(fault)
    return f"{type(fault).__name__}: {reason_of(fault)}"


def reason_of(fault: BaseException) -> str:
    """What an exception of any library says: one line, without the folders of this machine."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    lines = str(fault).split("\n", 1)
    return without_folders(lines[0].strip()) or type(fault).__name__


def without_folders(text: str) -> str:
    """A text without the folders of this machine: of paths, only the last part is left."""
    return _FOLDERS.sub("", text)
