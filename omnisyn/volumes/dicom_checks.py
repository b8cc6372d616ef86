"""Checks of a DICOM series before its frames become one volume.

Each refuses with what is wrong, why it matters and how to mend it. A series reader that lacks them
takes the first of two series, stretches the spacing over a missing slice, or stacks two echoes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.volumes.dicom_frames import Frame
from omnisyn.volumes.nifti_affine import SHEAR_TOLERANCE
from omnisyn.volumes.nifti_header import MAXIMUM_VOXELS

_SAME_DIRECTION = 1e-3
_SAME_POSITION_MM = 1e-2
_SPACING_TOLERANCE = 0.02
"""Largest deviation of a slice distance, as a part of the usual distance."""


def single_grey_images(frames: Sequence[Frame]) -> None:
    """Refuse colour, inverted and oversized images.

    Raises:
        InputError: see above, naming the file and the kind.
    """
    for frame in frames:
        photometric = frame.text("PhotometricInterpretation") or "MONOCHROME2"
        if frame.integer("SamplesPerPixel", 1) != 1 or photometric != "MONOCHROME2":
            raise InputError(
                "not a grey MR image",
                where=frame.name,
                why=f"its pixels are {photometric}",
                remedy="give the original series, not a picture made of it",
            )
        rows, columns = frame.integer("Rows"), frame.integer("Columns")
        if rows < 1 or columns < 1:
            raise InputError(
                "the image has no rows or no columns",
                where=frame.name,
                remedy="export the original series again",
            )
        if rows * columns * len(frames) > MAXIMUM_VOXELS:
            raise InputError(
                "the series is too large",
                where=frame.name,
                why=f"more than {MAXIMUM_VOXELS} voxels in all",
                remedy="give fewer slices",
            )


def with_geometry(frames: Sequence[Frame]) -> None:
    """Refuse images that do not say where they lie: nothing can be placed without it.

    Raises:
        InputError: naming the file and the missing element.
    """
    for frame in frames:
        directions = frame.orientation
        if not np.isfinite(frame.position).all() or (frame.pixel_spacing <= 0).any():
            raise InputError(
                "the PixelSpacing is not positive",
                where=frame.name,
                remedy="export the original series again",
            )
        if np.abs(directions @ directions.T - np.eye(2)).max() > SHEAR_TOLERANCE:
            raise InputError(
                "the image's row and column directions are not at right angles",
                where=frame.name,
                remedy="export the original series again",
            )


def without_localizers(frames: Sequence[Frame], where: str) -> tuple[list[Frame], list[str]]:
    """Leave out the few images that lie across the others; refuse where there is no majority.

    Raises:
        InputError: no orientation has more than half of the images, or images of one orientation
            differ in size or spacing.
    """
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if np.abs(frame.orientation - group[0].orientation).max() <= _SAME_DIRECTION:
                group.append(frame)
                break
        else:
            groups.append([frame])
    largest = max(groups, key=len)
    if 2 * len(largest) <= len(frames):
        raise InputError(
            "the images lie in several orientations",
            where=where,
            why=f"{len(groups)} orientations of {', '.join(str(len(g)) for g in groups)} images",
            remedy="give the files of one stack of parallel slices",
        )
    kept = [frame for frame in largest if "LOCALIZER" not in frame.text("ImageType").upper()]
    kept = kept or largest
    notes = []
    if len(kept) < len(frames):
        left_out = len(frames) - len(kept)
        notes.append(f"{left_out} localizer image{'s' if left_out > 1 else ''} left out")
    shapes = {(frame.integer("Rows"), frame.integer("Columns")) for frame in kept}
    if len(shapes) > 1:
        raise InputError(
            "the images differ in size",
            where=where,
            why=", ".join(f"{rows} x {columns}" for rows, columns in sorted(shapes)),
            remedy="give the files of one stack",
        )
    spacings = np.array([frame.pixel_spacing for frame in kept])
    if np.ptp(spacings, axis=0).max() > 1e-4 * spacings.min():
        raise InputError(
            "the images differ in pixel spacing", where=where, remedy="give the files of one stack"
        )
    return kept, notes


def ordered(frames: Sequence[Frame], where: str, *, allow_gaps: bool = False) -> list[Frame]:
    """Sort along the slice normal; refuse several images at one place, gaps and tilted stacks.

    Raises:
        InputError: says what tells the images of one place apart, or where the gap is.
    """
    row, column = frames[0].orientation
    normal = np.cross(row, column)
    ranked = sorted(frames, key=lambda frame: float(frame.position @ normal))
    heights = np.array([frame.position @ normal for frame in ranked])
    steps = np.diff(heights)
    if not len(steps):
        return ranked
    if (steps < _SAME_POSITION_MM).any():
        _refuse_duplicates(ranked, steps, where)
    usual = float(np.median(steps))
    uneven = np.abs(steps - usual) > max(_SPACING_TOLERANCE * usual, _SAME_POSITION_MM)
    if uneven.any() and not allow_gaps:
        places = ", ".join(
            f"{heights[i]:.2f} to {heights[i + 1]:.2f} mm" for i in np.flatnonzero(uneven)[:4]
        )
        raise InputError(
            "slices are missing or unevenly spaced",
            where=where,
            why=f"the usual distance is {usual:.2f} mm, but {places}",
            remedy="export the complete series, or fill the gaps by interpolation (--allow-gaps)",
        )
    offsets = np.array([frame.position for frame in ranked])
    sideways = offsets - offsets[0] - np.outer(heights - heights[0], normal)
    extent = max(float(heights[-1] - heights[0]), usual)
    if np.linalg.norm(sideways, axis=1).max() > max(SHEAR_TOLERANCE * extent, _SAME_POSITION_MM):
        raise InputError(
            "the slices are shifted against each other (gantry tilt or drift)",
            where=where,
            why=f"by up to {np.linalg.norm(sideways, axis=1).max():.2f} mm in the plane",
            remedy="resample the series onto a right-angled grid",
        )
    return ranked


def _refuse_duplicates(ranked: Sequence[Frame], steps: NDArray[np.float64], where: str) -> None:
    i = int(np.flatnonzero(steps < _SAME_POSITION_MM)[0])
    pair = ranked[i], ranked[i + 1]
    count = int((steps < _SAME_POSITION_MM).sum())
    if pair[0].file.sha256 == pair[1].file.sha256 and pair[0].number == pair[1].number:
        why = "the same file is there twice"
    else:
        telling = [
            f"{keyword} {' and '.join(frame.text(keyword) or 'none' for frame in pair)}"
            for keyword in (
                "EchoTime", "ImageType", "AcquisitionNumber", "TemporalPositionIdentifier",
                "TriggerTime", "SOPInstanceUID",
            )
            if pair[0].text(keyword) != pair[1].text(keyword)
        ]  # fmt: skip
        why = (
            f"they differ in {telling[0]}" if telling else "nothing in the header tells them apart"
        )
    raise InputError(
        f"{count} of {len(ranked)} images lie at the place of another one",
        where=where,
        why=why,
        remedy="put the images of one echo, image type and repeat into a folder of their own",
    )
