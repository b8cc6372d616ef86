"""Settles how masks that were stored without a trustworthy affine lie on their series.

A mask may be turned by quarters in the plane, mirrored, and its slices counted from the other end:
sixteen arrangements. Which one is right is asked of the images: a tumour lies in tissue, its rim
follows edges, and it is more even than its surroundings. One mask alone may mislead; masks that one
program wrote are arranged alike, so that they decide together, and those that disagree are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.mask_arrangement import (
    ARRANGEMENTS,
    Arrangement,
    inside_of,
    sizes_of,
    stated,
)
from omnisyn.preparation.tumour_signs import COPIES, Image, Outline
from omnisyn.volumes.volume import Volume

_CLIP = 4.0
_CLEAR_ERRORS = 3.0
"""Standard errors by which the best arrangement must lead the next."""
_FEWEST = 3
_LEAST_SPREAD = 0.05
"""Of the leads of several masks over a runner-up: two that agree by accident are no certainty."""
_CHANCE = 0.1
"""Share of displaced copies that may fit as well as a mask before it is doubted."""
_OWN_BEST = 1.0
"""Lead of another arrangement over the joint one, in units of chance, before a mask is doubted."""
_LEAST_SPREADS = (0.05, 0.1, 0.2)
"""Of chance's signs: share in tissue, edges, evenness."""
_DEVIATION_OF_NORMAL = 1.4826
"""Standard deviation over the median absolute deviation of normal values."""


class Case(NamedTuple):
    """A mask with the series that it was drawn on.

    Attributes:
        label: names it in doubts: patient and contrast.
        mask_voxels: as stored, (x, y, z), of any scale.
        volume: the series; its third file axis runs through the slices, as `read_dicom` gives it.
        mask_geometry: what the mask's own header says, where it says something.
    """

    label: str
    mask_voxels: NDArray[np.floating]
    volume: Volume
    mask_geometry: Geometry | None = None


@dataclass(frozen=True)
class Settled:
    """What the masks decided together; its text says it in one sentence.

    Attributes:
        arrangement: the one that fits best over all of them; `by_affine` where the masks' own
            affines fit still better than any single one.
        score: mean over the masks of how far this choice lies above chance, in units of chance's
            own spread (between -4 and 4).
        runner_up: the arrangement that fits next best.
        runner_up_score: its score.
        cases: how many masks decided.
        lead_errors: the lead over the runner-up in its standard errors; 0 of fewer than two masks.
        doubts: label → one sentence on a mask that disagrees, or that could not be asked.
    """

    arrangement: Arrangement
    score: float
    runner_up: Arrangement
    runner_up_score: float
    cases: int
    lead_errors: float
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def clear(self) -> bool:
        """Whether enough masks prefer this choice to the next."""
        return self.cases >= _FEWEST and self.lead_errors >= _CLEAR_ERRORS

    def __str__(self) -> str:
        surely = "" if self.clear else "NOT CLEAR: look at some before you trust them; "
        return (
            f"masks are placed {self.arrangement} ({surely}score {self.score:.2f} over "
            f"{self.cases} masks, next best {self.runner_up} {self.runner_up_score:.2f}, "
            f"{self.lead_errors:.1f} standard errors apart)"
        )


def settle(cases: Iterable[Case | tuple[str, NDArray[np.floating], Volume]]) -> Settled:
    """Chooses one arrangement for all masks: the highest mean score.

    Each mask's scores are in units of its own chance and clipped, so that no single one decides. An
    arrangement whose shape does not fit a series counts there as the worst that does. The cases are
    taken one after the other and not kept: two dozen are enough, evenly spread over a dataset.

    Raises:
        InputError: not one mask fits its series.
    """
    heard: dict[str, _Evidence] = {}
    doubts: dict[str, str] = {}
    for case in (Case(*case) for case in cases):
        evidence = _evidence(case)
        if isinstance(evidence, str):
            doubts[case.label] = evidence
        else:
            heard[case.label] = evidence
    if not heard:
        label, why = next(iter(doubts.items()), (None, "no masks were given"))
        raise InputError(
            "not one mask fits its series", where=label, why=why, remedy="leave out the masks"
        )
    table = np.array([_row(evidence) for evidence in heard.values()])
    means = table.mean(axis=0)
    order = np.argsort(means[:-1], kind="stable")[::-1]
    best, second = int(order[0]), int(order[1])
    # Where all affines say the same as the best arrangement there is nothing to choose.
    by_affine = bool(means[-1] > means[best])
    chosen = len(ARRANGEMENTS) if by_affine else best
    runner_up = best if by_affine else second
    leads = table[:, chosen] - table[:, runner_up]
    spread = float(leads.std(ddof=1)) if len(leads) > 1 else np.inf
    arrangement = replace(ARRANGEMENTS[best], by_affine=by_affine)
    for label, evidence in heard.items():
        doubt = evidence.doubt(arrangement)
        if doubt is not None:
            doubts[label] = doubt
    return Settled(
        arrangement=arrangement,
        score=float(means[chosen]),
        runner_up=ARRANGEMENTS[runner_up],
        runner_up_score=float(means[runner_up]),
        cases=len(heard),
        lead_errors=float(leads.mean() / max(spread, _LEAST_SPREAD) * np.sqrt(len(leads))),
        doubts=doubts,
    )


