"""From units to a ranking: seeds averaged, every arm beside the controls, tests against one arm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from omnisyn.comparison.paired import PairedTest, compare_with_reference
from omnisyn.comparison.results import Comparison, UnitResult
from omnisyn.errors import InputError
from omnisyn.evaluation.controls import BLIND, CONTROLS
from omnisyn.evaluation.report.definitions import GAIN, HEADLINES
from omnisyn.evaluation.report.summary import (
    EVERY_DIRECTION,
    Figures,
    averaged_directions,
    direction_order,
    summarize_evaluation,
    values_of,
)
from omnisyn.evaluation.results import MODEL, Evaluation, Failure, Row, SiteScores
from omnisyn.evaluation.statistics import Summary, mean_of_known

_Case = tuple[str, str, str, str]
"""Site, patient, direction and method of a row."""
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ArmFigures:
    """One arm under one budget, its seeds averaged.

    Attributes:
        units: one a seed.
        sites: rows of the model and of the blind curve, averaged over seeds.
        figures: their summaries by title of the place (a site, or several).
    """

    arm: str
    budget: str
    units: tuple[UnitResult, ...]
    sites: tuple[SiteScores, ...]
    figures: Mapping[str, Figures]

    @property
    def operations(self) -> float:
        """Floating-point operations of a unit's training, mean over seeds."""
        return mean_of_known([unit.operations for unit in self.units])

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failed cases of all seeds."""
        return tuple(failure for site in self.sites for failure in site.failures)


@dataclass(frozen=True)
class Standing:
    """An arm or a control at one place, averaged over directions; mappings are by figure.

    Attributes:
        arm: None for a control.
        quality: over patients (several sites: see `statistics.Summary`).
        gain: over the blind LUT, patient by patient; empty for a control.
        seeds: the mean of each seed; empty for a control.
        tests: against the reference; empty for the reference itself and for controls.
        failed_cases: of this place, all seeds together.
    """

    name: str
    arm: ArmFigures | None
    quality: Mapping[str, Summary]
    gain: Mapping[str, Summary] = field(default_factory=dict)
    seeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    tests: Mapping[str, PairedTest] = field(default_factory=dict)
    failed_cases: int = 0

    def mean(self, figure: str) -> float:
        """NaN where nothing was scored."""
        found = self.quality.get(figure)
        return found.mean if found else math.nan

    def deviation_over_seeds(self, figure: str) -> float:
        """Sample standard deviation of the seeds' means; NaN for fewer than two."""
        finite = [value for value in self.seeds.get(figure, ()) if math.isfinite(value)]
        return float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan


@dataclass(frozen=True)
class Place:
    """One site, or several of one kind together.

    Attributes:
        title: the site's name, or what the mean is over.
        directions: those that its figures average over.
        rankings: budget → arms and controls, the highest SSIM in the head first.
    """

    title: str
    sites: tuple[str, ...]
    simulated: bool
    directions: tuple[str, ...]
    rankings: Mapping[str, tuple[Standing, ...]]


@dataclass(frozen=True)
class Findings:
    """All figures of a comparison.

    Attributes:
        places: the means over several sites first, as far as there are any, then every site.
        arms: by budget, in the order of the plan.
        controls: title of the place → figures of the controls.
    """

    places: tuple[Place, ...]
    arms: tuple[ArmFigures, ...]
    controls: Mapping[str, Figures]


def summarize_comparison(comparison: Comparison, generator: np.random.Generator) -> Findings:
    """All figures.

    Args:
        comparison: what was found.
        generator: draws the patients of the bootstrap.

    Raises:
        InputError: the units were not scored at the same sites, or not on the same images.
    """
    if not comparison.results:
        return Findings((), (), {})
    shared = shared_controls(comparison.results)
    controls = _by_title(comparison.name, shared, generator)
    arms = []
    for budget in comparison.budgets:
        for arm in comparison.arms:
            units = [
                unit for unit in comparison.results if (unit.arm, unit.budget) == (arm, budget)
            ]
            if units:
                sites = average_seeds(units)
                figures = _by_title(arm, sites, generator)
                arms.append(ArmFigures(arm, budget, tuple(units), sites, figures))
    # The means say most where there are several sites: they come first.
    titles = sorted(controls, key=lambda title: len(controls[title].sites) == 1)
    places = [_place(controls[title], shared, arms, comparison, generator) for title in titles]
    return Findings(tuple(places), tuple(arms), controls)


def shared_controls(units: Sequence[UnitResult]) -> tuple[SiteScores, ...]:
    """The controls, which no model has a part in: found alike by every unit.

    Raises:
        InputError: two units have other sites, or other figures of one control, so that they did
            not score the same images.
    """
    first = units[0]
    kept: dict[_Case, Row] = {}
    for unit in units:
        if [site.site for site in unit.scores] != [site.site for site in first.scores]:
            raise _unequal(unit, first, "other sites")
        for row in _rows_of(unit.scores):
            if row.method == MODEL:
                continue
            known = kept.setdefault(_case(row), row)
            if not _alike(known.values, row.values):
                raise _unequal(
                    unit, first, f"{row.site}, {row.patient}, {row.direction}: another {row.method}"
                )
    return tuple(
        replace(
            site,
            rows=tuple(row for row in kept.values() if row.site == site.site),
            failures=(),
            examples=(),
        )
        for site in first.scores
    )


