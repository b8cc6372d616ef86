"""Frames: the single slices of DICOM files, whether a file holds one or hundreds.

A classic file is one frame. An Enhanced multi-frame file says what its frames share once and what
differs in a functional group for each (DICOM PS3.3, C.7.6.16); here each becomes a frame that
answers for itself, so that everything behind knows only frames.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from omnisyn.errors import InputError
from omnisyn.volumes.dicom_files import FETCH_AGAIN, DicomFile
from omnisyn.volumes.dicom_values import tag_of, value_of

# What the Enhanced functional groups call the attributes of a classic image.
_ENHANCED_NAMES = {
    "EchoTime": "EffectiveEchoTime",
    "ImageType": "FrameType",
    "InversionTime": "InversionTimes",
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "TriggerTime": "NominalCardiacTriggerDelayTime",
}
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
_MAXIMUM_FRAMES = 100_000
_EXACT_COSINES, _ROUNDED_COSINES = 1e-4, 4e-3


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Attributes:
        file: the file it lies in.
        number: its place in a multi-frame file, from 1; None in a classic file.
        groups: the data sets that speak of it, the most specific first.
    """

    file: DicomFile
    number: int | None
    groups: tuple[Dataset, ...]
    _values: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        """Basename of the file and number of the frame, for messages."""
        return self.file.name if self.number is None else f"{self.file.name} frame {self.number}"

    def numbers(self, keyword: str, count: int) -> NDArray[np.float64] | None:
        """A numeric attribute of exactly `count` finite values, or None."""
        value = self._value(keyword)
        try:
            array = np.array([float(item) for item in ([value] if count == 1 else value)])
        except (TypeError, ValueError, OverflowError):
            return None
        return array if array.shape == (count,) and np.isfinite(array).all() else None

    def number_of(self, keyword: str) -> float | None:
        """A single finite number, or None."""
        value = self.numbers(keyword, 1)
        return None if value is None else float(value[0])

    def integer(self, keyword: str, default: int | None = None) -> int:
        """A whole number; `default` where the attribute is absent or empty.

        Raises:
            InputError: it is no single whole number, or is absent without a default.
        """
        value = self._value(keyword)
        if value in (None, "") and default is not None:
            return default
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"the {keyword} is not usable",
                where=self.name,
                why=f"it is {str(value)[:40]!r}",
                remedy=FETCH_AGAIN,
            ) from error

    def text(self, keyword: str) -> str:
        """An attribute as text, its values joined by a backslash; empty where it is absent."""
        value = self._value(keyword)
        if value is None:
            return ""
        if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
            return str(value).strip()
        return "\\".join(str(item).strip() for item in value)

    @property
    def patient(self) -> str:
        """Who it shows: issuer and number, else the name; empty where nobody is named."""
        known = self.text("PatientID") or self.text("PatientName")
        return f"{self.text('IssuerOfPatientID')}|{known}" if known else ""

    @cached_property
    def orientation(self) -> NDArray[np.float64]:
        """Direction cosines of the rows and the columns, LPS+, at right angles: [2, 3].

        Raises:
            InputError: absent, or no two directions at right angles.
        """
        given = self._place("ImageOrientationPatient", 6).reshape(2, 3)
        off = np.abs(given @ given.T - np.eye(2)).max()
        if off <= _EXACT_COSINES:
            return given
        if off > _ROUNDED_COSINES:
            raise InputError(
                "the image's row and column directions are not unit vectors at right angles",
                where=self.name,
                why="\\".join(f"{value:g}" for value in given.ravel()),
                remedy="export the original series again",
            )
        # Rounded to three decimals, as some exports are: the nearest right-angled pair.
        left, _, right = np.linalg.svd(given, full_matrices=False)
        nearest: NDArray[np.float64] = left @ right
        return nearest

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """LPS+ position of the first pixel's centre in mm: [3]."""
        return self._place("ImagePositionPatient", 3)

    @cached_property
    def pixel_spacing(self) -> NDArray[np.float64]:
        """mm between rows and between columns: [2]."""
        return self._place("PixelSpacing", 2)

    @cached_property
    def classic(self) -> Dataset:
        """What a derived series copies: this frame's attributes under their classic names.

        The file's own, over them those of the frame's functional groups; no pixels, no private
        tags, and none that is empty or cannot be read. It holds patient data.
        """
        with warnings.catch_warnings():
            # Of values that bend the standard, which they quote; they are copied as they are.
            warnings.simplefilter("ignore", UserWarning)
            return self._classic()

    def _classic(self) -> Dataset:
        plain = Dataset()
        for group in reversed(self.groups):
            for element in _readable(group):
                # An element of another kind than the standard's would not be understood.
                kind = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else ""
                if element.VR in kind and not element.is_empty:
                    plain[element.tag] = element
        for keyword in (_PER_FRAME, _SHARED, "PixelData", "NumberOfFrames"):
            plain.pop(keyword, None)
        if self.number is not None:
            for name, enhanced in _ENHANCED_NAMES.items():
                if plain.pop(enhanced, None) is not None:
                    setattr(plain, name, self._value(name))
        return plain

    def _place(self, keyword: str, count: int) -> NDArray[np.float64]:
        values = self.numbers(keyword, count)
        if values is None:
            raise InputError(
                f"the image has no usable {keyword}",
                where=self.name,
                remedy="export the original series, not a secondary capture",
            )
        return values

    def _value(self, keyword: str) -> Any:
        if keyword not in self._values:
            self._values[keyword] = self._found(keyword)
        return self._values[keyword]

    def _found(self, keyword: str) -> Any:
        """The value in the most specific data set that has one."""
        names: tuple[str, ...] = (keyword,)
        if self.number is not None and keyword in _ENHANCED_NAMES:
            names = (_ENHANCED_NAMES[keyword], keyword)
        for name in names:
            for group in self.groups:
                value = value_of(group, tag_of(name))
                if value is not None:
                    if name == "InversionTimes" and hasattr(value, "__iter__"):
                        value = next(iter(value), None)
                    return value
        return None


