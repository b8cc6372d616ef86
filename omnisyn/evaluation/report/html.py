"""One self-contained HTML page: nothing in it is fetched, and nothing in it runs."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
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

MOST_EXAMPLES = 36
_COLUMNS = (MODEL, *CONTROLS)


def report_html(
    evaluation: Evaluation, by_site: Sequence[Figures], means: Sequence[Figures]
) -> str:
    """The page: what was judged, the means over sites, every site, and what the figures mean."""
    figures = figure_names(evaluation)
    share = max(1, MOST_EXAMPLES // max(1, len(evaluation.sites)))
    style = resources.files("omnisyn.evaluation.report").joinpath("style.css").read_text("utf-8")
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evaluation: {escape(evaluation.subject)}</title>",
        f"<style>\n{style}</style>\n</head>\n<body>",
        *_front(evaluation, means),
    ]
    for mean in means:
        parts += [_heading(mean.title, mean.title, simulated=mean.simulated)]
        parts += [f'<p class="soft">{escape(", ".join(mean.sites))}</p>', *_tables(mean, figures)]
    for site, found in zip(evaluation.sites, by_site, strict=True):
        parts += _site(site, found, figures, share)
    parts += [*_definitions(), "</body>\n</html>\n"]
    return "\n".join(parts)


def _front(evaluation: Evaluation, means: Sequence[Figures]) -> Iterable[str]:
    yield f"<h1>Evaluation of {escape(evaluation.subject)}</h1>"
    if evaluation.simulated:
        names = [site.site for site in evaluation.sites if site.simulated]
        everything = len(names) == len(evaluation.sites)
        yield (
            '<div class="simulated"><strong>SIMULATED DATA</strong>: '
            f"{'all figures' if everything else 'the figures of ' + escape(', '.join(names))} "
            "come from simulated patients. They say nothing certain about real ones.</div>"
        )
    yield f'<p class="notice"><strong>Research use only.</strong> {escape(INTENDED_USE)}</p>'
    if evaluation.details:
        yield _definition_list(evaluation.details)
    titles = [*(mean.title for mean in means), *(site.site for site in evaluation.sites)]
    links = [f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in titles]
    yield f'<nav>{" ".join(links)} <a href="#definitions">definitions</a></nav>'
    if evaluation.failures:
        count = len(evaluation.failures)
        words = "1 case failed" if count == 1 else f"{count} cases failed"
        yield (
            f'<p class="notice"><strong>{words}</strong> and no figure counts them; the reasons '
            "stand with the site.</p>"
        )


def _heading(title: str, anchor: str, *, simulated: bool) -> str:
    tag = ' <span class="tag">SIMULATED</span>' if simulated else ""
    return f'<h2 id="{_anchor(anchor)}">{escape(title)}{tag}</h2>'


def _site(site: SiteScores, found: Figures, figures: Sequence[str], share: int) -> Iterable[str]:
    yield _heading(site.site, site.site, simulated=site.simulated)
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
        items = (
            f"<li>{escape(item.patient)} {escape(item.direction or '')}: {escape(item.reason)}</li>"
            for item in site.failures
        )
        yield f'<p class="notice">Failed: {len(site.failures)}</p><ul>{"".join(items)}</ul>'
    if site.notes:
        yield f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in site.notes)}</ul>"
    if not coverage.patients:
        yield "<p>Nothing could be scored.</p>"
        return
    yield from _tables(found, figures)
    for figure in HEADLINES:
        yield (
            f'<figure><img alt="Box plots of {escape(title_of(figure))}" '
            f'src="{_data(box_plots(site, figure))}"><figcaption>'
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
            kind = "model" if name == MODEL else _verdict(summary) if name == GAIN else ""
            cells.append(_cell(summary, figure, kind, signed=name == GAIN))
        mark = ' class="mean"' if direction == EVERY_DIRECTION else ""
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
    better = "higher" if metric.higher_is_better else "lower"
    caption = (
        f"<strong>{escape(title_of(figure))}</strong> ({better} is better): "
        f"{escape(metric.definition)}; {escape(REGIONS[region])}."
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in ("direction", *columns))
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(summary: Summary | None, figure: str, kind: str, *, signed: bool = False) -> str:
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


def _verdict(gain: Summary | None) -> str:
    """Better or worse only where the whole interval says so."""
    if gain is None or not math.isfinite(gain.low):
        return ""
    if gain.low > 0:
        return "better"
    return "worse" if gain.high < 0 else ""


def _example(example: Example, *, simulated: bool) -> str:
    tag = ' <span class="tag">SIMULATED</span>' if simulated else ""
    label = f"{example.direction}, patient {example.patient}, axial slice {example.slice_index + 1}"
    pictures = "".join(
        f'<div><img alt="{escape(name)}" src="{_data(picture)}">{escape(name)}</div>'
        for name, picture in example_pictures(example).items()
    )
    return (
        f"<figure><figcaption>{escape(label)}{tag}</figcaption>"
        f'<div class="strip">{pictures}</div></figure>'
    )


def _definitions() -> Iterable[str]:
    yield '<h2 id="definitions">What the figures mean</h2>'
    yield f"<ul>{''.join(f'<li>{escape(rule)}</li>' for rule in RULES)}</ul>"
    yield _definition_list(METHODS)
    yield (
        f'<p class="soft">A gain is coloured where its whole interval lies on one side of zero. '
        f"Head mask: {escape(REGIONS[HEAD])}. Intervals from fewer than about ten patients are "
        "rough.</p>"
    )


def _definition_list(entries: Mapping[str, str]) -> str:
    items = (f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<dl>{''.join(items)}</dl>"


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())


def _data(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
