"""What a benchmark gives back, and how it is printed."""

from collections.abc import Mapping, Sequence
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


def print_matrix(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Rows of figures by name, as Markdown; every row has one a column."""
    print(f"\n### {title}\n\n| | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(f'{value:.3g}' for value in values)} |", flush=True)
