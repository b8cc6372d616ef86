"""Score a site: every patient, every direction, the model beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import OmnisynError, sentence_of
from omnisyn.evaluation.controls import BLIND, Controls, CurveSums, build_controls, total
from omnisyn.evaluation.metrics import Slices, score_all
from omnisyn.evaluation.predictions import PredictionFolder
from omnisyn.evaluation.results import (
    MODEL,
    Direction,
    Example,
    Failure,
    Row,
    SiteScores,
)
from omnisyn.listeners import Progress, unwatched
from omnisyn.studies.patient import Patient
from omnisyn.studies.site import Site
from omnisyn.studies.slices import evenly_thinned
from omnisyn.studies.study import Study
from omnisyn.volumes.normalize import head_mask
from omnisyn.volumes.volume import Volume

Predict = Callable[[Mapping[str, Volume], str], NDArray[np.floating]]
"""(source contrast → volume, target contrast) → the target (slices, rows, columns) in [0, 1]."""

REGIONS = ("tumour", "lesions")


@dataclass(frozen=True)
class Scope:
    """What of a site is scored.

    Attributes:
        contrasts: directions among these.
        slices: at most so many axial slices of a patient, see `slices_in_scope`; None: all.
        controls: whether the controls are scored, too.
    """

    contrasts: tuple[str, ...] = NAMES
    slices: int | None = None
    controls: bool = True


EVERYTHING = Scope()


def slices_in_scope(count: int, most: int | None) -> list[int]:
    """Which of a volume's slices are scored: all, or at most so many, evenly spread."""
    return evenly_thinned(range(count), most) if most else list(range(count))


def directions_among(
    contrasts: Sequence[str], *, several_sources: bool = False
) -> tuple[Direction, ...]:
    """Every direction from one contrast to another, canonical order.

    With `several_sources` and at least three contrasts, also from all the others to each.
    """
    names = [name for name in NAMES if name in contrasts]
    found = [
        Direction((source,), target) for source in names for target in names if source != target
    ]
    if several_sources and len(names) > 2:
        for target in names:
            found.append(Direction(tuple(name for name in names if name != target), target))
    return tuple(found)


def evaluate_site(
    site: Site,
    predict: Predict | PredictionFolder | None,
    *,
    several_sources: bool = False,
    scope: Scope = EVERYTHING,
    progress: Progress = unwatched,
) -> SiteScores:
    """Score a site's patients in every direction among their contrasts.

    The blind curves are fitted on the site's training patients where it has some (`split` is
    `train` in patients.tsv), else on its other patients; never on the patient that is scored.

    Args:
        site: a site on disk.
        predict: a model, or a folder of anybody's predictions; of a folder, the directions are
            scored that it holds for at least one patient. None: the controls alone are scored.
        several_sources: score "all others → X" too.
        scope: what is scored.
        progress: hears the cases done, the cases in all, and what is being done.

    Raises:
        InputError: the site cannot be listed, or the folder of predictions holds none for it.
    """
    patients = site.patients()
    plan = {
        patient.identifier: directions_among(
            [name for name in patient.contrasts() if name in scope.contrasts],
            several_sources=several_sources,
        )
        for patient in patients
    }
    if isinstance(predict, PredictionFolder):
        plan = predict.choose(site.name, patients)
    desk = _Desk(
        site=site,
        predict=predict,
        scope=scope,
        progress=progress,
        steps=2 * sum(len(found) for found in plan.values()),
    )
    readable = desk.measure(patients, plan)
    learned = [
        (patient, sums) for patient, sums in readable if patient.tags.get("split") == "train"
    ]
    for patient, _ in readable:
        others = {
            direction: _sums_without(subject_of(patient), direction, learned or readable)
            for direction in plan[patient.identifier]
        }
        desk.score(patient, others)
    return desk.close(len(learned))


def subject_of(patient: Patient) -> str:
    """Who was scanned: studies of one subject share the tag `subject`; `site/subject`."""
    return f"{patient.site}/{patient.tags.get('subject', patient.identifier)}"


Sums = Mapping[str, CurveSums]
Measured = list[tuple[Patient, dict[Direction, Sums]]]


def _sums_without(subject: str, direction: Direction, measured: Measured) -> Sums:
    """The sums over everybody else: nothing of this subject enters, not even rounding."""
    held = [
        found[direction]
        for patient, found in measured
        if direction in found and subject_of(patient) != subject
    ]
    return {source: total(part[source] for part in held) for source in direction.sources if held}


