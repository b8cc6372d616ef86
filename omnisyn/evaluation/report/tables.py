"""The figures as files for machines: per-patient TSV and summary JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from omnisyn.evaluation.controls import BLIND
from omnisyn.evaluation.report.definitions import (
    HEADLINES,
    INTENDED_USE,
    METHODS,
    METRICS,
    REGIONS,
    RULES,
)
from omnisyn.evaluation.report.summary import Figures
from omnisyn.evaluation.results import MODEL, Evaluation, Row, SiteScores
from omnisyn.evaluation.statistics import Summary, gains

DECIMALS = 6
UNKNOWN = "n/a"


def patients_tsv(evaluation: Evaluation) -> str:
    """One line for each site, patient, direction and method, under one line of column names.

    `inf` is the PSNR of identical images, `n/a` a figure that is not defined. `gain_…` is the
    model's figure minus the blind curve's.
    """
    rows = [(site, row) for site in evaluation.sites for row in site.rows]
    figures = figure_names(evaluation)
    blind = {
        (row.site, row.patient, row.direction): row.values for _, row in rows if row.method == BLIND
    }
    head = ["site", "simulated", "patient", "direction", "method", "control_source", *figures]
    head += [f"gain_{figure}" for figure in HEADLINES]
    head += ["clipped", "slices", "slices_without_head", "slices_constant"]
    lines = ["\t".join(head)]
    for site, row in rows:
        control = blind.get((row.site, row.patient, row.direction)) if row.method == MODEL else None
        cells = [row.site, str(site.simulated).lower(), row.patient, row.direction, row.method]
        cells.append(row.control_source or UNKNOWN)
        cells += [tsv_cell(row.values.get(figure, math.nan)) for figure in figures]
        cells += [tsv_cell(_gain(row, control, figure)) for figure in HEADLINES]
        cells += [tsv_cell(row.clipped), str(row.slices)]
        cells += [str(row.without_head), str(row.constant)]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def figure_names(evaluation: Evaluation) -> list[str]:
    """The names of all figures (`ssim_head`, …), in the order in which they are defined."""
    found = {name for site in evaluation.sites for row in site.rows for name in row.values}
    ordered = [f"{metric}_{region}" for region in REGIONS for metric in METRICS]
    return [name for name in ordered if name in found]


def summary_json(
    evaluation: Evaluation, by_site: Sequence[Figures], means: Sequence[Figures]
) -> dict[str, Any]:
    """The whole evaluation as a mapping that is valid JSON: a figure that is none is null."""
    return {
        "subject": evaluation.subject,
        "details": dict(evaluation.details),
        "simulated": evaluation.simulated,
        "intended_use": INTENDED_USE,
        "definitions": {
            "metrics": {name: metric.definition for name, metric in METRICS.items()},
            "regions": dict(REGIONS),
            "methods": dict(METHODS),
            "rules": list(RULES),
        },
        "failed_cases": len(evaluation.failures),
        "sites": [
            _site(site, figures) for site, figures in zip(evaluation.sites, by_site, strict=True)
        ],
        "means": [
            {
                "title": figures.title,
                "sites": list(figures.sites),
                "simulated": figures.simulated,
                "directions": _directions(figures),
            }
            for figures in means
        ],
    }


def _site(site: SiteScores, figures: Figures) -> dict[str, Any]:
    coverage = site.coverage
    return {
        "site": site.site,
        "role": site.role,
        "simulated": site.simulated,
        "scanner": site.scanner,
        "patients": coverage.patients,
        "blind_lut_fitted_on": site.fitted_on,
        "slices": {
            "scored": coverage.scored,
            "without_head": coverage.without_head,
            "constant": coverage.constant,
        },
        "failures": [
            {"patient": item.patient, "direction": item.direction, "reason": item.reason}
            for item in site.failures
        ],
        "notes": list(site.notes),
        "directions": _directions(figures),
    }


def _directions(figures: Figures) -> dict[str, Any]:
    return {
        direction: {
            method: {name: summary_entry(summary) for name, summary in table.items()}
            for method, table in methods.items()
        }
        for direction, methods in figures.directions.items()
    }


def summary_entry(summary: Summary) -> dict[str, Any]:
    """A summary for JSON, with a note where a number is null or stands on fewer patients."""
    entry: dict[str, Any] = {
        "mean": json_number(summary.mean),
        "sd": json_number(summary.deviation),
        "ci95": [json_number(summary.low), json_number(summary.high)],
        "patients": summary.count,
    }
    notes = note_of(summary)
    return {**entry, "note": notes} if notes else entry


def note_of(summary: Summary) -> str:
    """Why a figure is null or stands on fewer patients; empty where there is nothing to say."""
    notes = []
    if summary.infinite:
        notes.append(f"infinite in {summary.infinite} (identical images), left out")
    if summary.undefined:
        notes.append(f"not defined in {summary.undefined}, left out")
    if summary.count == 1 and not notes:
        notes.append("one patient: no SD and no interval")
    return "; ".join(notes)


def _gain(row: Row, control: Mapping[str, float] | None, figure: str) -> float:
    if control is None:
        return math.nan
    return gains([row.values[figure]], [control[figure]])[0]


def json_number(value: float) -> float | None:
    """A figure for JSON; null where it is infinite or not defined."""
    return round(value, DECIMALS) if math.isfinite(value) else None


def tsv_cell(value: float) -> str:
    """A figure for a TSV: `inf` where it is infinite, `n/a` where it is not defined."""
    if math.isnan(value):
        return UNKNOWN
    return f"{value:.{DECIMALS}f}" if math.isfinite(value) else f"{value}"
