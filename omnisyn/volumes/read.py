"""Read anything that is one volume: a NIfTI file, a DICOM file or one series of a DICOM folder.

The kind is found by content. The contrast is the one that is said, else the sidecar's, else what
header and name suggest; the acquisition facts come from the sidecar or the DICOM headers.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import Contrast
from omnisyn.errors import InputError, ResourceError
from omnisyn.geometry import Geometry
from omnisyn.volumes.checks import Finding, settle
from omnisyn.volumes.contrast_guess import PARAMETERS_ONLY, contradiction, guess_from
from omnisyn.volumes.file_bytes import DICOM_START_BYTES, looks_like_dicom, read_file
from omnisyn.volumes.nifti import load_nifti, read_nifti
from omnisyn.volumes.options import DEFAULT, ReadOptions
from omnisyn.volumes.sidecar import acquisition_facts, read_sidecar, stated_contrast
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import NIFTI_SUFFIXES


def read_volume(
    path: str | Path, contrast: Contrast | None = None, options: ReadOptions = DEFAULT
) -> Volume:
    """Read a NIfTI file, a DICOM file or one series of a DICOM folder.

    Args:
        contrast: what the volume shows; it chooses among several DICOM series. Without it the
            sidecar, the header and the name are asked, and the volume's contrast is None where
            they say nothing.
        options: choices and permissions; by default whatever is ambiguous is refused.

    Raises:
        InputError: missing, damaged, ambiguous or not an image; one line says which and why.
        ResourceError: the disk fails in mid-read, or the memory is too small.
    """
    path = Path(path)
    try:
        return _read(path, contrast, options)
    except MemoryError as error:
        raise ResourceError(
            "not enough memory to read the volume",
            where=path.name,
            remedy="give a smaller volume or use a machine with more memory",
        ) from error


def _read(path: Path, contrast: Contrast | None, options: ReadOptions) -> Volume:
    doubts: list[Finding] = []
    # Unlike Path.is_dir, this takes any name, however long.
    if os.path.isdir(path) or is_dicom_file(path):
        from omnisyn.volumes.dicom import read_dicom

        volume = read_dicom(path, options, contrast)
    else:
        volume = read_nifti(path, options)
        side = read_sidecar(path)
        provenance = replace(volume.provenance, acquisition=acquisition_facts(side))
        volume = replace(volume, provenance=provenance)
        contrast = contrast or stated_contrast(side, path.name)
        if side.get("VolumeSHA256", provenance.sha256) != provenance.sha256:
            doubts.append(
                Finding(
                    "the sidecar belongs to another state of this volume",
                    "the hash in it is not that of the file",
                    "make the volume again, or remove the sidecar",
                )
            )
    return labelled_volume(volume, contrast, options, doubts, path.name)


def labelled_volume(
    volume: Volume,
    contrast: Contrast | None,
    options: ReadOptions = DEFAULT,
    doubts: Sequence[Finding] = (),
    name: str | None = None,
) -> Volume:
    """The volume with its contrast: the one that is said, else what its header and name suggest.

    Args:
        doubts: about the volume, which become warnings with those about the contrast.
        name: of the file or folder; by default the volume's own.

    Raises:
        InputError: there are doubts, and `options.strict`.
    """
    name = name or volume.provenance.name
    doubts = list(doubts)
    facts = volume.provenance.acquisition
    guess = guess_from(facts, [name])
    if contrast is not None:
        against = contradiction(contrast, facts)
        if against:
            doubts.append(_doubt(f"the header does not look like {contrast.name}", against))
    elif guess.contrast is not None and guess.confidence <= PARAMETERS_ONLY:
        doubts.append(
            _doubt(f"the contrast is only guessed to be {guess.contrast.name}", guess.reason)
        )
    warned = settle(doubts, name, strict=options.strict)
    provenance = replace(volume.provenance, warnings=volume.provenance.warnings + warned)
    return replace(volume, contrast=contrast or guess.contrast, provenance=provenance)


def _doubt(what: str, why: str) -> Finding:
    return Finding(what, why, "say what it shows: CONTRAST=PATH")


def read_mask(path: str | Path, geometry: Geometry) -> NDArray[np.bool_]:
    """Read a mask or label map that lies on `geometry`; every voxel above 0.5 belongs to it.

    Returns:
        bool, `geometry.shape`, file axis order. It may be empty.

    Raises:
        InputError: missing, damaged, not finite, or on another grid.
        ResourceError: the disk fails in mid-read.
    """
    voxels = _read_labels(Path(path), geometry)
    return voxels > 0.5


def read_labels(path: str | Path, geometry: Geometry) -> NDArray[np.uint8]:
    """Read a label map of whole numbers from 0 to 255 that lies on `geometry`. Errors as above.

    Returns:
        uint8, `geometry.shape`, file axis order.
    """
    path = Path(path)
    voxels = _read_labels(path, geometry)
    labels = np.clip(voxels, 0, 255).astype(np.uint8)
    if not np.array_equal(labels, voxels):
        raise InputError(
            "not a label map",
            where=path.name,
            why="it holds values other than 0, 1, ... 255",
            remedy="give whole numbers, one a structure",
        )
    return labels


def _read_labels(path: Path, geometry: Geometry) -> NDArray[np.float32]:
    image = load_nifti(read_file(path))
    if not np.isfinite(image.voxels).all():
        raise InputError(
            "the mask holds values that are not finite", where=path.name, remedy="export it again"
        )
    if not image.geometry.matches(geometry):
        raise InputError(
            "the mask lies on another grid than its image",
            where=path.name,
            why=f"shape {image.geometry.shape} against {geometry.shape}"
            if tuple(image.geometry.shape) != tuple(geometry.shape)
            else "same shape, another affine",
            remedy="resample it onto the grid of the image",
        )
    return image.voxels


def is_dicom_file(path: Path) -> bool:
    """Whether a file's first bytes are those of DICOM."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(DICOM_START_BYTES)
    except OSError:
        return False
    return looks_like_dicom(start)


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files directly: told by their content."""
    for entry in sorted(folder.iterdir()):
        if not entry.is_file() or entry.name.startswith("."):
            continue
        if entry.name.lower().endswith((*NIFTI_SUFFIXES, ".json", ".tsv", ".toml", ".txt")):
            continue
        if is_dicom_file(entry):
            return True
    return False
