"""What a benchmark gives back, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure: what, how much, in which unit, and a remark."""

    what: str
    value: float
    unit: str
    remark: str = ""


def print_table(title: str, rows: Sequence[Row]) -> None:
    """A table as Markdown, so that it can be pasted into a note."""
    print(f"\n### {title}\n\n| what | value | unit | remark |\n|---|---:|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.value:.3g} | {row.unit} | {row.remark} |", flush=True)
