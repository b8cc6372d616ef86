"""One label map as it lies in memory: classes, depths, and where the head's origin is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.simulate.label_maps.key import LABELS, LabelKey
from omnisyn.simulate.tissues import AIR, tissue_index
from omnisyn.volumes.file_bytes import read_file
from omnisyn.volumes.nifti import load_nifti

Box = tuple[slice, slice, slice]

# Classes below are indices of TISSUES; these stand for what is only settled in each head.
SOFT, BONE, DURA, VENTRICLE, UNNAMED = 200, 201, 202, 203, 210

BRAIN = (
    "white_matter",
    "grey_matter",
    "cerebellar_WM",
    "cerebellar_GM",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "brainstem",
    "dentate_red_nucleus_SN",
)
# Height of the brain's top, and distance of its middle to the back, from the anterior commissure
# where the head's origin lies. Estimates after the procedural head.
_TOP_MM, _BACK_MM = 74.0, 14.0
# Up, back and to the left: where the pituitary's middle lies from the chiasm's (seen in the public
# maps), and its half axes as in the procedural head. The last holds both.
_BELOW_CHIASM_MM, _PITUITARY_MM, _SELLA_MM = (-9.0, -2.0, 0.0), (3.8, 5.0, 6.5), 13.0


@dataclass(frozen=True)
class LabelMap:
    """A head as classes on a grid of slices (upwards), rows (to the back), columns (to the left).

    Attributes:
        name: of the file, without its ending.
        classes: uint8; an index of TISSUES, or SOFT, BONE, DURA, UNNAMED + number.
        depth: uint8, voxels: of SOFT to the air around the head, of BONE to what is not bone.
        ventricles: bool, where the ventricles are.
        unnamed: tissues among which each UNNAMED + number is drawn.
        spacing_mm: of slices, rows, columns.
        origin: index (slice, row, column) of the head's origin, see ``anatomy.Grid``.
    """

    name: str
    classes: NDArray[np.uint8]
    depth: NDArray[np.uint8]
    ventricles: NDArray[np.bool_]
    unnamed: tuple[tuple[str, ...], ...]
    spacing_mm: tuple[float, float, float]
    origin: tuple[float, float, float]

    @property
    def brain(self) -> NDArray[np.bool_]:
        """Where grey or white matter of any part of the brain is."""
        wanted = np.zeros(256, dtype=bool)
        wanted[[tissue_index(name) for name in BRAIN]] = True
        found: NDArray[np.bool_] = wanted[self.classes]
        return found


def read_label_map(path: Path, key: LabelKey) -> LabelMap:
    """Read one file by its key.

    Raises:
        InputError: not a NIfTI file, a label that the key does not know, or no brain in it.
    """
    image = load_nifti(read_file(path))
    geometry = image.geometry
    if key.orientation is not None:
        geometry = _turned(geometry, key.orientation)
    labels = _whole_numbers(geometry.to_slices(image.voxels), path.name)
    table, unnamed = _classes(key)
    unknown = sorted(set(np.unique(labels).tolist()) - set(table))
    if unknown:
        raise InputError(
            f"label {unknown[0]} means nothing to the key {key.name!r}",
            where=path.name,
            why=f"{int((labels == unknown[0]).sum())} voxels have it",
            remedy="list it in the key, among `unnamed` where nobody knows",
        )
    there = ~np.isin(labels, [label for label, code in table.items() if code == 0])
    if not there.any():
        raise _brainless(path.name)
    # A rim of air, where the map has some: depths count from it.
    labels = labels[box_around(there, 1)]
    codes = np.zeros(LABELS, dtype=np.uint8)
    codes[list(table)] = list(table.values())
    classes = codes[labels]
    _set_pituitary(classes, np.isin(labels, key.chiasm), geometry.slice_spacing)
    wanted = np.zeros(LABELS, dtype=bool)
    wanted[list(key.ventricles)] = True
    found = LabelMap(
        name=path.name.split(".")[0],
        classes=classes,
        depth=_depth(classes),
        ventricles=wanted[labels],
        unnamed=unnamed,
        spacing_mm=geometry.slice_spacing,
        origin=(0.0, 0.0, 0.0),
    )
    return _with_dura(_centred(found, path.name))


def _turned(geometry: Geometry, orientation: str) -> Geometry:
    """The same voxels with axes that point as ``orientation`` says; the origin is of no account."""
    axes = nibabel.orientations.axcodes2ornt(tuple(orientation))
    affine = nibabel.orientations.inv_ornt_aff(axes, geometry.shape)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.inv(affine[:3, :3]) @ np.diag(geometry.spacing)
    return Geometry(geometry.shape, matrix)


def _whole_numbers(voxels: NDArray[np.float32], name: str) -> NDArray[np.int16]:
    labels = voxels.astype(np.int16)
    if voxels.min() < 0 or voxels.max() >= LABELS or not np.array_equal(labels, voxels):
        raise InputError(
            "not a label map",
            where=name,
            why=f"labels are whole numbers from 0 to {LABELS - 1}",
        )
    return labels


def _classes(key: LabelKey) -> tuple[dict[int, int], tuple[tuple[str, ...], ...]]:
    """Label → class, and the tissues of each unnamed label."""
    table = {
        label: tissue_index(tissue) for tissue, labels in key.tissues.items() for label in labels
    }
    table |= dict.fromkeys(key.soft, SOFT) | dict.fromkeys(key.bone, BONE)
    choices: list[tuple[str, ...]] = []
    for group in key.unnamed:
        for label in group.labels:
            table[label] = UNNAMED + len(choices)
            choices.append(group.tissues)
    return table, tuple(choices)


def _set_pituitary(
    classes: NDArray[np.uint8], chiasm: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> None:
    """Below the chiasm, what maps call fluid or do not name is pituitary; bone stays."""
    if not chiasm.any():
        return
    place = np.argwhere(chiasm).mean(axis=0) + np.array(_BELOW_CHIASM_MM) / spacing_mm
    box = box_around(chiasm, round(_SELLA_MM / min(spacing_mm)))
    distance = sum(
        ((tick - centre) * step / half) ** 2
        for tick, centre, step, half in zip(
            np.ogrid[box], place, spacing_mm, _PITUITARY_MM, strict=True
        )
    )
    empty = (classes[box] == tissue_index("CSF")) | (classes[box] >= UNNAMED)
    classes[box][empty & (distance < 1.0)] = tissue_index("pituitary_anterior")


def box_around(mask: NDArray[np.bool_], margin: int) -> Box:
    """The box around what a mask holds and so many voxels more, within its array.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no box")
    ends = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        ends.append(slice(max(0, int(filled[0]) - margin), min(size, int(filled[-1]) + margin + 1)))
    return ends[0], ends[1], ends[2]


