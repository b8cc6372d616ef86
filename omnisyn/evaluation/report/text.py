"""The main figures as a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from omnisyn.evaluation.controls import BLIND, COPY, ORACLE
from omnisyn.evaluation.report.definitions import GAIN, HEADLINES, metric_of, title_of
from omnisyn.evaluation.report.summary import Figures
from omnisyn.evaluation.results import MODEL
from omnisyn.evaluation.statistics import Summary

_COLUMNS = (MODEL, COPY, BLIND, ORACLE, GAIN)


def summary_text(parts: Sequence[Figures]) -> str:
    """For each site and mean: SSIM and PSNR in the head by direction, and the gain over the LUT."""
    lines: list[str] = []
    for part in parts:
        tag = "  SIMULATED" if part.simulated else ""
        unit = "sites" if len(part.sites) > 1 else "patients"
        for figure in HEADLINES:
            width = max([9, *(len(name) for name in part.directions)])
            lines.append(f"{part.title}{tag}: {title_of(figure)}, mean ± SD over {unit}")
            lines.append("  ".join([" " * width, *(f"{name:>15}" for name in _COLUMNS)]))
            for direction, methods in part.directions.items():
                cells = [
                    _cell(methods.get(name, {}).get(figure), figure, name) for name in _COLUMNS
                ]
                lines.append("  ".join([f"{direction:<{width}}", *cells]))
            lines.append("")
    return "\n".join(lines).rstrip()


def _cell(summary: Summary | None, figure: str, column: str) -> str:
    if summary is None or not math.isfinite(summary.mean):
        return f"{'inf' if summary is not None and summary.infinite else '-':>15}"
    decimals = metric_of(figure)[0].decimals
    text = f"{summary.mean:{'+' if column == GAIN else ''}.{decimals}f}"
    if math.isfinite(summary.deviation):
        text += f" ± {summary.deviation:.{decimals}f}"
    return f"{text:>15}"
