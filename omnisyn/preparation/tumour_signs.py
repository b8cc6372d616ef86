"""The signs of a tumour in an image: in tissue, rim on edges, more even than its surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnisyn.preparation.mask_arrangement import Arrangement, moved
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.volume import Volume

COPIES = 32
"""Of a mask, moved elsewhere in the head, that stand for chance."""

_TISSUE = 0.1
"""Scaled intensity above which a voxel is no air (twice the threshold of the head mask)."""
_BAND_MM = 10.0
"""How far on either side of the rim its surroundings reach, in the plane."""
_SMOOTHING_MM = 1.0
_PROPOSALS = 640
_LEAST_RANGE = 0.01
_FEWEST_VOXELS = 20
_SEED = 0


@dataclass(frozen=True)
class Outline:
    """Voxels of a mask and about it, as indices [n, 3]; ``normals`` [n, 2] belong to ``rim``."""

    inner: NDArray[np.intp]
    rim: NDArray[np.intp]
    band: NDArray[np.intp]
    normals: NDArray[np.float64]

    @classmethod
    def of(cls, inside: NDArray[np.bool_], pixel_mm: float) -> Outline:
        """The outline of a mask as stored, on pixels of this size."""
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

    def moved(self, stored: tuple[int, ...], arrangement: Arrangement) -> Outline:
        """The outline where the arrangement puts it."""
        none = np.zeros((0, 2))
        rim, normals = moved(self.rim, self.normals, stored, arrangement)
        inner, _ = moved(self.inner, none, stored, arrangement)
        band, _ = moved(self.band, none, stored, arrangement)
        return Outline(inner, rim, band, normals)

    def shifted(self, by: NDArray[np.intp]) -> Outline:
        """The outline, so many voxels further."""
        return Outline(self.inner + by, self.rim + by, self.band + by, self.normals)


class Image:
    """A series, asked for the signs of a tumour."""

    def __init__(self, volume: Volume) -> None:
        from scipy import ndimage

        self.scaled = scale(volume.voxels, volume.provenance.name)
        self.pixel_mm = float(np.mean(volume.geometry.spacing[:2]))
        blur = _SMOOTHING_MM / self.pixel_mm
        smooth = ndimage.gaussian_filter(self.scaled, (blur, blur, 0.0))
        self._across, self._down = np.gradient(smooth, axis=(0, 1))

    def signs(self, outline: Outline) -> NDArray[np.float64]:
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

    def displaced(self, outlines: list[Outline]) -> list[Outline]:
        """Copies elsewhere in the head, by a seed of their own: the same masks, the same chance."""
        draw = np.random.default_rng(_SEED)
        shape = np.array(self.scaled.shape)
        copies: list[Outline] = []
        for _ in range(_PROPOSALS):
            if len(copies) == COPIES:
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


def _range(values: NDArray[np.float32]) -> float:
    lower, upper = np.percentile(values, (25, 75))
    return float(upper - lower)
