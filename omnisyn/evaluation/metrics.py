"""Image metrics by one rule: in the head, over the full frame and in marked regions.

A volume here is an array (slices, rows, columns) of axial slices, scaled to [0, 1]. Structural
similarity follows Wang et al., "Image quality assessment: from error visibility to structural
similarity", IEEE TIP 13(4), 2004, with the Gaussian window of 11 pixels and sigma 1.5, population
covariance and a data range of 1; MS-SSIM follows Wang et al., Asilomar 2003. The maps equal those
of scikit-image with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1`.

Outside the head mask truth and prediction are both zero, in every figure: what a prediction holds
there can neither help nor hurt. One SSIM map per slice serves all: its mean over the head, over the
frame (without the 5 border pixels, as scikit-image takes it) and over each marked region.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.volumes.normalize import head_boxes, head_slices

WINDOW = 11
SIGMA = 1.5
MARGIN = (WINDOW - 1) // 2
LUMINANCE_CONSTANT = 0.01**2
CONTRAST_CONSTANT = 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
CONSTANT_RANGE = 1e-6

HEAD = "head"
FRAME = "frame"

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slices:
    """Which axial slices of a true volume are scored, and how many are not, by reason."""

    scored: tuple[int, ...]
    without_head: int
    constant: int


@dataclass(frozen=True)
class Scores:
    """One prediction's figures, named `metric_region` (`ssim_head`, `psnr_frame`, `mae_tumour`).

    A value is infinite where the images are identical (PSNR) and NaN where it is not defined: an
    empty region, or a frame smaller than the window. `clipped` is the share of the head's voxels
    that lay outside [0, 1] before clipping.
    """

    values: Mapping[str, float]
    clipped: float


@dataclass(frozen=True)
class Moments:
    """A slice (rows, columns) with its local mean and local variance under the window."""

    image: Array
    mean: Array
    variance: Array


def local_mean(image: Array) -> Array:
    """The image under the 11-pixel Gaussian window, its border continued by reflection."""
    blurred: Array = ndimage.gaussian_filter(image, SIGMA, mode="reflect", radius=MARGIN)
    return blurred


def moments(image: Array) -> Moments:
    """Local mean and population variance of a slice (rows, columns)."""
    mean = local_mean(image)
    return Moments(image, mean, local_mean(image * image) - mean * mean)


def similarity_maps(one: Moments, other: Moments) -> tuple[Array, Array]:
    """The SSIM map (rows, columns) and its contrast-structure factor, which MS-SSIM needs."""
    product = one.mean * other.mean
    covariance = local_mean(one.image * other.image) - product
    structure = (2 * covariance + CONTRAST_CONSTANT) / (
        one.variance + other.variance + CONTRAST_CONSTANT
    )
    luminance = (2 * product + LUMINANCE_CONSTANT) / (
        one.mean * one.mean + other.mean * other.mean + LUMINANCE_CONSTANT
    )
    return luminance * structure, structure


def ssim_map(truth: Array, prediction: Array) -> Array:
    """The SSIM map (rows, columns) of two slices."""
    return similarity_maps(moments(truth), moments(prediction))[0]


def halve(image: Array) -> Array:
    """The mean of each 2 × 2 block; an odd last row or column is dropped."""
    rows, columns = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    even = image[:rows, :columns]
    return 0.25 * (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2])


def scale_count(shape: Sequence[int]) -> int:
    """Scales of MS-SSIM that a frame (rows, columns) carries: five from 176 pixels on."""
    count, side = 0, min(shape)
    while side >= WINDOW and count < len(SCALE_WEIGHTS):
        count, side = count + 1, side // 2
    return count


def surroundings(head: Mask) -> tuple[slice, slice]:
    """The rows and columns outside of which no SSIM window touches the head, nor its mirror.

    Two margins: in the outer one every image is zero, so that the border of the cut continues it
    exactly as the frame does.
    """
    ((first_row, end_row, first_column, end_column),) = head_boxes(head[np.newaxis])
    return (
        slice(max(0, first_row - 2 * MARGIN), end_row + 2 * MARGIN),
        slice(max(0, first_column - 2 * MARGIN), end_column + 2 * MARGIN),
    )


def choose_slices(truth: Array, head: Mask) -> Slices:
    """Slices with at least 5 % head whose truth varies in the head; the others are counted."""
    enough = head_slices(head)
    scored, constant = [], 0
    for index in enough:
        inside = truth[index][head[index]]
        if float(inside.max() - inside.min()) <= CONSTANT_RANGE:
            constant += 1
        else:
            scored.append(int(index))
    return Slices(tuple(scored), len(head) - len(enough), constant)


@dataclass
class _Region:
    """Sums over a region of one volume, filled slice by slice."""

    similarities: list[float] = field(default_factory=list)
    multiscale: list[float] = field(default_factory=list)
    voxels: int = 0
    squared_error: float = 0.0
    absolute_error: float = 0.0
    energy: float = 0.0

    def add(self, error: Array, truth: Array, voxels: int) -> None:
        self.voxels += voxels
        # Not np.dot: it wakes every processor for each of many small sums.
        self.squared_error += float(np.einsum("i,i", error, error))
        self.absolute_error += float(np.abs(error).sum())
        self.energy += float(np.einsum("i,i", truth, truth))

    def values(self, name: str, *, with_multiscale: bool) -> dict[str, float]:
        if self.voxels == 0:
            mean_squared = mean_absolute = math.nan
        else:
            mean_squared = self.squared_error / self.voxels
            mean_absolute = self.absolute_error / self.voxels
        figures = {
            "ssim": _mean(self.similarities),
            "psnr": math.inf if mean_squared == 0 else -10 * math.log10(mean_squared),
            "mae": mean_absolute,
            "nmse": self.squared_error / self.energy if self.energy > 0 else math.nan,
        }
        if with_multiscale:
            figures["ms_ssim"] = _mean(self.multiscale)
        return {f"{metric}_{name}": value for metric, value in figures.items()}


def score_all(
    truth: NDArray[np.floating],
    predictions: Mapping[str, NDArray[np.floating]],
    head: Mask,
    regions: Mapping[str, Mask] | None = None,
) -> tuple[dict[str, Scores], Slices]:
    """Score several predictions of one true volume; the truth's statistics are computed once.

    Args:
        truth: (slices, rows, columns), scaled to [0, 1] by its own percentile.
        predictions: name → array of the same shape. Clipped to [0, 1], never rescaled.
        head: boolean array of the same shape: the mask of the figures "in head". Only slices with
            at least 5 % head are scored.
        regions: further masks of the same shape, such as the tumour, taken as far as they lie in
            the head; SSIM there is the mean over the slices that the region touches.

    Raises:
        InputError: a shape other than the truth's, or a prediction with values that are not finite.
    """
    regions = dict(regions or {})
    for name, array in {**predictions, "head": head, **regions}.items():
        if array.shape != truth.shape:
            raise InputError(
                f"{name} has the shape {array.shape}, the true volume {truth.shape}",
                remedy="score volumes on the grid of the truth",
            )
    chosen = choose_slices(np.asarray(truth), head)
    books = {name: _Book(regions) for name in predictions}
    for index in chosen.scored:
        page = _Page(np.asarray(truth[index], np.float64), head[index])
        inside = {name: mask[index] & head[index] for name, mask in regions.items()}
        inside = {name: mask for name, mask in inside.items() if mask.any()}
        for name, prediction in predictions.items():
            books[name].enter(page, np.asarray(prediction[index], np.float64), inside, name)
    return {name: book.close() for name, book in books.items()}, chosen


def score(
    truth: NDArray[np.floating],
    prediction: NDArray[np.floating],
    head: Mask,
    regions: Mapping[str, Mask] | None = None,
) -> Scores:
    """Score one prediction (slices, rows, columns): see `score_all`."""
    return score_all(truth, {"prediction": prediction}, head, regions)[0]["prediction"]


class _Page:
    """One true slice, its background zero, with all that every prediction is compared against."""

    def __init__(self, truth: Array, head: Mask) -> None:
        self.truth = truth * head
        self.head = head
        self.heads: list[Mask] = []
        self.scales: list[Moments] = []
        self.window = surroundings(head)
        image, part = self.truth, head.astype(np.float64)
        for scale in range(max(1, scale_count(truth.shape))):
            self.scales.append(moments(image[self.window] if scale == 0 else image))
            self.heads.append(part >= 0.5)
            image, part = halve(image), halve(part)

    def finest_maps(self, image: Array) -> tuple[Array, Array]:
        """`similarity_maps` of the slice and an image with zero background, full frame.

        Computed around the head only: where both windows are empty, both maps are one.
        """
        maps = similarity_maps(self.scales[0], moments(image[self.window]))
        framed = np.ones(self.truth.shape), np.ones(self.truth.shape)
        for frame, found in zip(framed, maps, strict=True):
            frame[self.window] = found
        return framed


class _Book:
    """The sums of one prediction over the slices of a volume."""

    def __init__(self, regions: Mapping[str, Mask]) -> None:
        self.head, self.frame = _Region(), _Region()
        self.regions = {name: _Region() for name in regions}
        self.outside = 0

    def enter(self, page: _Page, raw: Array, inside: Mapping[str, Mask], name: str) -> None:
        if not np.isfinite(raw).all():
            raise InputError(
                f"{name} holds values that are not finite", remedy="write numbers in [0, 1]"
            )
        prediction = np.clip(raw, 0.0, 1.0)
        self.outside += int(np.count_nonzero((prediction != raw) & page.head))
        prediction *= page.head
        error = prediction - page.truth
        similarity = self._enter_scales(page, prediction)
        self.head.add(error[page.head], page.truth[page.head], int(page.head.sum()))
        self.head.similarities.append(float(similarity[page.head].mean()))
        self.frame.add(error.ravel(), page.truth.ravel(), error.size)
        for region, mask in inside.items():
            sums = self.regions[region]
            sums.add(error[mask], page.truth[mask], int(mask.sum()))
            sums.similarities.append(float(similarity[mask].mean()))

    def _enter_scales(self, page: _Page, image: Array) -> Array:
        finest, structure = page.finest_maps(image)
        if min(finest.shape) < WINDOW:
            return finest
        self.frame.similarities.append(_interior_mean(finest))
        in_head, in_frame = [], []
        last = len(page.scales) - 1
        whole = finest
        for scale, head in enumerate(page.heads):
            if scale > 0:
                image = halve(image)
                whole, structure = similarity_maps(page.scales[scale], moments(image))
            values = whole if scale == last else structure
            in_head.append(float(values[head].mean()) if head.any() else math.nan)
            in_frame.append(_interior_mean(values))
        self.head.multiscale.append(_combine(in_head))
        self.frame.multiscale.append(_combine(in_frame))
        return finest

    def close(self) -> Scores:
        values = self.head.values(HEAD, with_multiscale=True)
        values |= self.frame.values(FRAME, with_multiscale=True)
        for name, region in self.regions.items():
            values |= region.values(name, with_multiscale=False)
        return Scores(values, self.outside / self.head.voxels if self.head.voxels else math.nan)


def _interior_mean(values: Array) -> float:
    return float(values[MARGIN:-MARGIN, MARGIN:-MARGIN].mean())


def _combine(means: Sequence[float]) -> float:
    weights = np.asarray(SCALE_WEIGHTS[: len(means)])
    # A negative mean has no real power; the usual convention counts it as no similarity.
    return float(np.prod(np.maximum(means, 0.0) ** (weights / weights.sum())))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
