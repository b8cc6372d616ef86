"""The page of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from omnisyn.comparison.paired import SIGNIFICANT, PairedTest
from omnisyn.comparison.results import Comparison, Cost, UnitResult
from omnisyn.comparison.summary import Findings, Place, Standing
from omnisyn.comparison.tables import TEST_RULES, probability, short_number
from omnisyn.evaluation.report.definitions import (
    GAIN,
    HEADLINES,
    INTENDED_USE,
    METHODS,
    RULES,
    metric_of,
    title_of,
)
from omnisyn.evaluation.report.html import report_style, summary_cell, verdict
from omnisyn.page import (
    bullet_list,
    data_address,
    definition_list,
    document,
    heading,
    navigation,
    research_notice,
    simulated_banner,
    table,
)

_COSTS, _TRAINING, _DEFINITIONS = "costs", "training", "definitions"
_NOTHING = "<td>–</td>"


def comparison_html(
    comparison: Comparison, findings: Findings, pictures: Mapping[str, bytes]
) -> str:
    """The page: what was equal, the rankings, what it cost, how it was trained, and the rules.

    Args:
        comparison: what was found.
        findings: its figures.
        pictures: title of the place → PNG of quality against cost.
    """
    body = [*_front(comparison, findings)]
    for place in findings.places:
        body += _place(comparison, place, pictures[place.title])
    body += [*_costs(comparison), *_training(comparison), *_definitions()]
    return document(f"Comparison: {comparison.name}", body, report_style())


def _front(comparison: Comparison, findings: Findings) -> Iterable[str]:
    yield f"<h1>Comparison: {escape(comparison.name)}</h1>"
    yield f"<p>{escape(comparison.description)}</p>"
    words = _simulated_words(comparison, findings)
    if words:
        yield simulated_banner(words)
    yield research_notice(INTENDED_USE)
    yield definition_list(
        {
            **{f"equal {name}": words for name, words in comparison.budgets.items()},
            "data": comparison.data,
            "arms": ", ".join(comparison.arms),
            "reference": f"{comparison.reference}: the others are tested against it",
            **comparison.details,
        }
    )
    titles = [place.title for place in findings.places]
    yield navigation([*titles, _COSTS, _TRAINING, _DEFINITIONS])
    yield from _failures(comparison)
    if not findings.places:
        yield "<p>No unit gave figures.</p>"


def _simulated_words(comparison: Comparison, findings: Findings) -> str:
    sites = [place for place in findings.places if len(place.sites) == 1]
    names = [place.title for place in sites if place.simulated]
    parts = []
    if comparison.simulated:
        parts.append("The arms were trained on simulated patients.")
    if names:
        which = "All figures" if len(names) == len(sites) else f"The figures of {', '.join(names)}"
        parts.append(f"{which} come from simulated patients.")
    if parts:
        parts.append("They say nothing certain about real ones.")
    return " ".join(parts)


def _failures(comparison: Comparison) -> Iterable[str]:
    if comparison.failed:
        count = len(comparison.failed)
        words = "1 unit" if count == 1 else f"{count} units"
        yield f'<p class="notice"><strong>{words} failed</strong> and no figure counts them:</p>'
        yield bullet_list(
            f"{unit.arm}, equal {unit.budget}, seed {unit.seed}: {unit.reason}"
            for unit in comparison.failed
        )
    cases = [
        f"{unit.arm}, equal {unit.budget}, seed {unit.seed}: {site.site}, {item.patient} "
        f"{item.direction or ''}: {item.reason}"
        for unit in comparison.results
        for site in unit.scores
        for item in site.failures
    ]
    if cases:
        words = "1 case failed" if len(cases) == 1 else f"{len(cases)} cases failed"
        yield (
            f'<p class="notice"><strong>{words}</strong>: an arm\'s figures are over the cases '
            "that it did, its difference to the reference over those that both did.</p>"
        )
        yield f"<details><summary>The failed cases</summary>{bullet_list(cases)}</details>"


def _place(comparison: Comparison, place: Place, picture: bytes) -> Iterable[str]:
    yield heading(place.title, simulated=place.simulated)
    over = ", ".join(place.directions)
    yield f'<p class="soft">Mean over {escape(over)}.</p>'
    if len(place.sites) > 1:
        yield f'<p class="soft">Sites: {escape(", ".join(place.sites))}.</p>'
    for budget, standings in place.rankings.items():
        if any(standing.arm for standing in standings):
            yield from (_ranking(comparison, budget, standings, figure) for figure in HEADLINES)
            yield f'<p class="soft">{escape(_floor_words(standings))}</p>'
    yield (
        f'<figure><img alt="Quality against cost, {escape(place.title)}" '
        f'src="{data_address(picture)}">'
        "<figcaption>Marks: mean over directions and patients, the reference in bold. Bars: 95 % "
        "bootstrap interval of that mean over patients; these are the same patients for every arm, "
        "so bars that overlap do not say that two arms are alike. Faint dots: single seeds."
        "</figcaption></figure>"
    )


def _ranking(
    comparison: Comparison, budget: str, standings: Sequence[Standing], figure: str
) -> str:
    columns = ["", title_of(figure), "SD over seeds", GAIN, f"minus {comparison.reference}"]
    columns += ["p (Holm)", "operations, training", "operations, slice"]
    body = []
    for standing in standings:
        cells = [_name_cell(comparison, standing)]
        cells += _quality_cells(comparison, standing, figure)
        cells += [f"<td>{text}</td>" for text in _operations(comparison, standing)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    caption = (
        f"<strong>{escape(title_of(figure))}, equal {escape(budget)}</strong>: "
        f"{escape(comparison.budgets[budget])}. Highest SSIM in the head first."
    )
    return table(columns, body, caption)


def _name_cell(comparison: Comparison, standing: Standing) -> str:
    name = escape(standing.name)
    if standing.arm is None:
        return f"<td><em>{name}</em><small>control</small></td>"
    seeds = len(standing.arm.units)
    notes = [f"{seeds} seed{'' if seeds == 1 else 's'}"]
    if standing.failed_cases:
        notes.append(f"{standing.failed_cases} failed")
    mark = "<strong>" if standing.name == comparison.reference else ""
    end = "</strong>" if mark else ""
    return f"<td>{mark}{name}{end}<small>{', '.join(notes)}</small></td>"


def _quality_cells(comparison: Comparison, standing: Standing, figure: str) -> Iterable[str]:
    kind = "model" if standing.arm else ""
    yield summary_cell(standing.quality.get(figure), figure, kind)
    deviation = standing.deviation_over_seeds(figure)
    decimals = metric_of(figure)[0].decimals
    yield f"<td>{deviation:.{decimals}f}</td>" if math.isfinite(deviation) else _NOTHING
    gain = standing.gain.get(figure)
    yield summary_cell(gain, figure, verdict(gain), signed=True)
    test = standing.tests.get(figure)
    if test is None:
        yield "<td>reference</td>" if standing.name == comparison.reference else _NOTHING
        yield _NOTHING
        return
    yield summary_cell(test.difference, figure, _tested(test), signed=True)
    ranked = test.signed_rank
    zeros = f", {ranked.zeros} alike" if ranked.zeros else ""
    yield (
        f"<td>{probability(ranked.p)} ({probability(test.holm)})<small>n = {ranked.count}{zeros}"
        f"</small><small>smallest {probability(ranked.floor)}</small></td>"
    )


def _operations(comparison: Comparison, standing: Standing) -> Iterable[str]:
    cost = comparison.costs.get(standing.name) if standing.arm else None
    yield short_number(standing.arm.operations if standing.arm else math.nan)
    yield short_number(cost.slice_operations if cost else math.nan)


def _tested(test: PairedTest) -> str:
    """Better or worse only where the corrected test says so: an interval of few patients is too
    short."""
    if not test.holm < SIGNIFICANT:
        return ""
    return "better" if test.difference.mean > 0 else "worse"


def _floor_words(standings: Sequence[Standing]) -> str:
    tests = [standing.tests[HEADLINES[0]] for standing in standings if standing.tests]
    if not tests:
        return "No arm could be tested against the reference."
    floor = min(test.signed_rank.floor for test in tests)
    corrected = min(1.0, floor * len(tests))
    words = f"Smallest p that the patients here can give: {probability(floor)}"
    if len(tests) > 1:
        words += f"; after Holm's correction over {len(tests)} arms: {probability(corrected)}"
    if corrected >= SIGNIFICANT:
        words += f". No difference here can come below {SIGNIFICANT:g}, however large it is"
    return f"{words}."


def _costs(comparison: Comparison) -> Iterable[str]:
    yield heading("What the arms cost", name=_COSTS)
    columns = ["arm", "parameters", "operations, one step", "operations, one slice"]
    columns += ["one slice (s)", "peak of training (MiB)", "measured on", "slice"]
    body = []
    for arm in comparison.arms:
        cost = comparison.costs.get(arm)
        cells = _cost_cells(cost) if cost else [_NOTHING] * (len(columns) - 1)
        body.append(f"<tr><td>{escape(arm)}</td>{''.join(cells)}</tr>")
    yield table(columns, body)
    yield (
        '<p class="soft">Operations are floating-point operations; M = 10⁶, G = 10⁹, T = 10¹², '
        "P = 10¹⁵, E = 10¹⁸. A step is forward and backward; a slice is one source to one target. "
        "Times and memory hold for that device only.</p>"
    )


def _cost_cells(cost: Cost) -> list[str]:
    counts = (cost.parameters, cost.training_operations, cost.slice_operations)
    texts = [short_number(value) for value in counts]
    texts += [_digits(cost.slice_seconds), _digits(cost.training_memory_mib), escape(cost.device)]
    texts.append(" × ".join(str(side) for side in cost.slice_size))
    return [f"<td>{text}</td>" for text in texts]


def _training(comparison: Comparison) -> Iterable[str]:
    yield heading("How the arms were trained", name=_TRAINING)
    columns = ["arm", "equal", "seed", "learning rate", "sweep: validation score", "steps"]
    columns += ["operations, all stages", "time (s)"]
    body = [f"<tr>{''.join(_unit_cells(unit))}</tr>" for unit in comparison.results]
    yield table(columns, body)
    yield (
        '<p class="soft">The learning rate is that of the sweep with the highest score on '
        "validation patients, of whom no figure above is. A rate at the end of its sweep may not "
        "be the best one.</p>"
    )


def _unit_cells(unit: UnitResult) -> list[str]:
    sweep = "<br>".join(
        f"{escape(rate)}: {score:.4g}" if math.isfinite(score) else f"{escape(rate)}: –"
        for rate, score in unit.sweep.items()
    )
    texts = [escape(unit.arm), escape(unit.budget), str(unit.seed), f"{unit.learning_rate:g}"]
    texts += [sweep or "none", str(unit.steps), short_number(unit.operations)]
    return [f"<td>{text}</td>" for text in [*texts, f"{unit.seconds:.0f}"]]


def _definitions() -> Iterable[str]:
    yield heading("What the figures mean", name=_DEFINITIONS)
    yield bullet_list([*RULES, *TEST_RULES])
    yield definition_list(
        {title_of(figure): metric_of(figure)[0].definition for figure in HEADLINES} | METHODS
    )
    yield (
        '<p class="soft">A gain is coloured where its whole interval lies on one side of zero, a '
        f"difference to the reference where its corrected p is below {SIGNIFICANT:g}.</p>"
    )


def _digits(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
