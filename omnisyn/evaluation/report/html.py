"""The page of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from omnisyn.evaluation.controls import CONTROLS
from omnisyn.evaluation.metrics import HEAD
from omnisyn.evaluation.report.definitions import (
    GAIN,
    HEADLINES,
    INTENDED_USE,
    METHODS,
    REGIONS,
    RULES,
    metric_of,
    title_of,
)
from omnisyn.evaluation.report.figures import (
    DIFFERENCE_LIMIT,
    box_plots,
    example_pictures,
)
from omnisyn.evaluation.report.summary import EVERY_DIRECTION, Figures
from omnisyn.evaluation.report.tables import figure_names, note_of
from omnisyn.evaluation.results import MODEL, Evaluation, Example, SiteScores
from omnisyn.evaluation.statistics import Summary
from omnisyn.page import (
    SIMULATED_TAG,
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

MOST_EXAMPLES = 36
_DEFINITIONS = "definitions"
_COLUMNS = (MODEL, *CONTROLS)


def report_html(
    evaluation: Evaluation, by_site: Sequence[Figures], means: Sequence[Figures]
) -> str:
    """The page: what was judged, the means over sites, every site, and what the figures mean."""
    figures = figure_names(evaluation)
    share = max(1, MOST_EXAMPLES // max(1, len(evaluation.sites)))
    body = [*_front(evaluation, means)]
    for mean in means:
        body += [heading(mean.title, simulated=mean.simulated)]
        body += [f'<p class="soft">{escape(", ".join(mean.sites))}</p>', *_tables(mean, figures)]
    for site, found in zip(evaluation.sites, by_site, strict=True):
        body += _site(site, found, figures, share)
    body += _definitions()
    return document(f"Evaluation: {evaluation.subject}", body, report_style())


def report_style() -> str:
    """The CSS of pages that show figures."""
    return resources.files("omnisyn.evaluation.report").joinpath("style.css").read_text("utf-8")


def _front(evaluation: Evaluation, means: Sequence[Figures]) -> Iterable[str]:
    yield f"<h1>Evaluation of {escape(evaluation.subject)}</h1>"
    if evaluation.simulated:
        names = [site.site for site in evaluation.sites if site.simulated]
        everything = len(names) == len(evaluation.sites)
        yield simulated_banner(
            f"{'all figures' if everything else 'the figures of ' + ', '.join(names)} "
            "come from simulated patients. They say nothing certain about real ones."
        )
    yield research_notice(INTENDED_USE)
    if evaluation.details:
        yield definition_list(evaluation.details)
    titles = [*(mean.title for mean in means), *(site.site for site in evaluation.sites)]
    yield navigation([*titles, _DEFINITIONS])
    if evaluation.failures:
        count = len(evaluation.failures)
        words = "1 case failed" if count == 1 else f"{count} cases failed"
        yield (
            f'<p class="notice"><strong>{words}</strong> and no figure counts them; the reasons '
            "stand with the site.</p>"
        )


def _site(site: SiteScores, found: Figures, figures: Sequence[str], share: int) -> Iterable[str]:
    yield heading(site.site, simulated=site.simulated)
    coverage = site.coverage
    yield (
        f'<p class="soft">{escape(site.role)} site, {escape(site.scanner)}; {coverage.patients} '
        f"patient{'s' if coverage.patients != 1 else ''}. All directions together: "
        f"{coverage.scored} slices scored, "
        f"{coverage.without_head} left out for less than 5 % head, "
        f"{coverage.constant} as constant or empty. Blind LUT fitted on "
        f"{escape(site.fitted_on)}.</p>"
    )
    if site.failures:
        yield f'<p class="notice">Failed: {len(site.failures)}</p>'
        yield bullet_list(
            f"{item.patient} {item.direction or ''}: {item.reason}" for item in site.failures
        )
    if site.notes:
        yield bullet_list(site.notes)
    if not coverage.patients:
        yield "<p>Nothing could be scored.</p>"
        return
    yield from _tables(found, figures)
    for figure in HEADLINES:
        yield (
            f'<figure><img alt="Box plots of {escape(title_of(figure))}" '
            f'src="{data_address(box_plots(site, figure))}"><figcaption>'
            f"{escape(title_of(figure))}, by direction. Box: quartiles and median over patients; "
            "whiskers: within 1.5 times the box; dots: patients.</figcaption></figure>"
        )
    if site.examples:
        yield "<h3>Example slices</h3>"
        yield (
            '<p class="soft">The first patient of the site, the slice with most tumour or lesion, '
            "else with most head. One grey scale, 0 to 1, for all; the difference runs from "
            f"−{DIFFERENCE_LIMIT} (blue) to +{DIFFERENCE_LIMIT} (red).</p>"
        )
    for example in site.examples[:share]:
        yield _example(example, simulated=site.simulated)
    if len(site.examples) > share:
        yield f'<p class="soft">{len(site.examples) - share} more directions are not shown.</p>'


def _tables(found: Figures, figures: Sequence[str]) -> Iterable[str]:
    yield from (_table(found, figure) for figure in HEADLINES)
    others = [figure for figure in figures if figure not in HEADLINES]
    if others:
        yield "<details><summary>All other figures</summary>"
        yield from (_table(found, figure) for figure in others)
        yield "</details>"


def _table(found: Figures, figure: str) -> str:
    metric, region = metric_of(figure)
    columns = (*_COLUMNS, GAIN) if metric.higher_is_better else _COLUMNS
    body = []
    for direction, methods in found.directions.items():
        cells = [f"<td>{escape(direction)}</td>"]
        for name in columns:
            summary = methods.get(name, {}).get(figure)
            kind = "model" if name == MODEL else verdict(summary) if name == GAIN else ""
            cells.append(summary_cell(summary, figure, kind, signed=name == GAIN))
        mark = ' class="mean"' if direction == EVERY_DIRECTION else ""
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
    better = "higher" if metric.higher_is_better else "lower"
    caption = (
        f"<strong>{escape(title_of(figure))}</strong> ({better} is better): "
        f"{escape(metric.definition)}; {escape(REGIONS[region])}."
    )
    return table(("direction", *columns), body, caption)


def summary_cell(
    summary: Summary | None, figure: str, kind: str = "", *, signed: bool = False
) -> str:
    """A table's cell: mean ± SD, the interval below; why a figure is missing, under the pointer.

    Args:
        summary: None where nothing was scored.
        figure: its name (`ssim_head`).
        kind: class of the cell in the style of the report.
        signed: show a plus: the figure is a difference.
    """
    mark = f' class="{kind}"' if kind else ""
    if summary is None:
        return f"<td{mark}>–</td>"
    decimals = metric_of(figure)[0].decimals
    sign = "+" if signed else ""
    note = note_of(summary)
    title = f' title="{escape(note)}"' if note else ""
    if not math.isfinite(summary.mean):
        return f"<td{mark}{title}>{'∞' if summary.infinite else '–'}</td>"
    text = f"{summary.mean:{sign}.{decimals}f}"
    if math.isfinite(summary.deviation):
        text += f" ± {summary.deviation:.{decimals}f}"
    if math.isfinite(summary.low):
        text += (
            f"<small>[{summary.low:{sign}.{decimals}f}, {summary.high:{sign}.{decimals}f}]</small>"
        )
    typeset = text.replace("-", "−")
    return f"<td{mark}{title}>{typeset}</td>"


def verdict(gain: Summary | None) -> str:
    """Better or worse only where the whole interval says so."""
    if gain is None or not math.isfinite(gain.low):
        return ""
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else ""


def _example(example: Example, *, simulated: bool) -> str:
    tag = f" {SIMULATED_TAG}" if simulated else ""
    label = f"{example.direction}, patient {example.patient}, axial slice {example.slice_index + 1}"
    pictures = "".join(
        f'<div><img alt="{escape(name)}" src="{data_address(picture)}">{escape(name)}</div>'
        for name, picture in example_pictures(example).items()
    )
    return (
        f"<figure><figcaption>{escape(label)}{tag}</figcaption>"
        f'<div class="strip">{pictures}</div></figure>'
    )


def _definitions() -> Iterable[str]:
    yield heading("What the figures mean", name=_DEFINITIONS)
    yield bullet_list(RULES)
    yield definition_list(METHODS)
    yield (
        f'<p class="soft">A gain is coloured where its whole interval lies on one side of zero. '
        f"Head mask: {escape(REGIONS[HEAD])}. Intervals from fewer than about ten patients are "
        "rough.</p>"
    )
