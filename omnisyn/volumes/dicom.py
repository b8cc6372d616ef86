"""Read a DICOM series, classic (one file a slice) or Enhanced (many frames a file), as one volume.

DICOM coordinates are LPS+; the affine here is RAS+, so x and y change sign, exactly. Voxel axes are
(column, row, slice), slices in ascending order along the normal rows × columns.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import Contrast
from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.paths import name_of
from omnisyn.volumes.checks import Image, examine, settle
from omnisyn.volumes.dicom_checks import (
    doubts,
    ordered,
    place_tolerance,
    single_grey_images,
    with_geometry,
    without_localizers,
)
from omnisyn.volumes.dicom_facts import acquisition
from omnisyn.volumes.dicom_files import find_images, joint_sha256, parse_images
from omnisyn.volumes.dicom_frames import Frame, frames_of
from omnisyn.volumes.dicom_pixels import read_pixels
from omnisyn.volumes.dicom_stacks import Stack, choose_stack, find_stacks
from omnisyn.volumes.options import DEFAULT, ReadOptions
from omnisyn.volumes.volume import Provenance, Volume


def read_dicom(
    path: str | Path, options: ReadOptions = DEFAULT, said: Contrast | None = None
) -> Volume:
    """Read one series of a folder, or a single file.

    The volume's contrast is left open: `read_volume` guesses it from the header.

    Args:
        said: the contrast that the folder is said to hold; chooses among several series.

    Raises:
        InputError: no images, several series of which none is chosen, gaps, missing geometry,
            colour, damaged files; one line says which and how to mend it.
        ResourceError: the disk fails in mid-read.
    """
    # pydicom warns of every value that bends the standard; what matters here is checked here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        path = Path(path)
        where = name_of(path)
        stacks = _stacks(path)
        stack = choose_stack(stacks, options.series, said, where)
        notes = list(stack.notes)
        if len(stacks) > 1:
            # Without its description, which may name the patient: this goes into the sidecar.
            notes.append(f"of {len(stacks)} stacks in the folder this one: {stack.selector}")
        return _read_stack(stack.frames, where, options, notes)


def read_stack(stack: Stack, where: str) -> Volume:
    """Read one of the stacks that `list_stacks` found. Errors as in `read_dicom`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _read_stack(stack.frames, where, DEFAULT, list(stack.notes))


def read_files(files: Iterable[Path], part: str, where: str) -> Volume:
    """Read the stack that these files of one series hold.

    Args:
        part: which of several stacks it is (`Stack.told_apart`).
        where: what the series is called in messages.

    Errors as in `read_dicom`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        images, _ = parse_images(files)
        stacks = find_stacks([frame for file in images for frame in frames_of(file)])
        chosen = [stack for stack in stacks if stack.told_apart == part] or stacks
        if len(chosen) != 1:
            raise InputError(
                f"the series holds {len(stacks)} images" if stacks else "no DICOM images here",
                where=where,
                why="files were added or changed since they were looked at",
                remedy="look again",
            )
        return _read_stack(chosen[0].frames, where, DEFAULT, [])


def stack_geometry(stack: Stack, where: str) -> Geometry:
    """Where a stack lies, from its headers alone. Errors as in `read_dicom`."""
    single_grey_images(stack.frames)
    with_geometry(stack.frames)
    frames, _ = without_localizers(stack.frames, where)
    frames = ordered(frames, where, allow_gaps=False)
    shape = (frames[0].integer("Columns"), frames[0].integer("Rows"), len(frames))
    return Geometry(shape, _affine(frames, len(frames)))


def list_stacks(path: str | Path) -> list[Stack]:
    """Every series, echo and repeat that a folder or file holds. Errors as in `read_dicom`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _stacks(Path(path))


def _stacks(path: Path) -> list[Stack]:
    files, notes = find_images(path)
    stacks = find_stacks([frame for file in files for frame in frames_of(file)])
    return [replace(stack, notes=notes) for stack in stacks]


def _read_stack(
    frames: Sequence[Frame], where: str, options: ReadOptions, notes: list[str]
) -> Volume:
    single_grey_images(frames)
    with_geometry(frames)
    frames, remarks = without_localizers(frames, where)
    frames = ordered(frames, where, allow_gaps=options.allow_gaps)
    notes = notes + remarks
    if len(frames) == 1 and not _thickness(frames[0]):
        notes.append("a single slice without a thickness: 1 mm is assumed")
    shape = (frames[0].integer("Columns"), frames[0].integer("Rows"), len(frames))
    voxels = np.empty(shape, dtype=np.float32, order="F")
    for index, image in enumerate(read_pixels(frames)):
        voxels[:, :, index] = image.T
    headers = tuple(frames)
    if options.allow_gaps:
        filled = _fill_gaps(voxels, frames)
        if filled is not voxels:
            notes.append(
                f"{len(frames)} unevenly spaced slices were resampled to {filled.shape[2]} "
                "(linear interpolation)"
            )
            # An interpolated slice has no source image that a derived series could point to.
            voxels, headers = filled, ()
    geometry = Geometry(voxels.shape, _affine(frames, voxels.shape[2]))
    findings = settle(
        (*examine(Image(voxels, geometry)), *doubts(frames)), where, strict=options.strict
    )
    provenance = Provenance(
        name=where,
        format="dicom",
        sha256=_joint_hash(frames),
        acquisition=acquisition(frames[0]),
        warnings=(*notes, *findings),
    )
    return Volume(voxels, geometry, None, provenance, headers)


def _affine(frames: Sequence[Frame], slices: int) -> NDArray[np.float64]:
    """Voxel (column, row, slice) to RAS+ mm, by equation C.7.6.2.1-1 of DICOM PS3.3."""
    row, column = frames[0].orientation
    spacing = frames[0].pixel_spacing
    first, last = frames[0].position, frames[-1].position
    if slices > 1:
        step = (last - first) / (slices - 1)
    else:
        step = np.cross(row, column) * (_thickness(frames[0]) or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = row * spacing[1]
    affine[:3, 1] = column * spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first
    affine[:2] *= -1.0
    # Minus zero would show in every printed affine.
    return affine + 0.0


def _fill_gaps(voxels: NDArray[np.float32], frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Slices at even distances, near the usual one, between the first and the last.

    Returns:
        `voxels` itself where the slices are even already.
    """
    normal = np.cross(*frames[0].orientation)
    heights = np.array([frame.position @ normal for frame in frames])
    if len(heights) < 2:
        return voxels
    usual = float(np.median(np.diff(heights)))
    count = round((heights[-1] - heights[0]) / usual) + 1
    wanted = np.linspace(heights[0], heights[-1], count)
    if count == len(heights) and np.abs(wanted - heights).max() <= place_tolerance(usual):
        return voxels
    above = np.clip(np.searchsorted(heights, wanted), 1, len(heights) - 1)
    share = (wanted - heights[above - 1]) / (heights[above] - heights[above - 1])
    filled: NDArray[np.float32] = (
        voxels[:, :, above - 1] * (1 - share) + voxels[:, :, above] * share
    )
    return np.asfortranarray(filled, dtype=np.float32)


def _thickness(frame: Frame) -> float | None:
    """The distance in mm that a slice by itself stands for, where the header says it."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = frame.number_of(keyword)
        if value is not None and value > 0:
            return value
    return None


def _joint_hash(frames: Sequence[Frame]) -> str:
    # Of a multi-frame file only the frames that were read count: another echo is another image.
    hashes = {
        frame.file.sha256 if frame.number is None else f"{frame.file.sha256} {frame.number}"
        for frame in frames
    }
    return joint_sha256(hashes)
