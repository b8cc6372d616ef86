"""Checks of a DICOM series before its files become one volume.

Each refuses with what is wrong, why it matters and how to mend it. A series reader that lacks them
takes the first of two series, stretches the spacing over a missing slice, or stacks two echoes.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.volumes.dicom_files import DicomFile
from omnisyn.volumes.nifti_affine import SHEAR_TOLERANCE
from omnisyn.volumes.nifti_header import MAXIMUM_VOXELS

_SAME_DIRECTION = 1e-3
_SAME_POSITION_MM = 1e-2
_SPACING_TOLERANCE = 0.02
"""Largest deviation of a slice distance, as a part of the usual distance."""


def one_series(files: Sequence[DicomFile], where: str) -> None:
    """Refuse files of several series or patients: each series would be another volume.

    Raises:
        InputError: the series are listed by number, description and count.
    """
    counts = Counter(file.text("SeriesInstanceUID") for file in files)
    if len(counts) > 1:
        first = {file.text("SeriesInstanceUID"): file for file in reversed(files)}
        listing = ", ".join(
            f"{first[uid].text('SeriesNumber') or '?'} "
            f"{first[uid].text('SeriesDescription') or 'unnamed'} ({count} files)"
            for uid, count in counts.items()
        )
        raise InputError(
            f"the folder holds {len(counts)} series",
            where=where,
            why=listing,
            remedy="put the files of one series into a folder of their own",
        )
    if len({file.text("PatientID") for file in files}) > 1:
        raise InputError(
            "the files belong to several patients",
            where=where,
            remedy="give the files of one patient",
        )


def single_grey_images(files: Sequence[DicomFile]) -> None:
    """Refuse colour, inverted, multi-frame and oversized images.

    Raises:
        InputError: see above, naming the file and the kind.
    """
    for file in files:
        photometric = file.text("PhotometricInterpretation") or "MONOCHROME2"
        if file.integer("SamplesPerPixel", 1) != 1 or photometric != "MONOCHROME2":
            raise InputError(
                "not a grey MR image",
                where=file.name,
                why=f"its pixels are {photometric}",
                remedy="give the original series, not a picture made of it",
            )
        frames = file.integer("NumberOfFrames", 1)
        if frames > 1 or "SharedFunctionalGroupsSequence" in file.dataset:
            raise InputError(
                "multi-frame DICOM is not read yet",
                where=file.name,
                why=f"{frames} frames in one file",
                remedy="convert it to NIfTI (for example with dcm2niix) and give that",
            )
        rows, columns = file.integer("Rows"), file.integer("Columns")
        if rows < 1 or columns < 1:
            raise InputError(
                "the image has no rows or no columns",
                where=file.name,
                remedy="export the original series again",
            )
        if rows * columns * len(files) > MAXIMUM_VOXELS:
            raise InputError(
                "the series is too large",
                where=file.name,
                why=f"more than {MAXIMUM_VOXELS} voxels in all",
                remedy="give fewer slices",
            )


def with_geometry(files: Sequence[DicomFile]) -> None:
    """Refuse images that do not say where they lie: nothing can be placed without it.

    Raises:
        InputError: naming the file and the missing element.
    """
    for file in files:
        for keyword, count in (
            ("ImagePositionPatient", 3),
            ("ImageOrientationPatient", 6),
            ("PixelSpacing", 2),
        ):
            if file.numbers(keyword, count) is None:
                raise InputError(
                    f"the image has no usable {keyword}",
                    where=file.name,
                    remedy="export the original series, not a secondary capture",
                )
        spacing = file.numbers("PixelSpacing", 2)
        directions = orientation(file)
        cosines = directions @ directions.T - np.eye(2)
        if spacing is None or (spacing <= 0).any():
            raise InputError(
                "the PixelSpacing is not positive",
                where=file.name,
                remedy="export the original series again",
            )
        if np.abs(cosines).max() > SHEAR_TOLERANCE:
            raise InputError(
                "the image's row and column directions are not at right angles",
                where=file.name,
                remedy="export the original series again",
            )


def orientation(file: DicomFile) -> NDArray[np.float64]:
    """Direction cosines of the rows and the columns, LPS+: [2, 3]."""
    cosines = file.numbers("ImageOrientationPatient", 6)
    if cosines is None:
        raise InputError(
            "the image has no usable ImageOrientationPatient",
            where=file.name,
            remedy="export the original series again",
        )
    return cosines.reshape(2, 3)


def position(file: DicomFile) -> NDArray[np.float64]:
    """LPS+ position of the first pixel's centre in mm: [3]."""
    place = file.numbers("ImagePositionPatient", 3)
    if place is None:
        raise InputError(
            "the image has no usable ImagePositionPatient",
            where=file.name,
            remedy="export the original series again",
        )
    return place


