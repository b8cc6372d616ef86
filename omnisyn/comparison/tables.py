"""The figures of a comparison as files for machines, and the ranking as Markdown for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from omnisyn.comparison.paired import PairedTest
from omnisyn.comparison.results import Comparison, Cost, UnitResult
from omnisyn.comparison.summary import ArmFigures, Findings, Place, Standing
from omnisyn.evaluation.controls import CONTROLS
from omnisyn.evaluation.report.definitions import (
    GAIN,
    HEADLINES,
    INTENDED_USE,
    METHODS,
    RULES,
    metric_of,
    title_of,
)
from omnisyn.evaluation.report.summary import Figures
from omnisyn.evaluation.report.tables import UNKNOWN, json_number, summary_entry, tsv_cell
from omnisyn.evaluation.results import MODEL
from omnisyn.evaluation.statistics import Summary

TEST_RULES = (
    "An arm's figure of a patient and direction is the mean over seeds. The unit is the patient: "
    "the figure of a patient is the mean over directions.",
    "Difference = arm minus reference, patient by patient, over the directions that both have. "
    "p: two-sided Wilcoxon signed-rank test of these differences, exact for ties; differences of "
    "zero are left out. Holm: corrected over the arms of one site and budget, SSIM and PSNR each "
    "by itself.",
    "n differences cannot give a p below 2^(1−n): 5 patients cannot give less than 0.0625, "
    "however different two arms are. A p that is not small is no proof that two arms are alike.",
    "The test asks whether patients differ, with the weights that were trained. Whether another "
    "training would differ as well, the SD over seeds shows, and no p here.",
    "Several sites: a mean weighs every site alike, the test pools their patients. It speaks of "
    "these sites, not of others.",
)

_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
_ARM, _CONTROL = "arm", "control"


def scores_tsv(comparison: Comparison, findings: Findings) -> str:
    """One line for each place, budget, arm or control, direction and figure.

    Figures as in `ranking_tsv`. `gain` is over the blind LUT; for controls, and where a lower
    figure is the better one, there is none.
    """
    head = ["site", "simulated", "kind", "name", "budget", "seeds", "direction", "figure"]
    head += ["patients", "mean", "sd", "ci95_low", "ci95_high"]
    head += ["gain", "gain_ci95_low", "gain_ci95_high"]
    lines = [head]
    for place in findings.places:
        for arm in findings.arms:
            found = arm.figures[place.title]
            start = [place.title, _flag(place.simulated), _ARM, arm.arm, arm.budget]
            start.append(str(len(arm.units)))
            lines += _score_lines(start, found, MODEL)
        for control in CONTROLS:
            start = [place.title, _flag(place.simulated), _CONTROL, control, UNKNOWN, UNKNOWN]
            lines += _score_lines(start, findings.controls[place.title], control)
    return _tsv(lines)


def _score_lines(start: Sequence[str], found: Figures, method: str) -> Iterable[list[str]]:
    for direction, methods in found.directions.items():
        for figure, summary in methods.get(method, {}).items():
            gain = methods.get(GAIN, {}).get(figure) if method == MODEL else None
            cells = [str(summary.count), *_numbers(summary, deviation=True)]
            yield [*start, direction, figure, *cells, *_numbers(gain, deviation=False)]


def ranking_tsv(comparison: Comparison, findings: Findings) -> str:
    """One line for each place, budget, and arm or control: the highest SSIM in the head first.

    `inf` is the PSNR of identical images, `n/a` a figure that is not defined or that a control
    does not have.
    """
    head = ["site", "simulated", "budget", "rank", "kind", "name", "seeds", "failed_cases"]
    for figure in HEADLINES:
        head += [f"{figure}_{name}" for name in ("patients", "mean", "sd", "ci95_low", "ci95_high")]
        head += [f"{figure}_sd_over_seeds", f"{figure}_gain"]
        head += [f"{figure}_difference", f"{figure}_n", f"{figure}_zeros"]
        head += [f"{figure}_p", f"{figure}_p_holm", f"{figure}_smallest_p"]
    head += ["learning_rates", "steps", "training_operations", "training_seconds"]
    head += ["parameters", "step_operations", "slice_operations", "slice_seconds"]
    head += ["training_memory_mib"]
    lines = [head]
    for place in findings.places:
        for budget, standings in place.rankings.items():
            for rank, standing in enumerate(standings, 1):
                arm = standing.arm
                line = [place.title, _flag(place.simulated), budget, str(rank)]
                line += [_ARM if arm else _CONTROL, standing.name]
                line += [str(len(arm.units)) if arm else UNKNOWN]
                line += [str(standing.failed_cases) if arm else UNKNOWN]
                for figure in HEADLINES:
                    line += _quality_cells(standing, figure)
                line += _training_cells(arm) if arm else [UNKNOWN] * 4
                line += _cost_cells(comparison.costs.get(standing.name) if arm else None)
                lines.append(line)
    return _tsv(lines)


def _quality_cells(standing: Standing, figure: str) -> list[str]:
    summary, gain = standing.quality.get(figure), standing.gain.get(figure)
    cells = [str(summary.count if summary else 0), *_numbers(summary, deviation=True)]
    cells += [tsv_cell(standing.deviation_over_seeds(figure))]
    cells += [tsv_cell(gain.mean if gain else math.nan)]
    test = standing.tests.get(figure)
    if test is None:
        return [*cells, *[UNKNOWN] * 6]
    ranked = test.signed_rank
    cells += [tsv_cell(test.difference.mean), str(ranked.count), str(ranked.zeros)]
    return [*cells, *(_precise(value) for value in (ranked.p, test.holm, ranked.floor))]


def _training_cells(arm: ArmFigures) -> list[str]:
    seconds = [unit.seconds for unit in arm.units]
    return [
        learning_rates(arm.units),
        steps_of(arm.units),
        _precise(arm.operations),
        _precise(sum(seconds) / len(seconds)),
    ]


def _cost_cells(cost: Cost | None) -> list[str]:
    if cost is None:
        return [UNKNOWN] * 5
    measured = (cost.training_operations, cost.slice_operations, cost.slice_seconds)
    cells = [str(cost.parameters), *(_precise(value) for value in measured)]
    return [*cells, _precise(cost.training_memory_mib)]


def learning_rates(units: Sequence[UnitResult]) -> str:
    """The learning rates that the seeds took: one where they agree."""
    return ", ".join(dict.fromkeys(f"{unit.learning_rate:g}" for unit in units))


def steps_of(units: Sequence[UnitResult]) -> str:
    """The steps of the seeds: one number where they agree."""
    return ", ".join(dict.fromkeys(str(unit.steps) for unit in units))


def short_number(value: float) -> str:
    """Three digits and a prefix: 1.23e13 → "12.3 T"; a dash where it is not known."""
    if not math.isfinite(value):
        return "–"
    # Rounded first: 999.6 is 1 k.
    rounded = float(f"{value:.3g}")
    power = min(int(math.log10(rounded) // 3), len(_PREFIXES) - 1) if rounded >= 1 else 0
    return f"{rounded / 1000**power:.4g} {_PREFIXES[power]}".rstrip()


def probability(value: float) -> str:
    """A p-value with three digits; a dash where there was nothing to test."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def ranking_markdown(comparison: Comparison, findings: Findings) -> str:
    """The rankings as tables for a document or a terminal."""
    parts = []
    for place in findings.places:
        for budget, standings in place.rankings.items():
            tag = ", SIMULATED" if place.simulated else ""
            parts.append(f"**{place.title}{tag}**, equal {budget}: {comparison.budgets[budget]}\n")
            parts.append(_markdown_table(comparison, standings))
    failed = [
        f"- failed: {unit.arm}, {unit.budget}, seed {unit.seed}: {unit.reason}"
        for unit in comparison.failed
    ]
    return "\n".join([*parts, *failed]).rstrip() + "\n"


