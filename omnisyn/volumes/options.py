"""What a reader may do with an input that it refuses by default."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """Choices and permissions of a read; the defaults refuse whatever is ambiguous or damaged.

    Attributes:
        series: which series of a DICOM folder: its number ("7"), one stack of it ("7.2"), its
            SeriesInstanceUID, or its description.
        allow_gaps: fill missing or uneven DICOM slices by linear interpolation.
        volume: which volume of a 4D NIfTI file, counted from 1.
        zero_nonfinite: set NaN and infinite voxels to zero.
        strict: refuse an image for what is otherwise a warning about it.
    """

    series: str | None = None
    allow_gaps: bool = False
    volume: int | None = None
    zero_nonfinite: bool = False
    strict: bool = False


DEFAULT = ReadOptions()
