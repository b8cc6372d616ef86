"""How targets are asked for: by name alone, as if acquired so and so, or in words of one's own."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from omnisyn.contrasts import contrast, guess_contrast
from omnisyn.errors import UsageError
from omnisyn.models.clip.texts import Acquisition, describe
from omnisyn.models.clip.vocabulary import pieces
from omnisyn.volumes.sidecar import FACTS

_BRIEF = 200
"""Longest short form, in characters."""


class _Fact(NamedTuple):
    """A number that may be asked for, within what scanners of heads can do."""

    option: str
    name: str
    lowest: float
    highest: float
    unit: str


# A time in seconds is below the lowest of its kind, or TE is above TR then.
_FACTS = {
    "repetition_time_ms": _Fact("--tr", "TR", 5, 30_000, "ms"),
    "echo_time_ms": _Fact("--te", "TE", 1, 1_000, "ms"),
    "inversion_time_ms": _Fact("--ti", "TI", 10, 10_000, "ms"),
    "field_tesla": _Fact("--field", "field", 0.01, 15, "T"),
}


@dataclass(frozen=True)
class Asked:
    """What is said of the targets besides their names.

    Attributes:
        acquisition: how they are to look as if they had been acquired.
        prompt: what the one target is to be, in place of everything else.

    Raises:
        UsageError: a number outside of what scanners do, echo or inversion not before repetition,
            an empty prompt, or a prompt and numbers.
    """

    acquisition: Acquisition = field(default_factory=Acquisition)
    prompt: str | None = None

    def __post_init__(self) -> None:
        for name, fact in _FACTS.items():
            value = getattr(self.acquisition, name)
            if value is not None and not fact.lowest <= value <= fact.highest:
                raise UsageError(
                    f"no {fact.name} of {value:g} {fact.unit} is known ({fact.option})",
                    why=f"it lies between {fact.lowest:g} and {fact.highest:g} {fact.unit}",
                    remedy="give times in ms, 90 for 0.09 s" if fact.unit == "ms" else "in tesla",
                )
        repetition = self.acquisition.repetition_time_ms
        for name in ("echo_time_ms", "inversion_time_ms"):
            value, fact = getattr(self.acquisition, name), _FACTS[name]
            if repetition is not None and value is not None and value >= repetition:
                raise UsageError(
                    f"{fact.name} is not shorter than TR",
                    why=f"{fact.option} {value:g} ms, --tr {repetition:g} ms",
                    remedy="give both in ms",
                )
        if self.prompt is not None:
            self._check(self.prompt)

    def _check(self, prompt: str) -> None:
        if not prompt.strip():
            raise UsageError("the prompt is empty", remedy="say what the target is (--prompt)")
        if not prompt.isprintable():
            raise UsageError(
                "the prompt holds signs that cannot be written down",
                remedy="write it in one line of plain text",
            )
        if not Asked(self.acquisition).canonical:
            raise UsageError(
                "--prompt says everything that is asked for",
                remedy="write TE, TR, TI, field and fat suppression into the prompt, or leave it "
                "out",
            )

    @property
    def in_words(self) -> bool:
        """Whether it takes a text tower: the canonical vectors know of fat and nothing else."""
        known = Acquisition(self.acquisition.fat_suppressed)
        return self.prompt is not None or self.acquisition != known

    @property
    def has_numbers(self) -> bool:
        """Whether times or a field are asked for, be it within a prompt."""
        if self.prompt is not None:
            return any(piece[0].isdigit() for piece in pieces(self.prompt))
        return any(getattr(self.acquisition, name) is not None for name in _FACTS)

    @property
    def fat_suppressed(self) -> bool:
        """Whether the targets are to be without fat; unsaid is no."""
        return bool(self.acquisition.fat_suppressed)

    @property
    def canonical(self) -> bool:
        """Whether it is nothing but the names."""
        return not (self.in_words or self.fat_suppressed)

    @property
    def brief(self) -> str:
        """It in a few signs of ASCII, for titles; empty for nothing but names."""
        if self.prompt is not None:
            signs = (s if s.isascii() and s not in "\\$" else "?" for s in self.prompt)
            return textwrap.shorten("".join(signs), _BRIEF, placeholder=" ...")
        told = [
            f"{fact.name} {value:g} {fact.unit}"
            for name, fact in _FACTS.items()
            if (value := getattr(self.acquisition, name)) is not None
        ]
        return ", ".join(told + ["fat suppressed"] * self.fat_suppressed)

    def text(self, target: str) -> str:
        """The text that a target is asked for with."""
        if self.prompt is not None:
            return self.prompt
        return describe(
            contrast(target), replace(self.acquisition, fat_suppressed=self.fat_suppressed)
        )

    def told(self, target: str) -> dict[str, Any]:
        """What a sidecar says was asked for: the text, and numbers under their names in BIDS, times
        in s. Empty for nothing but the name."""
        if self.canonical:
            return {}
        told: dict[str, Any] = {"Text": self.text(target)}
        if self.prompt is None:
            told["FatSuppressed"] = self.fat_suppressed
        for name, key in FACTS.items():
            value = getattr(self.acquisition, name)
            if value is not None:
                told[key] = round(value / 1000, 7) if name.endswith("_ms") else value
        return told

    def targets(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """The targets that are meant: those that are wanted, else the one that the prompt names.

        Raises:
            UsageError: there is none, or several for one prompt.
        """
        if self.prompt is None:
            if not wanted:
                raise UsageError(
                    "no target is asked for", remedy="give --target CONTRAST, or all for every one"
                )
            return tuple(wanted)
        if wanted:
            if "all" in map(str.lower, wanted) or len({contrast(each) for each in wanted}) > 1:
                raise UsageError(
                    "a prompt is of one target",
                    why=f"asked for are {', '.join(wanted)}",
                    remedy="give one --target, or leave it out when the prompt names a contrast",
                )
            return tuple(wanted)
        guessed = guess_contrast(self.prompt)
        if guessed is None:
            raise UsageError(
                "the prompt names no contrast",
                remedy="say with --target which one the result is to be called",
            )
        return (guessed.name,)

    def oddities(self, target: str) -> list[str]:
        """What does not go well with a target, one sentence each."""
        odd = []
        entry, inversion = contrast(target), self.acquisition.inversion_time_ms
        if inversion is not None and entry.inversion_time_ms is None:
            odd.append(
                f"TI {inversion:g} ms is asked of {target}, which is acquired without an inversion "
                "as a rule: the model may not know what to make of it"
            )
        guessed = None if self.prompt is None else guess_contrast(self.prompt)
        if guessed is not None and guessed is not entry:
            odd.append(f"the prompt seems to be of {guessed.name}; the result is called {target}")
        return odd
