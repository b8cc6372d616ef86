"""Pictures by which somebody sees whether a preparation went well: checkerboards and histograms."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from omnisyn.geometry import Geometry
from omnisyn.volumes.normalize import HEAD_THRESHOLD, scale_divisor

SQUARE_MM = 20.0
MOST_BYTES = 60_000
"""Of one picture of a registration; its pixels grow until it is no larger."""

HISTOGRAMS = "histograms"
BINS = 64

_PIXEL_MM = 1.0
_GROWTH = 1.15
_LEVELS = 32
_GAP = 4
_TITLE = 16
# Shows brain, which scalp and fluid outshine, in the middle of the grey scale.
_GAMMA = 0.7
# Of the fullest plane's tissue: below it, a plane shows but the rim of the head, or noise.
_RIM = 0.05
_TOP_PERCENTILE = 99.9

_ROW, _PANEL, _MARGIN = 96, 300, 24
_INK, _SOFT, _BARS = "#1d2329", "#5b6670", "#14746f"


def picture_file(folder: Path, patient: str, name: str) -> Path:
    """Where a picture of a patient is kept below the folder of a site's preparation.

    Args:
        folder: `ROOT/<site>/preparation`.
        patient: its identifier.
        name: a contrast, for the picture of its registration, or `HISTOGRAMS`.
    """
    return folder / patient / f"{name}{'.svg' if name == HISTOGRAMS else '.png'}"


def registration_picture(
    reference: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    geometry: Geometry,
    *,
    simulated: bool,
) -> bytes:
    """Checkerboards of a contrast and its reference: above before, below after registration.

    Three planes through the middle of the head, as radiologists see them: axial and coronal with
    the patient's right on the left, sagittal with the face on the left. Squares of `SQUARE_MM`
    show the reference and the contrast in turns: where both lie right, edges run on across the
    sides of the squares.

    Args:
        reference: in file order and its own units, like the others.
        before: the contrast, resampled by the positions in the files alone.
        after: the contrast, registered.
        geometry: the grid that all three lie on.
        simulated: whether the patient is simulated; the picture says so.

    Returns:
        A grey PNG file of at most `MOST_BYTES`.

    Raises:
        InputError: the reference or the registered contrast has no signal.
    """
    fixed = _slices(reference, geometry, scale_divisor(reference, "reference"))
    divisor = scale_divisor(after, "registered contrast")
    box = _head_box(fixed)
    mark = ", SIMULATED" if simulated else ""
    moved = {
        f"before, where the files say{mark}": _planes(_slices(before, geometry, divisor), box),
        f"after registration{mark}": _planes(_slices(after, geometry, divisor), box),
    }
    still, spacings = _planes(fixed, box), _plane_spacings(geometry)
    pixel = _PIXEL_MM
    while True:
        rows = []
        for title, planes in moved.items():
            boards = [
                _checkerboard(_square(one, spacing, pixel), _square(other, spacing, pixel), pixel)
                for one, other, spacing in zip(still, planes, spacings, strict=True)
            ]
            rows.append(_titled(title, _beside(boards)))
        picture = _png(np.vstack(rows))
        if len(picture) <= MOST_BYTES:
            return picture
        pixel *= _GROWTH


def histogram_picture(
    before: Mapping[str, NDArray[np.floating]],
    after: Mapping[str, NDArray[np.floating]],
    *,
    simulated: bool,
) -> bytes:
    """Histograms of each contrast in the head, before and after scaling, beside each other.

    Args:
        before: contrast → its values in the head, in the file's own units, any shape.
        after: contrast → the same values scaled to [0, 1].
        simulated: whether the patient is simulated; the picture says so.

    Returns:
        An SVG file.
    """
    mark = ", SIMULATED" if simulated else ""
    width, height = 2 * (_PANEL + _MARGIN), _ROW * max(1, len(before))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
    ]
    for row, (name, values) in enumerate(before.items()):
        values = np.ravel(values)
        top = float(np.percentile(values, _TOP_PERCENTILE)) if values.size else 0.0
        parts += _panel(f"{name}, values of the file{mark}", values, top or 1.0, 0, row * _ROW)
        scaled = np.ravel(after[name])
        parts += _panel(f"{name}, scaled{mark}", scaled, 1.0, _PANEL + _MARGIN, row * _ROW)
    return "\n".join([*parts, "</svg>\n"]).encode()


def _slices(voxels: NDArray[np.float32], geometry: Geometry, divisor: float) -> NDArray[np.float32]:
    """In [0, 1] on the model grid."""
    return np.clip(geometry.to_slices(voxels) / np.float32(divisor), 0.0, 1.0)


def _head_box(slices: NDArray[np.float32]) -> tuple[slice, slice, slice]:
    """The box around the planes that hold a fair part of the head."""
    tissue = slices > HEAD_THRESHOLD
    sides = []
    for axis in range(3):
        share = tissue.sum(axis=tuple({0, 1, 2} - {axis}))
        held = np.flatnonzero(share >= _RIM * share.max())
        sides.append(slice(int(held[0]), int(held[-1]) + 1))
    return sides[0], sides[1], sides[2]


def _planes(
    slices: NDArray[np.float32], box: tuple[slice, slice, slice]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The axial, coronal and sagittal planes through the middle of a box, cut to it."""
    plane, row, column = ((side.start + side.stop - 1) // 2 for side in box)
    planes, rows, columns = box
    # Slices run from inferior to superior; a picture begins at the top.
    return (
        slices[plane, rows, columns],
        slices[planes, row, columns][::-1],
        slices[planes, rows, column][::-1],
    )


def _plane_spacings(geometry: Geometry) -> tuple[tuple[float, float], ...]:
    """mm between the rows and the columns of the planes of `_planes`."""
    planes, rows, columns = geometry.slice_spacing
    return (rows, columns), (planes, columns), (planes, rows)


def _square(
    plane: NDArray[np.float32], spacing: tuple[float, float], pixel: float
) -> NDArray[np.float32]:
    """The plane with square pixels of so many mm."""
    rows, columns = (
        max(1, round(size * step / pixel)) for size, step in zip(plane.shape, spacing, strict=True)
    )
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))


