"""Write a comparison: two tables, a summary, a figure and a page in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnisyn.comparison.figures import quality_against_cost, stacked
from omnisyn.comparison.html import comparison_html
from omnisyn.comparison.results import Comparison
from omnisyn.comparison.summary import summarize_comparison
from omnisyn.comparison.tables import ranking_markdown, ranking_tsv, scores_tsv, summary_json
from omnisyn.volumes.atomic import json_bytes, staged

SCORES_FILE, RANKING_FILE, SUMMARY_FILE = "scores.tsv", "ranking.tsv", "summary.json"
FIGURE_FILE, PAGE_FILE = "quality-against-cost.png", "comparison.html"


@dataclass(frozen=True)
class ComparisonReport:
    """Where the files lie, and the figures.

    Attributes:
        scores: the table by direction and figure.
        ranking: the table of arms and controls, best first.
        summary_file: the summary as JSON.
        figure: quality against cost, of all places.
        page: the HTML file.
        summary: what the JSON file holds.
        table: the ranking as Markdown.
    """

    scores: Path
    ranking: Path
    summary_file: Path
    figure: Path
    page: Path
    summary: dict[str, Any]
    table: str


def write_comparison(
    comparison: Comparison,
    directory: Path,
    generator: np.random.Generator,
    *,
    overwrite: bool = False,
) -> ComparisonReport:
    """Write the five files: all of them, or none.

    Args:
        comparison: what was found.
        directory: an existing folder.
        generator: draws the patients of the bootstrap.
        overwrite: replace an existing report.

    Raises:
        InputError: a file of the report exists and `overwrite` is false, or the units were not
            scored on the same images.
        ResourceError: the disk is full, read-only or gone.
    """
    findings = summarize_comparison(comparison, generator)
    summary = summary_json(comparison, findings)
    pictures = {place.title: quality_against_cost(comparison, place) for place in findings.places}
    report = ComparisonReport(
        scores=directory / SCORES_FILE,
        ranking=directory / RANKING_FILE,
        summary_file=directory / SUMMARY_FILE,
        figure=directory / FIGURE_FILE,
        page=directory / PAGE_FILE,
        summary=summary,
        table=ranking_markdown(comparison, findings),
    )
    contents = {
        report.scores: scores_tsv(comparison, findings).encode(),
        report.ranking: ranking_tsv(comparison, findings).encode(),
        report.summary_file: json_bytes(summary),
        report.figure: stacked(list(pictures.values())),
        report.page: comparison_html(comparison, findings, pictures).encode(),
    }
    with staged(overwrite=overwrite) as staging:
        for path, content in contents.items():
            staging.file(path).write(content)
    return report