def _markdown_table(comparison: Comparison, standings: Sequence[Standing]) -> str:
    titles = ["", *(title_of(figure) for figure in HEADLINES), f"SSIM, {GAIN}"]
    titles += [f"SSIM, minus {comparison.reference}", "p, Holm (smallest p)", "n"]
    titles += ["parameters", "operations, training", "operations, slice"]
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)]]
    first = HEADLINES[0]
    for standing in standings:
        arm = standing.arm
        cost = comparison.costs.get(standing.name) if arm else None
        test, gain = standing.tests.get(first), standing.gain.get(first)
        cells = [standing.name if arm else f"*{standing.name}*"]
        cells += [_plain(standing.quality.get(figure), figure) for figure in HEADLINES]
        cells += [_plain(gain, first, signed=True)]
        cells += [_plain(test.difference if test else None, first, signed=True)]
        cells += [_markdown_p(test), str(test.signed_rank.count) if test else "–"]
        cells += [short_number(cost.parameters if cost else math.nan)]
        cells += [short_number(arm.operations if arm else math.nan)]
        cells += [short_number(cost.slice_operations if cost else math.nan)]
        lines.append(cells)
    return "".join(f"| {' | '.join(_escaped(cell) for cell in line)} |\n" for line in lines)


def _markdown_p(test: PairedTest | None) -> str:
    if test is None:
        return "–"
    return f"{probability(test.holm)} ({probability(test.signed_rank.floor)})"


