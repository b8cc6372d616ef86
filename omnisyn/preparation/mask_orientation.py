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
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.volume import Volume

_TISSUE = 0.1
"""Scaled intensity above which a voxel is no air (twice the threshold of the head mask)."""
_BAND_MM = 10.0
"""How far on either side of the rim its surroundings reach, in the plane."""
_SMOOTHING_MM = 1.0
_DISPLACED = 32
"""Copies of a mask, moved elsewhere in the head, that stand for chance."""
_PROPOSALS = 640
_CLIP = 4.0
_ON_GRID = 0.1
"""Largest distance, in voxels, of a mask's grid from its series', where its affine is believed."""
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
_LEAST_RANGE = 0.01
_DEVIATION_OF_NORMAL = 1.4826
"""Standard deviation over the median absolute deviation of normal values."""
_FEWEST_VOXELS = 20
_SEED = 0


@dataclass(frozen=True, order=True)
class Arrangement:
    """How the array of a mask becomes one in the order of its series: columns, rows, slices.

    Attributes:
        transposed: the first two axes change places, before all else.
        quarter_turns: 0 to 3 turns by 90° from the first axis to the second.
        reversed_slices: the slices are counted from the other end.
        by_affine: masks whose affines lie on their series are placed by these, and only the others
            by the three above.
    """

    transposed: bool = False
    quarter_turns: int = 0
    reversed_slices: bool = False
    by_affine: bool = False

    def __str__(self) -> str:
        words = ["by its affine, or else"] if self.by_affine else []
        if self.transposed:
            words.append("transposed")
        if self.quarter_turns:
            words.append(f"turned by {90 * self.quarter_turns}°")
        if self.reversed_slices:
            words.append("slices reversed")
        if not (self.transposed or self.quarter_turns or self.reversed_slices):
            words.append("as stored")
        return ", ".join(words).replace("else,", "else")

    def of(self, mask: Geometry | None, series: Geometry) -> Arrangement:
        """The arrangement of one mask, by its affine where this one says so."""
        own = stated(mask, series) if self.by_affine and mask is not None else None
        return own or replace(self, by_affine=False)

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that an array of the shape `stored` gets."""
        swapped = self.transposed != bool(self.quarter_turns % 2)
        return (stored[1], stored[0], stored[2]) if swapped else (stored[0], stored[1], stored[2])

    def placed(self, mask_voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """The mask in the order of its series' file axes: bool, (columns, rows, slices).

        Args:
            mask_voxels: as stored, (x, y, z); what is above the middle of the smallest and the
                largest value belongs to the mask, so that it may be of any scale.
        """
        inside = _inside(mask_voxels)
        if self.transposed:
            inside = inside.transpose(1, 0, 2)
        inside = np.rot90(inside, self.quarter_turns, axes=(0, 1))
        return np.ascontiguousarray(inside[:, :, ::-1] if self.reversed_slices else inside)


ARRANGEMENTS = tuple(
    Arrangement(transposed, turns, reverse)
    for transposed in (False, True)
    for turns in range(4)
    for reverse in (False, True)
)


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


def place(
    mask_voxels: NDArray[np.floating],
    mask_geometry: Geometry,
    arrangement: Arrangement,
    onto: Geometry,
    where: str,
) -> NDArray[np.bool_]:
    """The mask on its series' grid: bool, ``onto.shape``, file order.

    Args:
        mask_voxels: as stored, finite, of any scale.
        mask_geometry: what its own header says.
        arrangement: the joint one of its dataset.
        onto: the grid of the series that it was drawn on.
        where: what the mask is called in messages.

    Raises:
        InputError: its shape is not that of the series, or it marks nothing.
    """
    arrangement = arrangement.of(mask_geometry, onto)
    if arrangement.shape(mask_voxels.shape) != onto.shape:
        raise InputError(
            "the mask does not have the shape of its series",
            where=where,
            why=f"{_sizes(mask_voxels.shape)} placed {arrangement} against {_sizes(onto.shape)}",
            remedy="leave it out, or draw it again on this series",
        )
    placed = arrangement.placed(mask_voxels)
    if not placed.any():
        raise InputError("the mask is empty", where=where, remedy="leave it out")
    return placed


def stated(mask: Geometry, series: Geometry) -> Arrangement | None:
    """The arrangement that a mask's affine says, or None where it lies on another grid."""
    mapping = series.indices_from(mask)
    for arrangement in ARRANGEMENTS:
        if arrangement.shape(mask.shape) != series.shape:
            continue
        corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.shape) - 1)
        meant = corners @ mapping[:3, :3].T + mapping[:3, 3]
        placed, _ = _moved(corners, np.zeros((8, 2)), mask.shape, arrangement)
        if np.abs(meant - placed).max() <= _ON_GRID:
            return arrangement
    return None


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
    inside = _inside(case.mask_voxels)
    fitting = [each for each in ARRANGEMENTS if each.shape(stored) == case.volume.geometry.shape]
    if not fitting:
        return (
            f"the mask does not have the shape of its series ({_sizes(stored)} against "
            f"{_sizes(case.volume.geometry.shape)})"
        )
    if not inside.any():
        return "the mask is empty"
    try:
        image = _Image(case.volume)
    except InputError as fault:
        return f"the mask's series cannot be asked: {fault}"
    outline = _Outline.of(inside, image.pixel_mm)
    placings = {each: outline.moved(stored, each) for each in fitting}
    displaced = image.displaced(list(placings.values()))
    if len(displaced) < _DISPLACED // 4:
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


