"""The figures as Markdown for a terminal, and as TSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.real.goals import PSNR, SSIM, check_goals, mean_over_single
from benchmarks.real.measure import CONTROLS, OTHER, TRAINING
from omnisyn.evaluation.results import Row
from omnisyn.evaluation.scoring import REGIONS

FRAME = "ssim_frame"
_FIGURES = {SSIM: ("SSIM in head", 3), PSNR: ("PSNR in head", 2), FRAME: ("SSIM full frame", 3)}
_LESION_FIGURES = {
    "ssim": ("SSIM", 3),
    "psnr": ("PSNR", 2),
    "mae": ("MAE", 3),
    "count": ("lesions", 0),
    "contrast": ("contrast kept", 2),
    "sign": ("right sign", 2),
    "half": ("half kept", 2),
    "found": ("found", 2),
    "found_in_truth": ("found in truth", 2),
    "invented": ("invented ‰", 2),
    "invented_spots": ("invented spots", 0),
    "elsewhere_in_truth": ("elsewhere in truth ‰", 2),
}

Lines = list[str]


def site_lines(rows: Sequence[Row], models: Sequence[str]) -> Lines:
    """All tables of one site."""
    methods = [*models, *(name for name in CONTROLS if any(row.method == name for row in rows))]
    lines: Lines = []
    for figure, (title, digits) in _FIGURES.items():
        lines += ["", f"### {title}", *_table(rows, methods, figure, digits)]
    lines += _mean_lines(rows, models, methods)
    for region in REGIONS:
        if any(f"ssim_{region}" in row.values for row in rows):
            lines += _lesion_lines(rows, models, region)
    for model in models:
        lines += ["", f"### Done when: {model}", ""]
        for goal in check_goals(rows, model):
            mark = "?" if goal.holds is None else "yes" if goal.holds else "NO"
            lines.append(f"- [{mark}] {goal.asked}: {goal.evidence}")
    return lines


def _table(rows: Sequence[Row], methods: Sequence[str], figure: str, digits: int) -> Lines:
    cells: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        cells.setdefault((row.direction, row.patient), {})[row.method] = row.values[figure]
    body = [
        [direction, patient, *(_number(found.get(name, math.nan), digits) for name in methods)]
        for (direction, patient), found in sorted(cells.items(), key=lambda item: _order(item[0]))
    ]
    return markdown(["direction", "patient", *methods], body, texts=2)


def _mean_lines(rows: Sequence[Row], models: Sequence[str], methods: Sequence[str]) -> Lines:
    means = {
        name: {figure: mean_over_single(rows, name, figure) for figure in _FIGURES}
        for name in methods
    }
    body = []
    for name in methods:
        cells = [_number(means[name][figure], digits) for figure, (_, digits) in _FIGURES.items()]
        for control in (OTHER, TRAINING):
            for figure in (SSIM, PSNR):
                gain = means[name][figure] - means.get(control, {}).get(figure, math.nan)
                cells.append(_number(gain, _FIGURES[figure][1], sign=True))
        body.append([name, *cells])
    gains = [
        f"{title} over {control}" for control in (OTHER, TRAINING) for title in ("SSIM", "PSNR")
    ]
    head = ["method", *(title for title, _ in _FIGURES.values()), *gains]
    count = len({row.direction for row in rows if "+" not in row.direction})
    title = f"### Means over {count} directions of one source and all patients"
    return ["", title, *markdown(head, body, texts=1)]


def _lesion_lines(rows: Sequence[Row], models: Sequence[str], region: str) -> Lines:
    """Means over patients; lesions and spots are summed."""
    shown = [name for name in (*models, OTHER, TRAINING) if any(r.method == name for r in rows)]
    figures = {
        f"{name}_{region}": (title, digits)
        for name, (title, digits) in _LESION_FIGURES.items()
        if any(f"{name}_{region}" in row.values for row in rows)
    }
    body = []
    for direction in sorted({row.direction for row in rows}, key=lambda name: _order((name, ""))):
        for method in shown:
            here = [r.values for r in rows if r.direction == direction and r.method == method]
            cells = []
            for figure, (_, digits) in figures.items():
                values = [found[figure] for found in here if figure in found]
                values = [value for value in values if math.isfinite(value)]
                summed = figure.startswith(("count_", "invented_spots_"))
                value = float((np.sum if summed else np.mean)(values)) if values else math.nan
                cells.append(_number(value, digits))
            body.append([direction, method, *cells])
    head = ["direction", "method", *(title for title, _ in figures.values())]
    return ["", f"### In {region}, mean over patients", *markdown(head, body, texts=2)]


def rows_tsv(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """One line for each site, patient, direction and method; `facts` fill the last columns."""
    figures = list(dict.fromkeys(name for row in rows for name in row.values))
    head = ["site", "patient", "direction", "method", "control_source", *figures, "slices", *facts]
    lines = ["\t".join(head)]
    for row in rows:
        cells = [row.site, row.patient, row.direction, row.method, row.control_source or "n/a"]
        cells += [_number(row.values.get(figure, math.nan), 6) for figure in figures]
        lines.append("\t".join([*cells, str(row.slices), *facts.values()]))
    return "\n".join(lines) + "\n"


def _order(case: tuple[str, str]) -> tuple[bool, str, str]:
    """Directions with one source first."""
    return ("+" in case[0], *case)


def _number(value: float, digits: int, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]], *, texts: int) -> Lines:
    """A table; the first `texts` columns are text, the others numbers."""
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    return ["", *(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))]
