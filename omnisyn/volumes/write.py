"""Write a volume as NIfTI (.nii.gz), whole, with its sidecar last.

The header is built here, never inherited: the voxel type is the one asked for, slope is 1 and
intercept 0. From the source (`like`) come only the qform and sform codes and the units. The
sidecar is the commit mark: it carries the SHA-256 of the volume it belongs to (`VolumeSHA256`),
so that a volume without its own sidecar can be told.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import ResourceError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.paths import read_json
from omnisyn.volumes.atomic import Staging, json_bytes, sha256_file, staged
from omnisyn.volumes.gzip_member import pack
from omnisyn.volumes.nifti_header import build_header, parse_header
from omnisyn.volumes.volume import Provenance, Volume

VoxelType = Literal["float32", "uint8", "int16", "uint16"]
NIFTI_SUFFIXES = (".nii.gz", ".nii")


def sidecar_path(path: str | Path) -> Path:
    """The JSON file that belongs to a NIfTI file: `x.nii.gz` → `x.json`."""
    path = Path(path)
    stem = path.name
    for suffix in NIFTI_SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    return path.with_name(stem + ".json")


def finished(volume: str | Path, volume_sha256: str | None = None) -> Mapping[str, Any] | None:
    """The sidecar of a volume that was written whole, or None.

    A run that is killed while it replaces a volume may leave the new volume beside the old sidecar:
    both whole, but not each other's. The hash in the sidecar tells.

    Args:
        volume_sha256: the hash of the volume where it is known or is no single file's.
    """
    try:
        sidecar = read_json(sidecar_path(volume))
        found = volume_sha256 or sha256_file(volume)
    except (OSError, ValueError, ResourceError):
        return None
    stated = sidecar.get("VolumeSHA256") if isinstance(sidecar, dict) else None
    return sidecar if stated == found else None


def write_volume(
    path: str | Path,
    voxels: NDArray[Any],
    geometry: Geometry,
    *,
    sidecar: Mapping[str, Any] | None = None,
    like: Volume | None = None,
    overwrite: bool = False,
    dtype: VoxelType = "float32",
) -> Path:
    """Write voxels to a .nii.gz file, with its sidecar, both or neither. See `stage_volume`.

    Args:
        overwrite: replace an existing volume and sidecar; both stay whole until replaced.

    Returns:
        The path of the volume.
    """
    with staged(overwrite=overwrite) as staging:
        stage_volume(staging, path, voxels, geometry, sidecar=sidecar, like=like, dtype=dtype)
    return Path(path)


def stage_volume(
    staging: Staging,
    path: str | Path,
    voxels: NDArray[Any],
    geometry: Geometry,
    *,
    sidecar: Mapping[str, Any] | None = None,
    like: Volume | None = None,
    dtype: VoxelType = "float32",
) -> None:
    """Make a volume (file axis order, shape `geometry.shape`) a part of what is being staged.

    Args:
        sidecar: goes to `x.json`, into its place after the volume; `VolumeSHA256` is added.
        like: the volume whose qform/sform codes and units are kept.
        dtype: voxel type in the file. Integer types take whole numbers within their range only.

    Raises:
        UsageError: the name does not end in .nii.gz.
        InputError: the output exists and must not be replaced.
        ResourceError: the disk is full, read-only or gone; nothing is left behind.
        ValueError: wrong shape, values that are not finite, or that `dtype` cannot hold.
    """
    path = Path(path)
    if not path.name.endswith(".nii.gz") or path.name == ".nii.gz":
        raise UsageError(
            "a volume is written as .nii.gz", where=path.name, remedy="end the name in .nii.gz"
        )
    values = _as_type(voxels, geometry, dtype)
    origin = like.provenance if like is not None else Provenance()
    header = _header(geometry, dtype, origin)
    file = staging.file(path)
    side_file = staging.file(sidecar_path(path)) if sidecar is not None else None
    packed = pack(header, values.data)
    file.writelines(packed)
    if sidecar is not None and side_file is not None:
        digest = hashlib.sha256(b"".join(packed)).hexdigest()
        side_file.write(json_bytes({**sidecar, "VolumeSHA256": digest}))


def _header(geometry: Geometry, dtype: VoxelType, origin: Provenance) -> bytes:
    """The header with the codes of the source, unless a reader would then find another place.

    A source without an affine is centred by its shape alone, and a qform holds a rotation only:
    where that does not give this very geometry, both forms are set.
    """
    kept = build_header(
        geometry,
        dtype,
        qform_code=origin.qform_code,
        sform_code=origin.sform_code,
        units=origin.units,
    )
    if Geometry(geometry.shape, parse_header(kept, "").affine).matches(geometry):
        return kept
    return build_header(
        geometry,
        dtype,
        qform_code=max(origin.qform_code, 1),
        sform_code=max(origin.sform_code, 1),
        units=origin.units,
    )


def _as_type(voxels: NDArray[Any], geometry: Geometry, dtype: VoxelType) -> NDArray[Any]:
    """The voxels in one row, little endian, first axis fastest; not copied where they are so."""
    if voxels.shape != tuple(geometry.shape):
        raise ValueError(f"voxels of shape {voxels.shape} on a grid of shape {geometry.shape}")
    if voxels.dtype == np.bool_:
        voxels = voxels.view(np.uint8)
    target = np.dtype(dtype).newbyteorder("<")
    if not _finite(voxels):
        raise ValueError("voxels that are not finite cannot be written")
    with np.errstate(invalid="ignore", over="ignore"):
        values = voxels.astype(target, copy=False)
    if target.kind in "iu" and not np.array_equal(values, voxels):
        raise ValueError(f"these values cannot be written as {dtype} without loss")
    if not _finite(values):
        raise ValueError(f"these values are too large for {dtype}")
    return values.ravel(order="F")


def _finite(voxels: NDArray[Any]) -> bool:
    # NaN comes out of both, and neither makes an array of its own.
    return bool(np.isfinite(voxels.min()) and np.isfinite(voxels.max()))
