"""A volume: voxels, the geometry they lie on, the contrast they show, and where they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import Contrast
from omnisyn.geometry import Geometry

if TYPE_CHECKING:
    # pydicom is not needed to read NIfTI.
    from omnisyn.volumes.dicom_frames import Frame

_NO_FACTS: Mapping[str, float | str] = MappingProxyType({})


@dataclass(frozen=True)
class Provenance:
    """Where a volume came from, free of paths and patient data.

    Attributes:
        name: basename of the file or folder.
        format: what was read; "memory" for a volume that was computed.
        sha256: hash of the file's bytes (DICOM: of the sorted hashes of the files, with the numbers
            of the frames that were read of a multi-frame file).
        acquisition: `RepetitionTime`, `EchoTime`, `InversionTime` in ms, `FlipAngle` in degrees,
            `MagneticFieldStrength` in tesla, `Manufacturer` and the like, as far as known.
        qform_code, sform_code: the NIfTI codes an output on this grid keeps.
        units: the NIfTI `xyzt_units` byte an output on this grid keeps (2 = mm).
        warnings: what was odd about the input, one sentence each.
    """

    name: str = "volume"
    format: Literal["nifti", "dicom", "memory"] = "memory"
    sha256: str | None = None
    acquisition: Mapping[str, float | str] = field(default_factory=lambda: _NO_FACTS)
    qform_code: int = 1
    sform_code: int = 1
    units: int = 2
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels in the file's own axis order, with their exact geometry.

    Attributes:
        voxels: float32, shape `geometry.shape`, in the file's units (arbitrary units for MR).
        geometry: shape and affine (voxel index to RAS+ world, mm).
        contrast: what the volume shows, where known.
        provenance: where it came from.
        headers: of a DICOM source, the frame of each slice; with patient data.
    """

    voxels: NDArray[np.float32]
    geometry: Geometry
    contrast: Contrast | None = None
    provenance: Provenance = field(default_factory=Provenance)
    headers: "tuple[Frame, ...]" = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.voxels.shape != tuple(self.geometry.shape):
            raise ValueError(
                f"voxels of shape {self.voxels.shape} on a grid of shape {self.geometry.shape}"
            )
        if self.voxels.dtype != np.float32:
            raise TypeError(f"voxels must be float32, not {self.voxels.dtype}")

    def slices(self) -> NDArray[np.float32]:
        """The voxels on the model grid: (slices, rows, columns), a contiguous copy."""
        return self.geometry.to_slices(self.voxels)