def _depth(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    body = classes != tissue_index(AIR)
    # Slice by slice, so that the cavities of nose and throat do not count as outside.
    for plane in body:
        ndimage.binary_fill_holes(plane, output=plane)
    from_air = ndimage.distance_transform_cdt(body, metric="chessboard")
    bone = classes == BONE
    in_bone = ndimage.distance_transform_cdt(bone, metric="chessboard")
    depth: NDArray[np.uint8] = np.where(bone, in_bone, from_air).clip(0, 255).astype(np.uint8)
    return depth


def _centred(found: LabelMap, name: str) -> LabelMap:
    brain = found.brain
    if not brain.any():
        raise _brainless(name)
    height, depth, width = box_around(brain, 0)
    up, back, _ = found.spacing_mm
    origin = (
        height.stop - 1 - _TOP_MM / up,
        (depth.start + depth.stop - 1) / 2 - _BACK_MM / back,
        (width.start + width.stop - 1) / 2,
    )
    return replace(found, origin=origin)


def _brainless(name: str) -> InputError:
    return InputError("the label map shows no brain", where=name)


def _with_dura(found: LabelMap) -> LabelMap:
    """Bone that touches the fluid or the brain becomes DURA: what it is in truth, one voxel on."""
    inside = found.brain | (found.classes == tissue_index("CSF"))
    touching = ndimage.binary_dilation(inside) & (found.classes == BONE)
    classes = found.classes.copy()
    classes[touching] = DURA
    return replace(found, classes=classes)
