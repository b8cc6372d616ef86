"""The NIfTI-1 and NIfTI-2 header: its fields, what they mean here, and a header of our own.

Source of the fields: the NIfTI-1.1 and NIfTI-2 standard headers (nifti1.h, nifti2.h).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.nifti_affine import affine_of, header_fault, quaternion_of

_NIFTI1 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("data_type", "S10"), ("db_name", "S18"), ("extents", "<i4"),
        ("session_error", "<i2"), ("regular", "S1"), ("dim_info", "u1"), ("dim", "<i2", (8,)),
        ("intent_p", "<f4", (3,)), ("intent_code", "<i2"), ("datatype", "<i2"), ("bitpix", "<i2"),
        ("slice_start", "<i2"), ("pixdim", "<f4", (8,)), ("vox_offset", "<f4"),
        ("scl_slope", "<f4"), ("scl_inter", "<f4"), ("slice_end", "<i2"), ("slice_code", "u1"),
        ("xyzt_units", "u1"), ("cal_max", "<f4"), ("cal_min", "<f4"), ("slice_duration", "<f4"),
        ("toffset", "<f4"), ("glmax", "<i4"), ("glmin", "<i4"), ("descrip", "S80"),
        ("aux_file", "S24"), ("qform_code", "<i2"), ("sform_code", "<i2"),
        ("quatern", "<f4", (3,)), ("qoffset", "<f4", (3,)), ("srow", "<f4", (3, 4)),
        ("intent_name", "S16"), ("magic", "S4"),
    ]
)  # fmt: skip
_NIFTI2 = np.dtype(
    [
        ("sizeof_hdr", "<i4"), ("magic", "S8"), ("datatype", "<i2"), ("bitpix", "<i2"),
        ("dim", "<i8", (8,)), ("intent_p", "<f8", (3,)), ("pixdim", "<f8", (8,)),
        ("vox_offset", "<i8"), ("scl_slope", "<f8"), ("scl_inter", "<f8"), ("cal_max", "<f8"),
        ("cal_min", "<f8"), ("slice_duration", "<f8"), ("toffset", "<f8"),
        ("slice_start", "<i8"), ("slice_end", "<i8"), ("descrip", "S80"), ("aux_file", "S24"),
        ("qform_code", "<i4"), ("sform_code", "<i4"), ("quatern", "<f8", (3,)),
        ("qoffset", "<f8", (3,)), ("srow", "<f8", (3, 4)), ("slice_code", "<i4"),
        ("xyzt_units", "<i4"), ("intent_code", "<i4"), ("intent_name", "S16"),
        ("dim_info", "u1"), ("unused_str", "S15"),
    ]
)  # fmt: skip

HEADER_BYTES = _NIFTI2.itemsize

VOXEL_TYPES: Mapping[int, str] = {
    2: "u1", 256: "i1", 4: "i2", 512: "u2", 8: "i4", 768: "u4", 16: "f4", 64: "f8",
}  # fmt: skip
_REFUSED_TYPES: Mapping[int, str] = {
    0: "unknown", 1: "binary", 32: "complex64", 128: "RGB", 1024: "int64", 1280: "uint64",
    1536: "float128", 1792: "complex128", 2048: "complex256", 2304: "RGBA",
}  # fmt: skip
_WRITTEN_TYPES: Mapping[str, int] = {
    "float32": 16, "uint8": 2, "int16": 4, "uint16": 512,
}  # fmt: skip

# NIfTI-2 has room for more, but knows no more codes.
_LARGEST_FORM_CODE = 32767
MAXIMUM_AXIS = 32767
MAXIMUM_VOXELS = 2**30


@dataclass(frozen=True)
class NiftiHeader:
    """What a header says, checked. Lengths are in mm whatever unit the file uses."""

    shape: tuple[int, ...]
    voxel_type: np.dtype
    data_offset: int
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    qform_code: int
    sform_code: int
    units: int
    warnings: tuple[str, ...]

    @property
    def voxel_bytes(self) -> int:
        """What the voxels take in the unpacked file."""
        return int(np.prod(self.shape, dtype=object)) * self.voxel_type.itemsize

    @property
    def file_bytes(self) -> int:
        """The length of the whole unpacked file."""
        return self.data_offset + self.voxel_bytes


def parse_header(start: bytes, name: str) -> NiftiHeader:
    """Read and check a header.

    Args:
        start: the first bytes of the unpacked file, `HEADER_BYTES` of them where there are as many.
        name: basename of the file, for the messages.

    Raises:
        InputError: not NIfTI, or a header that cannot be trusted; says which field and why.
    """
    fields = _fields(start, name)
    warnings: list[str] = []
    shape = _shape(fields, name)
    voxel_type = _voxel_type(fields, name)
    offset = fields["vox_offset"]
    smallest = 352 if fields.dtype.itemsize == _NIFTI1.itemsize else 544
    if not np.isfinite(offset) or offset < smallest or offset != int(offset) or offset > 2**31:
        raise header_fault(name, f"the voxels are said to start at byte {offset}")
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0.0 or not np.isfinite(slope):
        slope, intercept = 1.0, 0.0
    if not np.isfinite(intercept):
        raise header_fault(name, f"the intercept is {intercept}")
    affine = affine_of(fields, shape, name, warnings)
    for form in ("qform_code", "sform_code"):
        if not 0 <= int(fields[form]) <= _LARGEST_FORM_CODE:
            raise header_fault(name, f"its {form} is {fields[form]}")
    return NiftiHeader(
        shape=shape,
        voxel_type=voxel_type,
        data_offset=int(offset),
        slope=slope,
        intercept=intercept,
        affine=affine,
        qform_code=int(fields["qform_code"]),
        sform_code=int(fields["sform_code"]),
        units=int(fields["xyzt_units"]) & 0x07,
        warnings=tuple(warnings),
    )


def _fields(start: bytes, name: str) -> Any:
    for layout in (_NIFTI1, _NIFTI2):
        if len(start) < layout.itemsize:
            continue
        for candidate in (layout, layout.newbyteorder(">")):
            fields = np.frombuffer(start, candidate, count=1)[0]
            if int(fields["sizeof_hdr"]) != layout.itemsize:
                continue
            magic = bytes(fields["magic"])[:3]
            if magic in (b"n+1", b"n+2"):
                return fields
            if magic in (b"ni1", b"ni2"):
                raise InputError(
                    "a two-file NIfTI (.hdr and .img)",
                    where=name,
                    remedy="convert it to a single .nii.gz file",
                )
            raise InputError(
                "an ANALYZE header without a known orientation",
                where=name,
                remedy="convert the original data to NIfTI (.nii.gz)",
            )
    raise InputError(
        "not a NIfTI file",
        where=name,
        why="its first bytes are no NIfTI header"
        if len(start) >= _NIFTI1.itemsize
        else f"{len(start)} bytes are too few for a header",
        remedy="give a NIfTI volume (.nii or .nii.gz) or a DICOM folder",
    )


def _shape(fields: Any, name: str) -> tuple[int, ...]:
    dim = [int(length) for length in fields["dim"]]
    if not 1 <= dim[0] <= 7:
        raise header_fault(name, f"it claims {dim[0]} dimensions")
    lengths = dim[1 : dim[0] + 1]
    if any(length < 1 for length in lengths):
        raise header_fault(name, f"its dimensions are {lengths}")
    if max(lengths) > MAXIMUM_AXIS or int(np.prod(lengths, dtype=object)) > MAXIMUM_VOXELS:
        raise header_fault(
            name, f"dimensions {lengths} are above the limit of {MAXIMUM_VOXELS} voxels"
        )
    spatial = lengths[:3] + [1] * (3 - len(lengths))
    further = lengths[3:]
    while further and further[-1] == 1:
        further.pop()
    return tuple(spatial + further)


def _voxel_type(fields: Any, name: str) -> np.dtype:
    code = int(fields["datatype"])
    if code not in VOXEL_TYPES:
        kind = _REFUSED_TYPES.get(code, f"code {code}")
        raise InputError(
            f"voxels of type {kind} cannot be read as an image",
            where=name,
            remedy="save the volume as int16 or float32",
        )
    order = ">" if fields.dtype["sizeof_hdr"].byteorder == ">" else "<"
    voxel_type = np.dtype(order + VOXEL_TYPES[code])
    bits = int(fields["bitpix"])
    if bits not in (0, voxel_type.itemsize * 8):
        raise header_fault(name, f"type {voxel_type.name} with {bits} bits a voxel")
    return voxel_type


def build_header(
    geometry: Geometry, dtype: str, *, qform_code: int = 1, sform_code: int = 1, units: int = 2
) -> bytes:
    """The 352 bytes in front of the voxels of a single-file NIfTI-1.

    Both codes zero gives a file without an affine, which is what a source without one has.

    Args:
        dtype: "float32", "uint8", "int16" or "uint16".
        units: `xyzt_units` to keep; lengths are always written in mm, so 1 (m) and 3 (µm)
            become 2.

    Raises:
        InputError: an axis is longer than NIfTI-1 can say.
    """
    if max(geometry.shape) > MAXIMUM_AXIS:
        raise InputError(
            "the volume is too large for NIfTI-1",
            why=f"an axis has more than {MAXIMUM_AXIS} voxels",
        )
    fields = np.zeros((), dtype=_NIFTI1)
    fields["sizeof_hdr"] = _NIFTI1.itemsize
    fields["regular"] = b"r"
    fields["dim"] = [3, *geometry.shape, 1, 1, 1, 1]
    fields["datatype"] = _WRITTEN_TYPES[dtype]
    fields["bitpix"] = np.dtype(dtype).itemsize * 8
    quaternion, handedness = quaternion_of(geometry.affine)
    fields["pixdim"] = [handedness, *np.linalg.norm(geometry.affine[:3, :3], axis=0), 0, 0, 0, 0]
    fields["vox_offset"] = 352
    fields["scl_slope"] = 1
    fields["xyzt_units"] = 2 if units in (1, 3) else units
    fields["qform_code"] = qform_code
    fields["sform_code"] = sform_code
    if qform_code > 0:
        fields["quatern"] = quaternion
        fields["qoffset"] = geometry.affine[:3, 3]
    if sform_code > 0:
        fields["srow"] = geometry.affine[:3]
    fields["magic"] = b"n+1"
    return fields.tobytes() + b"\0\0\0\0"
