"""Checks of a DICOM series before its frames become one volume.

Each refuses with what is wrong, why it matters and how to mend it. A series reader that lacks them
takes the first of two series, stretches the spacing over a missing slice, or stacks two echoes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.volumes.checks import Finding
from omnisyn.volumes.dicom_frames import Frame
from omnisyn.volumes.nifti_affine import SHEAR_TOLERANCE
from omnisyn.volumes.nifti_header import MAXIMUM_VOXELS

_SAME_DIRECTION = 1e-3
_SAME_POSITION_MM = 1e-2
_SPACING_TOLERANCE = 0.02
"""Largest deviation of a slice from its place, as a part of the usual distance."""
_LOCALIZER_DEGREES = 5.0
_FEW = 3
_WIDEST_GAP = 4
# Values of ImageType and ComplexImageComponent whose grey values are not those of an MR contrast.
_OTHER_IMAGES = frozenset(
    {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "ADC", "FA", "T1 MAP", "T2 MAP"}
)


def place_tolerance(distance: float) -> float:
    """How far in mm a slice may lie from its place on an even grid of that slice distance."""
    return max(_SPACING_TOLERANCE * distance, _SAME_POSITION_MM)


def single_grey_images(frames: Sequence[Frame]) -> None:
    """Refuse colour, inverted and oversized images, mosaics, and frames that nobody placed.

    Raises:
        InputError: see above, naming the file and the kind.
    """
    for frame in frames:
        if frame.number is None and frame.integer("NumberOfFrames", 1) > 1:
            raise InputError(
                "a multi-frame file that does not say where its frames lie",
                where=frame.name,
                why=f"{frame.integer('NumberOfFrames', 1)} frames, no functional group for each",
                remedy="export the original series",
            )
        if "MOSAIC" in frame.text("ImageType").split("\\"):
            raise InputError(
                "a mosaic: many slices in one picture",
                where=frame.name,
                remedy="convert the series to NIfTI (for example with dcm2niix) and give that",
            )
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
    """Refuse images that do not say where they lie, with numbers: nothing can be placed without.

    Raises:
        InputError: naming the file and the missing element.
    """
    for frame in frames:
        # Each of the three is refused by name where it is missing or no number.
        spacing, _, _ = frame.pixel_spacing, frame.orientation, frame.position
        if (spacing <= 0).any():
            raise InputError(
                "the PixelSpacing is not positive",
                where=frame.name,
                remedy="export the original series again",
            )


def without_localizers(frames: Sequence[Frame], where: str) -> tuple[list[Frame], list[str]]:
    """Leave out the few images that lie across the others; refuse where these are not few.

    Raises:
        InputError: no orientation has nearly all of the images, the images are slightly turned
            against each other, or images of one orientation differ in size or spacing.
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
    across = len(frames) - len(largest)
    if 2 * len(largest) <= len(frames) or across > max(_FEW, len(frames) // 5):
        raise InputError(
            "the images lie in several orientations",
            where=where,
            why=f"{len(groups)} orientations of {', '.join(str(len(g)) for g in groups)} images",
            remedy="give the files of one stack of parallel slices",
        )
    turned = [group for group in groups if 0 < _degrees(group[0], largest[0]) < _LOCALIZER_DEGREES]
    if turned:
        raise InputError(
            "the images are turned against each other",
            where=where,
            why=f"{sum(map(len, turned))} of {len(frames)} by up to "
            f"{max(_degrees(group[0], largest[0]) for group in turned):.2g} degrees",
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


def _degrees(one: Frame, other: Frame) -> float:
    """The larger of the angles between two images' rows and columns."""
    apart = np.linalg.norm(one.orientation - other.orientation, axis=1).max()
    return float(np.degrees(2 * np.arcsin(min(apart / 2, 1.0))))


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
    tolerance = place_tolerance(usual)
    offsets = np.array([frame.position for frame in ranked]) - ranked[0].position
    # Where every slice would lie between the first and the last, were they all evenly spaced.
    even = np.linspace(0.0, 1.0, len(ranked))[:, None] * offsets[-1]
    if allow_gaps:
        _refuse_wide_gaps(steps, usual, where)
        even = (heights - heights[0])[:, None] / (heights[-1] - heights[0]) * offsets[-1]
    elif (np.abs(steps - usual) > tolerance).any():
        places = ", ".join(
            f"{heights[i]:.2f} to {heights[i + 1]:.2f} mm"
            for i in np.flatnonzero(np.abs(steps - usual) > tolerance)[:4]
        )
        raise _uneven(where, f"the usual distance is {usual:.2f} mm, but {places}")
    off = offsets - even
    along = np.abs(off @ normal).max()
    if along > tolerance:
        raise _uneven(where, f"slices lie up to {along:.2f} mm from even places")
    tilt = np.linalg.norm(offsets[-1] - (heights[-1] - heights[0]) * normal)
    sideways = np.linalg.norm(off - np.outer(off @ normal, normal), axis=1).max()
    tilted = tilt > max(SHEAR_TOLERANCE * (heights[-1] - heights[0]), _SAME_POSITION_MM)
    if tilted or sideways > tolerance:
        raise InputError(
            "the slices are shifted against each other (gantry tilt or drift)",
            where=where,
            why=f"by up to {max(tilt, sideways):.2f} mm in the plane",
            remedy="resample the series onto a right-angled grid",
        )
    return ranked


def _uneven(where: str, why: str) -> InputError:
    return InputError(
        "slices are missing or unevenly spaced",
        where=where,
        why=why,
        remedy="export the complete series, or fill the gaps by interpolation (--allow-gaps)",
    )


def _refuse_wide_gaps(steps: NDArray[np.float64], usual: float, where: str) -> None:
    """A few missing slices can be guessed from their neighbours; half a head cannot."""
    widest = float(steps.max() / usual)
    if widest > _WIDEST_GAP + _SPACING_TOLERANCE:
        raise InputError(
            "a gap is too wide to be filled by interpolation",
            where=where,
            why=f"{steps.max():.1f} mm, which is {widest:.1f} times the usual distance; at most "
            f"{_WIDEST_GAP} times is filled",
            remedy="export the complete series, or give the slices of one side of the gap",
        )


def doubts(frames: Sequence[Frame]) -> tuple[Finding, ...]:
    """What is odd about frames that can be read, in the order of `ordered`."""
    found = []
    modality = frames[0].text("Modality")
    if modality not in ("MR", ""):
        found.append(
            Finding(f"the modality is {modality}, not MR", "its values mean something else",
                    "give an MR series")
        )  # fmt: skip
    kinds = {*frames[0].text("ImageType").upper().split("\\")[2:]}
    kinds.add(frames[0].text("ComplexImageComponent").upper())
    for kind in sorted(kinds & _OTHER_IMAGES):
        found.append(
            Finding(
                f"the image is of type {kind}", "its values are not those of a magnitude image",
                "give the magnitude images",
            )
        )  # fmt: skip
    if len({frame.text("FrameOfReferenceUID") for frame in frames}) > 1:
        found.append(
            Finding("the images have several frames of reference",
                    "positions in different ones cannot be compared",
                    "give the images of one acquisition")
        )  # fmt: skip
    return (*found, *_missing_by_the_header(frames))


def _missing_by_the_header(frames: Sequence[Frame]) -> tuple[Finding, ...]:
    """Slices left out at every second or third place leave an even series behind."""
    stated = frames[0].number_of("SpacingBetweenSlices")
    if len(frames) < 2 or not stated or stated <= 0:
        return ()
    normal = np.cross(*frames[0].orientation)
    distance = float((frames[1].position - frames[0].position) @ normal)
    # Some makers write the gap between the slices' edges in its place.
    thickness = frames[0].number_of("SliceThickness") or 0.0
    is_gap = stated < thickness and abs(distance - stated - thickness) <= place_tolerance(distance)
    if distance < 1.5 * stated or is_gap:
        return ()
    return (
        Finding(
            "slices may be missing",
            f"they lie {distance:.2f} mm apart, the header says {stated:.2f} mm",
            "check that the series is complete",
        ),
    )


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