def without_localizers(files: Sequence[DicomFile], where: str) -> tuple[list[DicomFile], list[str]]:
    """Leave out the few images that lie across the others; refuse where there is no majority.

    Raises:
        InputError: no orientation has more than half of the images, or images of one orientation
            differ in size or spacing.
    """
    groups: list[list[DicomFile]] = []
    for file in files:
        for group in groups:
            if np.abs(orientation(file) - orientation(group[0])).max() <= _SAME_DIRECTION:
                group.append(file)
                break
        else:
            groups.append([file])
    largest = max(groups, key=len)
    if 2 * len(largest) <= len(files):
        raise InputError(
            "the images lie in several orientations",
            where=where,
            why=f"{len(groups)} orientations of {', '.join(str(len(g)) for g in groups)} images",
            remedy="give the files of one stack of parallel slices",
        )
    kept = [file for file in largest if "LOCALIZER" not in file.text("ImageType").upper()]
    kept = kept or largest
    notes = []
    if len(kept) < len(files):
        left_out = len(files) - len(kept)
        notes.append(f"{left_out} localizer image{'s' if left_out > 1 else ''} left out")
    shapes = {(file.integer("Rows"), file.integer("Columns")) for file in kept}
    if len(shapes) > 1:
        raise InputError(
            "the images differ in size",
            where=where,
            why=", ".join(f"{rows} x {columns}" for rows, columns in sorted(shapes)),
            remedy="give the files of one stack",
        )
    spacings = np.array([file.numbers("PixelSpacing", 2) for file in kept])
    if np.ptp(spacings, axis=0).max() > 1e-4 * spacings.min():
        raise InputError(
            "the images differ in pixel spacing", where=where, remedy="give the files of one stack"
        )
    return kept, notes


def ordered(files: Sequence[DicomFile], where: str) -> list[DicomFile]:
    """Sort along the slice normal; refuse several images at one place, gaps and tilted stacks.

    Raises:
        InputError: says what tells the images of one place apart, or where the gap is.
    """
    row, column = orientation(files[0])
    normal = np.cross(row, column)
    ranked = sorted(files, key=lambda file: float(position(file) @ normal))
    heights = np.array([position(file) @ normal for file in ranked])
    steps = np.diff(heights)
    if not len(steps):
        return ranked
    if (steps < _SAME_POSITION_MM).any():
        _refuse_duplicates(ranked, steps, where)
    usual = float(np.median(steps))
    uneven = np.abs(steps - usual) > max(_SPACING_TOLERANCE * usual, _SAME_POSITION_MM)
    if uneven.any():
        places = ", ".join(
            f"{heights[i]:.2f} to {heights[i + 1]:.2f} mm" for i in np.flatnonzero(uneven)[:4]
        )
        raise InputError(
            "slices are missing or unevenly spaced",
            where=where,
            why=f"the usual distance is {usual:.2f} mm, but {places}",
            remedy="export the complete series",
        )
    offsets = np.array([position(file) for file in ranked])
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


def _refuse_duplicates(ranked: Sequence[DicomFile], steps: NDArray[np.float64], where: str) -> None:
    i = int(np.flatnonzero(steps < _SAME_POSITION_MM)[0])
    pair = ranked[i], ranked[i + 1]
    count = int((steps < _SAME_POSITION_MM).sum())
    if pair[0].sha256 == pair[1].sha256:
        why = "the same file is there twice"
    else:
        telling = [
            f"{keyword} {' and '.join(file.text(keyword) or 'none' for file in pair)}"
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