def doubt_of(case: Case, arrangement: Arrangement) -> str | None:
    """What speaks against one mask in this arrangement; None where nothing does."""
    evidence = _evidence(case)
    return evidence if isinstance(evidence, str) else evidence.doubt(arrangement)


@dataclass(frozen=True)
class _Evidence:
    """How well one mask fits in every arrangement, in units of chance, and what chance itself does.

    Attributes:
        scores: of the arrangements whose shape fits.
        chance: scores of displaced copies.
        own: the arrangement that its affine says.
    """

    scores: Mapping[Arrangement, float]
    chance: NDArray[np.float64]
    own: Arrangement | None

    def doubt(self, arrangement: Arrangement) -> str | None:
        """What speaks against the mask in this arrangement."""
        own = self.own if arrangement.by_affine else None
        arrangement = own or replace(arrangement, by_affine=False)
        score = self.scores.get(arrangement)
        if score is None:
            return f"its shape does not fit its series when it is placed {arrangement}"
        as_good = float((self.chance >= score).mean())
        if as_good > _CHANCE:
            return (
                f"placed {arrangement} it fits no better than by chance: {as_good:.0%} of copies "
                "elsewhere in the head fit as well"
            )
        best = max(self.scores, key=lambda each: self.scores[each])
        if self.scores[best] - score > _OWN_BEST:
            return (
                f"it fits better placed {best} than {arrangement} "
                f"({self.scores[best]:.1f} against {score:.1f})"
            )
        return None


def _row(evidence: _Evidence) -> list[float]:
    worst = min(evidence.scores.values())
    row = [evidence.scores.get(arrangement, worst) for arrangement in ARRANGEMENTS]
    return [*row, evidence.scores.get(evidence.own, worst) if evidence.own else worst]


def _evidence(case: Case) -> _Evidence | str:
    """What the image says of a mask, or why it cannot be asked."""
    stored = case.mask_voxels.shape
    inside = inside_of(case.mask_voxels)
    fitting = [each for each in ARRANGEMENTS if each.shape(stored) == case.volume.geometry.shape]
    if not fitting:
        return (
            f"the mask does not have the shape of its series ({sizes_of(stored)} against "
            f"{sizes_of(case.volume.geometry.shape)})"
        )
    if not inside.any():
        return "the mask is empty"
    try:
        image = Image(case.volume)
    except InputError as fault:
        return f"the mask's series cannot be asked: {fault}"
    outline = Outline.of(inside, image.pixel_mm)
    placings = {each: outline.moved(stored, each) for each in fitting}
    displaced = image.displaced(list(placings.values()))
    if len(displaced) < COPIES // 4:
        return "the mask leaves no room in the head to compare it with"
    chance = np.array([image.signs(copy) for copy in displaced])
    middle = np.median(chance, axis=0)
    spread = np.median(np.abs(chance - middle), axis=0) * _DEVIATION_OF_NORMAL
    spread = np.maximum(spread, _LEAST_SPREADS)

    def scored(signs: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = np.clip((signs - middle) / spread, -_CLIP, _CLIP).mean(axis=-1)
        return mean

    own = stated(case.mask_geometry, case.volume.geometry) if case.mask_geometry else None
    return _Evidence(
        {each: float(scored(image.signs(placing))) for each, placing in placings.items()},
        scored(chance),
        own,
    )
