"""Write the report: `patients.tsv`, `summary.json` and `report.html` in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnisyn.evaluation.report.html import report_html
from omnisyn.evaluation.report.summary import summarize_evaluation
from omnisyn.evaluation.report.tables import patients_tsv, summary_json
from omnisyn.evaluation.report.text import summary_text
from omnisyn.evaluation.results import Evaluation
from omnisyn.volumes.atomic import json_bytes, staged

TSV_FILE, JSON_FILE, HTML_FILE = "patients.tsv", "summary.json", "report.html"


@dataclass(frozen=True)
class Report:
    """Where the report lies, and its figures.

    Attributes:
        patients: the per-patient table.
        summary_file: the summary as JSON.
        page: the HTML file.
        summary: what the JSON file holds.
        table: the main figures as lines of text for a terminal.
    """

    patients: Path
    summary_file: Path
    page: Path
    summary: dict[str, Any]
    table: str


def write_report(
    evaluation: Evaluation,
    directory: Path,
    generator: np.random.Generator,
    *,
    overwrite: bool = False,
) -> Report:
    """Write the three files: all of them, or none.

    Args:
        evaluation: what was found.
        directory: an existing folder.
        generator: draws the patients of the bootstrap.
        overwrite: replace an existing report.

    Raises:
        InputError: a file of the report exists and `overwrite` is false.
        ResourceError: the disk is full, read-only or gone.
    """
    patients, machine, page = (directory / name for name in (TSV_FILE, JSON_FILE, HTML_FILE))
    by_site, means = summarize_evaluation(evaluation, generator)
    summary = summary_json(evaluation, by_site, means)
    html = report_html(evaluation, by_site, means)
    with staged(overwrite=overwrite) as staging:
        staging.file(patients).write(patients_tsv(evaluation).encode())
        staging.file(machine).write(json_bytes(summary))
        staging.file(page).write(html.encode())
    return Report(patients, machine, page, summary, summary_text([*by_site, *means]))