@dataclass(frozen=True)
class _Outline:
    """Voxels of a mask and about it, as indices [n, 3]; ``normals`` [n, 2] belong to ``rim``."""

    inner: NDArray[np.intp]
    rim: NDArray[np.intp]
    band: NDArray[np.intp]
    normals: NDArray[np.float64]

    @classmethod
    def of(cls, inside: NDArray[np.bool_], pixel_mm: float) -> _Outline:
        from scipy import ndimage

        margin = max(2, round(_BAND_MM / pixel_mm))
        box = [(places.min(), places.max() + 1) for places in np.nonzero(inside)]
        first = np.array([max(0, low - margin) for low, _ in box[:2]] + [box[2][0]])
        near = inside[
            first[0] : box[0][1] + margin, first[1] : box[1][1] + margin, box[2][0] : box[2][1]
        ]
        # Slices lie so far apart that distances stay in the plane, and a rim of air closes masks
        # that touch the frame.
        padded = np.pad(near, ((1, 1), (1, 1), (0, 0)))
        apart = (1.0, 1.0, 1e6)
        outside = ndimage.distance_transform_edt(~padded, sampling=apart)
        signed = outside - ndimage.distance_transform_edt(padded, sampling=apart)
        slope = np.stack(np.gradient(signed, axis=(0, 1)), axis=-1)[1:-1, 1:-1]
        signed = signed[1:-1, 1:-1]
        rim = np.abs(signed) <= 1.0
        normals = slope[rim] / (np.linalg.norm(slope[rim], axis=-1, keepdims=True) + 1e-9)
        inner = signed <= -2.0
        return cls(
            inner=np.argwhere(inner if inner.sum() >= _FEWEST_VOXELS else near) + first,
            rim=np.argwhere(rim) + first,
            band=np.argwhere(np.abs(signed) <= margin) + first,
            normals=normals,
        )

    def moved(self, stored: tuple[int, ...], arrangement: Arrangement) -> _Outline:
        """The outline where the arrangement puts it."""
        none = np.zeros((0, 2))
        rim, normals = _moved(self.rim, self.normals, stored, arrangement)
        inner, _ = _moved(self.inner, none, stored, arrangement)
        band, _ = _moved(self.band, none, stored, arrangement)
        return _Outline(inner, rim, band, normals)

    def shifted(self, by: NDArray[np.intp]) -> _Outline:
        """The outline, so many voxels further."""
        return _Outline(self.inner + by, self.rim + by, self.band + by, self.normals)


class _Image:
    """A series, asked for the signs of a tumour."""

    def __init__(self, volume: Volume) -> None:
        from scipy import ndimage

        self.scaled = scale(volume.voxels, volume.provenance.name)
        self.pixel_mm = float(np.mean(volume.geometry.spacing[:2]))
        blur = _SMOOTHING_MM / self.pixel_mm
        smooth = ndimage.gaussian_filter(self.scaled, (blur, blur, 0.0))
        self._across, self._down = np.gradient(smooth, axis=(0, 1))

    def signs(self, outline: _Outline) -> NDArray[np.float64]:
        """Share in tissue, edges along the rim, and evenness: [3], each the more the better."""
        inner, band = (
            self._values(self.scaled, outline.inner),
            self._values(self.scaled, outline.band),
        )
        across, down = (self._values(each, outline.rim) for each in (self._across, self._down))
        around = np.hypot(
            *(self._values(each, outline.band) for each in (self._across, self._down))
        )
        steep = np.abs(across * outline.normals[:, 0] + down * outline.normals[:, 1])
        return np.array(
            [
                (inner > _TISSUE).mean(),
                steep.mean() / (around.mean() + 1e-6),
                np.log((_range(band) + _LEAST_RANGE) / (_range(inner) + _LEAST_RANGE)),
            ]
        )

    def displaced(self, outlines: list[_Outline]) -> list[_Outline]:
        """Copies elsewhere in the head, by a seed of their own: the same masks, the same chance."""
        draw = np.random.default_rng(_SEED)
        shape = np.array(self.scaled.shape)
        copies: list[_Outline] = []
        for _ in range(_PROPOSALS):
            if len(copies) == _DISPLACED:
                break
            outline = outlines[int(draw.integers(len(outlines)))]
            low, high = outline.rim.min(axis=0), outline.rim.max(axis=0)
            by = draw.integers(-low, shape - high)
            centre = (low + high) // 2 + by
            far = (np.abs(by[:2]) * 2 >= (high - low)[:2] + 1).any()
            if far and self.scaled[tuple(centre)] > _TISSUE:
                copies.append(outline.shifted(by))
        return copies

    def _values(self, image: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float32]:
        # The surroundings of a mask may reach beyond the frame: its edge stands for what is there.
        held = np.clip(places, 0, np.array(image.shape) - 1)
        return image[held[:, 0], held[:, 1], held[:, 2]]


def _moved(
    places: NDArray[np.intp],
    directions: NDArray[np.float64],
    stored: tuple[int, ...],
    arrangement: Arrangement,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Indices [n, 3] and directions in the plane [n, 2] after what `Arrangement.placed` does."""
    (x, y, z), (dx, dy) = places.T, directions.T
    width, height = stored[0], stored[1]
    if arrangement.transposed:
        x, y, dx, dy, width, height = y, x, dy, dx, height, width
    for _ in range(arrangement.quarter_turns):
        x, y, dx, dy, width, height = height - 1 - y, x, -dy, dx, height, width
    if arrangement.reversed_slices:
        z = stored[2] - 1 - z
    return np.stack([x, y, z], axis=-1), np.stack([dx, dy], axis=-1)


def _inside(mask_voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
    low, high = float(mask_voxels.min()), float(mask_voxels.max())
    inside: NDArray[np.bool_] = mask_voxels > (low + high) / 2
    return inside


def _range(values: NDArray[np.float32]) -> float:
    lower, upper = np.percentile(values, (25, 75))
    return float(upper - lower)


def _sizes(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