def frames_of(file: DicomFile) -> list[Frame]:
    """The frames of one file.

    A multi-frame file that does not say where its frames lie gives one frame without a place.

    Raises:
        InputError: the count of frames contradicts itself.
    """
    dataset = file.dataset
    per_frame = _sequence(dataset, _PER_FRAME)
    shared = _sequence(dataset, _SHARED)
    if not per_frame:
        return [Frame(file, None, (dataset,))]
    count = Frame(file, None, (dataset,)).integer("NumberOfFrames", 1)
    if len(per_frame) != count or count > _MAXIMUM_FRAMES:
        raise InputError(
            "the multi-frame file contradicts itself",
            where=file.name,
            why=f"{count} frames announced, {len(per_frame)} described",
            remedy="export the original series again",
        )
    common = tuple(_macros(shared[0])) if shared else ()
    return [
        Frame(file, number, (*_macros(group), *common, dataset))
        for number, group in enumerate(per_frame, start=1)
    ]


def _sequence(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        items = dataset.get(keyword)
    except Exception:
        return []
    return list(items) if hasattr(items, "__iter__") else []


def _macros(group: Dataset) -> Iterator[Dataset]:
    """The single items of the sequences that a functional group consists of."""
    for element in _readable(group):
        if element.VR == "SQ" and element.value:
            macro = element.value[0]
            yield macro
            # The one attribute that tells frames apart and lies a level deeper.
            yield from _sequence(macro, "DiffusionGradientDirectionSequence")


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    """The public elements that can be converted; pydicom finds the others out one by one."""
    for tag in dataset.keys():  # noqa: SIM118 - iterating over a data set converts its elements
        if tag.is_private:
            continue
        try:
            yield dataset[tag]
        except Exception:
            continue