def _plain(summary: Summary | None, figure: str, *, signed: bool = False) -> str:
    if summary is None or not math.isfinite(summary.mean):
        return "∞" if summary is not None and summary.infinite else "–"
    decimals = metric_of(figure)[0].decimals
    text = f"{summary.mean:{'+' if signed else ''}.{decimals}f}"
    if math.isfinite(summary.deviation):
        text += f" ± {summary.deviation:.{decimals}f}"
    return text.replace("-", "−")


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def summary_json(comparison: Comparison, findings: Findings) -> dict[str, Any]:
    """The whole comparison as a mapping that is valid JSON: a figure that is none is null."""
    return {
        "name": comparison.name,
        "description": comparison.description,
        "reference": comparison.reference,
        "budgets": dict(comparison.budgets),
        "simulated_training_data": comparison.simulated,
        "data": comparison.data,
        "details": dict(comparison.details),
        "intended_use": INTENDED_USE,
        "definitions": {"methods": dict(METHODS), "rules": [*RULES, *TEST_RULES]},
        "arms": list(comparison.arms),
        "costs": {name: _cost_entry(cost) for name, cost in comparison.costs.items()},
        "units": [_unit_entry(unit) for unit in comparison.results],
        "failed_units": [asdict(unit) for unit in comparison.failed],
        "places": [_place_entry(place) for place in findings.places],
    }


def _cost_entry(cost: Cost) -> dict[str, Any]:
    entry = {
        name: json_number(value) if isinstance(value, float) else value
        for name, value in asdict(cost).items()
    }
    return entry | {"slice_size": list(cost.slice_size)}


def _unit_entry(unit: UnitResult) -> dict[str, Any]:
    return {
        "arm": unit.arm,
        "budget": unit.budget,
        "seed": unit.seed,
        "learning_rate": unit.learning_rate,
        "sweep": {rate: json_number(score) for rate, score in unit.sweep.items()},
        "steps": unit.steps,
        "operations": json_number(unit.operations),
        "seconds": json_number(unit.seconds),
        "failed_cases": [
            {"site": item.site, "patient": item.patient, "direction": item.direction}
            | {"reason": item.reason}
            for site in unit.scores
            for item in site.failures
        ],
    }


def _place_entry(place: Place) -> dict[str, Any]:
    return {
        "title": place.title,
        "sites": list(place.sites),
        "simulated": place.simulated,
        "directions": list(place.directions),
        "rankings": {
            budget: [_standing_entry(standing) for standing in standings]
            for budget, standings in place.rankings.items()
        },
    }


def _standing_entry(standing: Standing) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": standing.name,
        "kind": _ARM if standing.arm else _CONTROL,
        "figures": _summaries(standing.quality),
    }
    if standing.arm is None:
        return entry
    return entry | {
        "gain_over_lut": _summaries(standing.gain),
        "means_of_seeds": {
            figure: [json_number(value) for value in values]
            for figure, values in standing.seeds.items()
        },
        "failed_cases": standing.failed_cases,
        "against_reference": {
            figure: {
                "difference": summary_entry(test.difference),
                "p": _json_p(test.signed_rank.p),
                "p_holm": _json_p(test.holm),
                "smallest_p": test.signed_rank.floor,
                "n": test.signed_rank.count,
                "zeros": test.signed_rank.zeros,
            }
            for figure, test in standing.tests.items()
        },
    }


def _summaries(found: Mapping[str, Summary]) -> dict[str, Any]:
    return {figure: summary_entry(summary) for figure, summary in found.items()}


def _json_p(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(summary: Summary | None, *, deviation: bool) -> list[str]:
    if summary is None:
        return [UNKNOWN] * (4 if deviation else 3)
    spread = [summary.deviation] if deviation else []
    mean = math.inf if summary.infinite and not summary.count else summary.mean
    return [tsv_cell(value) for value in (mean, *spread, summary.low, summary.high)]


def _precise(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else tsv_cell(value)


def _flag(value: bool) -> str:
    return str(value).lower()


def _tsv(lines: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(line) + "\n" for line in lines)
