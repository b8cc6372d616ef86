"""Read NIfTI (.nii, .nii.gz, NIfTI-1 and -2, either byte order), whole or not at all.

The kind is found by content, never by suffix. Every byte is read, the gzip checksum and the byte
count are compared with the header, and the header is checked before anything is allocated.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.paths import open_regular
from omnisyn.volumes.checks import Image, examine, settle
from omnisyn.volumes.file_bytes import (
    GZIP_MAGIC,
    FileBytes,
    foreign_kind,
    peek,
    read_file,
    unpack,
)
from omnisyn.volumes.nifti_header import HEADER_BYTES, NiftiHeader, parse_header
from omnisyn.volumes.options import DEFAULT, ReadOptions
from omnisyn.volumes.volume import Provenance, Volume

# Of a packed file, more than enough to unpack the header.
_PACKED_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True)
class NiftiImage:
    """A file's voxels (float32, file axis order, slope and intercept applied) and what it says."""

    voxels: NDArray[np.float32]
    geometry: Geometry
    header: NiftiHeader
    warnings: tuple[str, ...]
    sha256: str


def read_nifti(path: str | Path, options: ReadOptions = DEFAULT) -> Volume:
    """Read a file as an image: one 3D volume with signal, every voxel finite.

    The contrast is left open and the sidecar unread: `read_volume` adds both.

    Raises:
        InputError: missing, not NIfTI, damaged, or not usable as an image; one line says why.
        ResourceError: the disk fails in mid-read.
    """
    image = load_nifti(read_file(Path(path)), options.volume)
    name = Path(path).name
    voxels, notes = image.voxels, image.warnings
    if options.zero_nonfinite:
        voxels, replaced = _without_nonfinite(voxels)
        notes += replaced
    findings = settle(examine(Image(voxels, image.geometry)), name, strict=options.strict)
    provenance = Provenance(
        name=name,
        format="nifti",
        sha256=image.sha256,
        qform_code=image.header.qform_code,
        sform_code=image.header.sform_code,
        units=image.header.units,
        warnings=notes + findings,
    )
    return Volume(voxels, image.geometry, None, provenance)


def read_geometry(path: str | Path) -> Geometry:
    """The grid of a file from its header alone; of a 4D file, that of each volume.

    Raises:
        InputError: it cannot be read, or the header is not NIfTI or cannot be trusted.
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            start = stream.read(_PACKED_HEADER_BYTES)
    except OSError as error:
        raise InputError(
            "cannot read the file", where=path.name, why=error.strerror, remedy="check the path"
        ) from error
    file = FileBytes(path, start, packed=start.startswith(GZIP_MAGIC))
    header = parse_header(peek(file, HEADER_BYTES), path.name)
    return Geometry(header.shape[:3], header.affine)


def load_nifti(file: FileBytes, volume: int | None = None) -> NiftiImage:
    """Read the voxels of a file without asking whether they make sense as an image.

    Args:
        volume: which one of a 4D file, counted from 1; by default the file must hold one.

    Raises:
        InputError: not NIfTI, damaged, several volumes, or values beyond float32.
    """
    name = file.name
    start = peek(file, HEADER_BYTES)
    foreign = foreign_kind(start)
    if foreign is not None:
        kind, remedy = foreign
        raise InputError("not a NIfTI file", where=name, why=f"it is {kind}", remedy=remedy)
    header = parse_header(start, name)
    shape, chosen = header.shape[:3], _chosen_volume(header.shape, volume, name)
    # Hashing and unpacking take about as long as each other, and neither holds the interpreter.
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(sha256, file.content)
        content = unpack(file, header.file_bytes)
    count = int(np.prod(shape))
    first = header.data_offset + chosen * count * header.voxel_type.itemsize
    stored = np.frombuffer(content, header.voxel_type, count=count, offset=first)
    voxels = _float32(stored.reshape(shape, order="F"), header, name)
    return NiftiImage(
        voxels=voxels,
        geometry=Geometry(shape, header.affine),
        header=header,
        warnings=header.warnings + _suffix_warning(file),
        sha256=digest.result().hexdigest(),
    )


def _chosen_volume(shape: tuple[int, ...], volume: int | None, name: str) -> int:
    """The index of the wanted volume in a file of one or several."""
    if len(shape) > 4:
        raise InputError(
            f"the file holds {len(shape)} dimensions {shape}, not one 3D volume",
            where=name,
            remedy="split it and give one volume",
        )
    several = shape[3] if len(shape) == 4 else 1
    if several > 1 and volume is None:
        raise InputError(
            f"the file holds {several} volumes, not one",
            where=name,
            remedy=f"choose one with --volume 1 ... {several}, or split it",
        )
    if volume is not None and not 1 <= volume <= several:
        raise InputError(
            f"there is no volume {volume}", where=name, why=f"the file holds {several}",
            remedy=f"choose from 1 to {several}",
        )  # fmt: skip
    return (volume or 1) - 1


def _without_nonfinite(
    voxels: NDArray[np.float32],
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    finite = np.isfinite(voxels)
    broken = int(voxels.size - np.count_nonzero(finite))
    if not broken:
        return voxels, ()
    return np.where(finite, voxels, np.float32(0)), (
        f"{broken} voxels that were NaN or infinite are set to zero",
    )


def _float32(stored: NDArray[Any], header: NiftiHeader, name: str) -> NDArray[np.float32]:
    scaled = (header.slope, header.intercept) != (1.0, 0.0)
    # Up to 16 bits and float32 lose nothing on the way; wider types are scaled in double first.
    wide = header.voxel_type.itemsize > 4 or header.voxel_type.name in ("int32", "uint32")
    passage = np.float64 if wide and scaled else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        # What is float32 already is not copied.
        values: NDArray[Any] = stored.astype(passage, order="F", copy=scaled)
        if scaled:
            values *= header.slope
            values += header.intercept
        voxels = values.astype(np.float32, copy=False)
    if wide or scaled:
        overflown = np.count_nonzero(np.isinf(voxels))
        if overflown and stored.dtype.kind == "f":
            overflown -= np.count_nonzero(np.isinf(stored))
        if overflown:
            raise InputError(
                "the voxel values do not fit into float32",
                where=name,
                why=f"{overflown} values are beyond 3.4e38",
                remedy="export the volume with sensible values",
            )
    return voxels


def _suffix_warning(file: FileBytes) -> tuple[str, ...]:
    suffix_says_packed = file.name.lower().endswith(".gz")
    if suffix_says_packed == file.packed:
        return ()
    truth = "gzip packed" if file.packed else "not gzip packed"
    return (f"the file is {truth}, against its name; it was read by its content",)
