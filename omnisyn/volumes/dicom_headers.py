"""The header of a source slice, kept beside its voxels for a derived series to build on.

It holds patient data: it is never printed, logged or written anywhere but into DICOM.
"""

from dataclasses import dataclass, field

from pydicom.dataset import Dataset


@dataclass(frozen=True)
class SourceHeader:
    """One slice's classic attributes without pixels, and its frame number in a multi-frame file."""

    dataset: Dataset = field(repr=False)
    frame: int | None = None