def average_seeds(units: Sequence[UnitResult]) -> tuple[SiteScores, ...]:
    """One arm's rows of the model and the blind curve, each the mean over the seeds that have it.

    Failed cases are kept, with the seed in their reason.
    """
    found: dict[_Case, list[Row]] = {}
    for unit in units:
        for row in _rows_of(unit.scores):
            if row.method in (MODEL, BLIND):
                found.setdefault(_case(row), []).append(row)
    rows = [_mean_row(same) for same in found.values()]
    return tuple(
        replace(
            site,
            rows=tuple(row for row in rows if row.site == site.site),
            failures=tuple(
                replace(failure, reason=f"seed {unit.seed}: {failure.reason}")
                for unit in units
                for failure in unit.scores[index].failures
            ),
            examples=(),
        )
        for index, site in enumerate(units[0].scores)
    )


def _by_title(
    subject: str, sites: tuple[SiteScores, ...], generator: np.random.Generator
) -> dict[str, Figures]:
    by_site, means = summarize_evaluation(Evaluation(subject, sites), generator)
    return {figures.title: figures for figures in (*by_site, *means)}


def _place(
    found: Figures,
    shared: tuple[SiteScores, ...],
    arms: Sequence[ArmFigures],
    comparison: Comparison,
    generator: np.random.Generator,
) -> Place:
    here = [index for index, site in enumerate(shared) if site.site in found.sites]
    directions = averaged_directions(direction_order([shared[index] for index in here]))
    methods = _overall(found, directions)
    controls = [Standing(name, None, methods[name]) for name in CONTROLS if name in methods]
    rankings = {}
    for budget in comparison.budgets:
        present = [arm for arm in arms if arm.budget == budget]
        tests = _tests(present, comparison.reference, here, directions, generator)
        standings = [_standing(arm, found.title, here, directions, tests) for arm in present]
        rankings[budget] = tuple(sorted([*standings, *controls], key=_worse_last))
    return Place(found.title, found.sites, found.simulated, tuple(directions), rankings)


def _standing(
    arm: ArmFigures,
    title: str,
    here: Sequence[int],
    directions: Sequence[str],
    tests: Mapping[str, Mapping[str, PairedTest]],
) -> Standing:
    methods = _overall(arm.figures[title], directions)
    return Standing(
        name=arm.arm,
        arm=arm,
        quality=methods.get(MODEL, {}),
        gain=methods.get(GAIN, {}),
        seeds={
            figure: tuple(
                _mean_over_sites([unit.scores[index] for index in here], figure, directions)
                for unit in arm.units
            )
            for figure in HEADLINES
        },
        tests={figure: found[arm.arm] for figure, found in tests.items() if arm.arm in found},
        failed_cases=sum(len(arm.sites[index].failures) for index in here),
    )


def _tests(
    present: Sequence[ArmFigures],
    reference: str,
    here: Sequence[int],
    directions: Sequence[str],
    generator: np.random.Generator,
) -> dict[str, dict[str, PairedTest]]:
    """Figure → arm → test; empty where the reference gave nothing."""
    sites = {arm.arm: [arm.sites[index] for index in here] for arm in present}
    against = sites.pop(reference, None)
    if against is None:
        return {}
    return {
        figure: compare_with_reference(sites, against, figure, directions, generator)
        for figure in HEADLINES
    }


def _overall(figures: Figures, directions: Sequence[str]) -> Mapping[str, Mapping[str, Summary]]:
    """Method → figure → summary over directions; where only one was scored, of that."""
    names = (EVERY_DIRECTION, *directions)
    return next((figures.directions[name] for name in names if name in figures.directions), {})


def _mean_over_sites(sites: Sequence[SiteScores], figure: str, directions: Sequence[str]) -> float:
    means = []
    for site in sites:
        values = values_of(site, MODEL, directions).get(figure, {}).values()
        means.append(mean_of_known([value for value in values if math.isfinite(value)]))
    return mean_of_known(means)


def _worse_last(standing: Standing) -> tuple[bool, float]:
    mean = standing.mean(HEADLINES[0])
    return math.isnan(mean), -mean


def _rows_of(scores: Iterable[SiteScores]) -> Iterable[Row]:
    return (row for site in scores for row in site.rows)


def _case(row: Row) -> _Case:
    return row.site, row.patient, row.direction, row.method


def _mean_row(same: Sequence[Row]) -> Row:
    figures = dict.fromkeys(figure for row in same for figure in row.values)
    values = {
        figure: mean_of_known([row.values[figure] for row in same if figure in row.values])
        for figure in figures
    }
    return replace(same[0], values=values, clipped=mean_of_known([row.clipped for row in same]))


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        or (math.isnan(value) and math.isnan(other[name]))
        for name, value in one.items()
    )


def _unequal(unit: UnitResult, first: UnitResult, why: str) -> InputError:
    return InputError(
        "the units of the comparison were not scored on the same images",
        where=f"{unit.arm}, {unit.budget}, seed {unit.seed}",
        why=f"{why} than {first.arm}, {first.budget}, seed {first.seed}",
        remedy="train and evaluate them on the same sites, in a fresh output folder",
    )