def _checkerboard(
    one: NDArray[np.float32], other: NDArray[np.float32], pixel: float
) -> NDArray[np.float32]:
    row, column = (np.arange(size) * pixel // SQUARE_MM for size in one.shape)
    return np.where((row[:, np.newaxis] + column) % 2 == 0, one, other)


def _beside(pictures: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Pictures of any height in one row, with a gap around each."""
    tallest = max(picture.shape[0] for picture in pictures) + 2 * _GAP
    framed = []
    for picture in pictures:
        above = (tallest - picture.shape[0]) // 2
        sides = ((above, tallest - picture.shape[0] - above), (_GAP, _GAP))
        framed.append(np.pad(picture, sides))
    return np.hstack(framed)


def _titled(title: str, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture with a line of words above it, as far as they fit."""
    strip = Image.new("L", (picture.shape[1], _TITLE))
    ImageDraw.Draw(strip).text((_GAP, 1), title, fill=255)
    return np.vstack([np.asarray(strip, np.float32) / 255, picture])


def _png(picture: NDArray[np.float32]) -> bytes:
    # Few grey levels: the eye sees no fewer, and noise costs half the bytes.
    levels = np.round(picture**_GAMMA * (_LEVELS - 1)) * (255 / (_LEVELS - 1))
    stream = io.BytesIO()
    Image.fromarray(np.round(levels).astype(np.uint8)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _panel(title: str, values: NDArray[Any], top: float, left: int, above: int) -> Iterable[str]:
    """One histogram with its title and the two ends of its axis."""
    counts, _ = np.histogram(np.clip(values, 0.0, top), bins=BINS, range=(0.0, top))
    base, tallest = above + _ROW - 22, _ROW - 44
    share = counts / max(1, int(counts.max()))
    step = _PANEL / BINS
    steps = " ".join(
        f"V{base - tallest * height:.1f}H{left + step * (number + 1):.1f}"
        for number, height in enumerate(share)
    )
    text = f'<text y="{{}}" x="{{}}" fill="{_SOFT}" text-anchor="{{}}">{{}}</text>'
    yield f'<text x="{left}" y="{above + 14}" fill="{_INK}">{escape(title)}</text>'
    yield f'<path d="M{left} {base}{steps}V{base}Z" fill="{_BARS}"/>'
    yield text.format(base + 14, left, "start", "0")
    yield text.format(base + 14, left + _PANEL, "end", f"{top:.4g}")
