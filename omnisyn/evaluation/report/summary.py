"""From rows by patient to figures by direction, by site and over sites."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from omnisyn.evaluation.controls import BLIND, CONTROLS
from omnisyn.evaluation.report.definitions import GAIN, metric_of
from omnisyn.evaluation.results import MODEL, Evaluation, SiteScores
from omnisyn.evaluation.statistics import Summary, gains, mean_of_known, summarize

EVERY_DIRECTION = "mean over directions"

Values = dict[str, dict[str, float]]
"""figure → subject → value."""


@dataclass(frozen=True)
class Figures:
    """Summaries of one site or of several: direction → method → figure → summary.

    The method `gain over LUT` holds the paired differences of the model and the blind curve.
    """

    title: str
    sites: tuple[str, ...]
    simulated: bool
    directions: dict[str, dict[str, dict[str, Summary]]] = field(default_factory=dict)


def summarize_evaluation(
    evaluation: Evaluation, generator: np.random.Generator
) -> tuple[list[Figures], list[Figures]]:
    """Figures of each site, and the means over sites.

    Means are taken over real and over simulated sites apart, and where these have several roles,
    for each role as well; a single site has none.
    """
    by_site = [_figures(site.site, [site], generator) for site in evaluation.sites]
    means = []
    for simulated in (False, True):
        kind = [site for site in evaluation.sites if site.simulated == simulated]
        word = "simulated" if simulated else "real"
        if len(kind) > 1:
            title = f"mean over {len(kind)} {word} sites"
            means.append(_figures(title, kind, generator))
        roles = list(dict.fromkeys(site.role for site in kind))
        for role in roles if len(roles) > 1 else ():
            chosen = [site for site in kind if site.role == role]
            if len(chosen) > 1:
                title = f"mean over {len(chosen)} {word} {role} sites"
                means.append(_figures(title, chosen, generator))
    return by_site, means


def direction_order(sites: Sequence[SiteScores]) -> list[str]:
    """The directions of all sites in the order in which they were scored."""
    return list(dict.fromkeys(row.direction for site in sites for row in site.rows))


def averaged_directions(order: Sequence[str]) -> list[str]:
    """Those that a mean over directions is of: the published task, one source to one target.

    All of them where only directions of several sources were scored.
    """
    return [name for name in order if "+" not in name] or list(order)


def values_of(site: SiteScores, method: str, directions: Collection[str]) -> Values:
    """A method's figures by subject; several rows of one subject are averaged."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in site.rows:
        if row.method != method or row.direction not in directions:
            continue
        for figure, value in row.values.items():
            found.setdefault(figure, {}).setdefault(row.subject, []).append(value)
    return {
        figure: {subject: mean_of_known(values) for subject, values in subjects.items()}
        for figure, subjects in found.items()
    }


def _figures(title: str, sites: list[SiteScores], generator: np.random.Generator) -> Figures:
    order = direction_order(sites)
    averaged = averaged_directions(order)
    wanted = {name: {name} for name in order}
    if len(averaged) > 1:
        wanted[EVERY_DIRECTION] = set(averaged)
    names = tuple(site.site for site in sites)
    figures = Figures(title, names, any(site.simulated for site in sites))
    for name, members in wanted.items():
        figures.directions[name] = _methods(sites, members, generator)
    return figures


def _methods(
    sites: list[SiteScores], directions: set[str], generator: np.random.Generator
) -> dict[str, dict[str, Summary]]:
    found: dict[str, list[Values]] = {}
    for method in (MODEL, *CONTROLS):
        found[method] = [values_of(site, method, directions) for site in sites]
    table = {
        method: {
            figure: summarize(
                [list(values[figure].values()) for values in by_site if figure in values], generator
            )
            for figure in dict.fromkeys(figure for values in by_site for figure in values)
        }
        for method, by_site in found.items()
        if any(by_site)
    }
    differences = {
        figure: [
            _paired(model.get(figure, {}), blind.get(figure, {}))
            for model, blind in zip(found[MODEL], found[BLIND], strict=True)
        ]
        for figure in table.get(MODEL, {})
        if metric_of(figure)[0].higher_is_better
    }
    if any(any(groups) for groups in differences.values()):
        table[GAIN] = {
            figure: summarize([group for group in groups if group], generator)
            for figure, groups in differences.items()
        }
    return table


def _paired(model: dict[str, float], blind: dict[str, float]) -> list[float]:
    both = [subject for subject in model if subject in blind]
    return gains([model[subject] for subject in both], [blind[subject] for subject in both])
