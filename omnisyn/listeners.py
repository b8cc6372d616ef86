"""How long work speaks to whoever started it. It imports nothing, so that every part may use it."""

from __future__ import annotations

from collections.abc import Callable

Note = Callable[[str], None]
"""Hears one sentence that a user should know, or one result."""

Progress = Callable[[int, int, str], None]
"""Hears how much is done, of how much, and what it is."""


def unheard(text: str) -> None:
    """A `Note` for callers who want none."""


def unwatched(done: int, total: int, what: str) -> None:
    """A `Progress` for callers who want none."""


def labelled(progress: Progress, label: str) -> Progress:
    """The same progress, its words preceded by a label."""
    return lambda done, total, what: progress(done, total, label + what)