@dataclass
class _Desk:
    """The state of scoring one site."""

    site: Site
    predict: Predict | PredictionFolder | None
    scope: Scope
    progress: Progress
    steps: int
    done: int = 0
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    examples: dict[str, Example] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def measure(
        self, patients: Sequence[Patient], plan: Mapping[str, Sequence[Direction]]
    ) -> Measured:
        """Curve sums of every patient that can be read; the others are counted as failed."""
        measured: Measured = []
        for patient in patients:
            directions = plan[patient.identifier]
            if not directions:
                self.notes.append(f"{patient.identifier}: no direction to score")
                continue
            self.step(0, f"{patient.identifier}: intensities")
            try:
                measured.append((patient, _curve_sums(patient, directions)))
            except OmnisynError as error:
                self.fail(patient.identifier, None, error)
                self.step(len(directions), f"{patient.identifier}: failed")
            self.step(len(directions), f"{patient.identifier}: intensities")
        return measured

    def score(self, patient: Patient, others: Mapping[Direction, Sums]) -> None:
        """Every direction of one patient."""
        try:
            study = patient.study(masks=[name for name in REGIONS if name in patient.masks()])
        except OmnisynError as error:
            self.fail(patient.identifier, None, error)
            self.step(len(others), f"{patient.identifier}: failed")
            return
        regions = {name: study.mask_slices(name) for name in study.masks}
        for direction, sums in others.items():
            self.step(0, f"{patient.identifier}: {direction.name}")
            try:
                prediction = None if self.predict is None else self.predicted(study, direction)
                self.score_case(patient, study, direction, prediction, sums, regions)
            # A model that fails on one case must not cost the figures of all the others.
            except Exception as error:
                self.fail(patient.identifier, direction, error)
            self.step(1, f"{patient.identifier}: {direction.name}")

    def predicted(self, study: Study, direction: Direction) -> NDArray[np.floating]:
        if isinstance(self.predict, PredictionFolder):
            return self.predict.load(study, direction)
        assert self.predict is not None
        sources = {name: study.volumes[name] for name in direction.sources}
        return np.asarray(self.predict(sources, direction.target))

    def score_case(
        self,
        patient: Patient,
        study: Study,
        direction: Direction,
        prediction: NDArray[np.floating] | None,
        sums: Sums,
        regions: Mapping[str, NDArray[np.bool_]],
    ) -> None:
        truth = study.scaled(direction.target)
        sources = {name: study.scaled(name) for name in direction.sources}
        if self.scope.slices is not None:
            kept = slices_in_scope(len(truth), self.scope.slices)
            truth = truth[kept]
            sources = {name: source[kept] for name, source in sources.items()}
            regions = {name: mask[kept] for name, mask in regions.items()}
            prediction = None if prediction is None else prediction[kept]
        head = head_mask([*sources.values(), truth])
        methods = {} if prediction is None else {MODEL: prediction}
        controls = Controls({}, {})
        if self.scope.controls:
            controls = build_controls(truth, sources, head, sums)
        methods |= controls.images
        scores, chosen = score_all(truth, methods, head, regions)
        for method, found in scores.items():
            self.rows.append(
                Row(
                    site=self.site.name,
                    patient=study.patient,
                    subject=subject_of(patient),
                    direction=direction.name,
                    method=method,
                    values=found.values,
                    clipped=found.clipped,
                    slices=len(chosen.scored),
                    without_head=chosen.without_head,
                    constant=chosen.constant,
                    control_source=controls.sources.get(method),
                )
            )
        if direction.name not in self.examples and chosen.scored and MODEL in methods:
            shown = {MODEL: methods[MODEL]}
            if BLIND in methods:
                # A curve gives the background some level of its own, which no figure looks at.
                shown = {BLIND: methods[BLIND] * head, **shown}
            images = {**sources, **shown, f"true {direction.target}": truth}
            index = _shown_slice(chosen, head, regions)
            self.examples[direction.name] = _example(study, direction, index, images)

    def fail(self, patient: str, direction: Direction | None, error: Exception) -> None:
        name = direction.name if direction else None
        self.failures.append(Failure(self.site.name, patient, name, sentence_of(error)))

    def step(self, count: int, text: str) -> None:
        self.done += count
        self.progress(min(self.done, self.steps), self.steps, text)

    def close(self, learned: int) -> SiteScores:
        settings = self.site.settings
        others = f"{learned} training patients" if learned else "other patients"
        fitted_on = f"the site's {others} (leave-one-out)"
        return SiteScores(
            site=self.site.name,
            role=settings.role,
            simulated=settings.simulated,
            scanner=settings.scanner,
            fitted_on=fitted_on,
            rows=tuple(self.rows),
            failures=tuple(self.failures),
            examples=tuple(self.examples.values()),
            notes=tuple(self.notes),
        )


def _curve_sums(patient: Patient, directions: Sequence[Direction]) -> dict[Direction, Sums]:
    study = patient.study(masks=())
    heads: dict[frozenset[str], NDArray[np.bool_]] = {}
    sums: dict[Direction, Sums] = {}
    for direction in directions:
        if direction.contrasts not in heads:
            scaled = [study.scaled(name) for name in sorted(direction.contrasts)]
            heads[direction.contrasts] = head_mask(scaled)
        head, truth = heads[direction.contrasts], study.scaled(direction.target)
        sums[direction] = {
            name: CurveSums.measure(study.scaled(name), truth, head) for name in direction.sources
        }
    return sums


def _shown_slice(
    chosen: Slices, head: NDArray[np.bool_], regions: Mapping[str, NDArray[np.bool_]]
) -> int:
    """The scored slice with most tumour or lesion, else with most head."""
    for mask in (*regions.values(), head):
        areas = {index: int(mask[index].sum()) for index in chosen.scored}
        if any(areas.values()):
            break
    return max(areas, key=lambda index: areas[index])


def _example(
    study: Study,
    direction: Direction,
    index: int,
    images: Mapping[str, NDArray[np.floating]],
) -> Example:
    _, row, column = study.geometry.slice_spacing
    clipped = {
        name: np.clip(np.asarray(image[index], np.float32), 0, 1) for name, image in images.items()
    }
    return Example(study.site, study.patient, direction.name, index, row / column, clipped)
