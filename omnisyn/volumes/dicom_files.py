"""DICOM files: find them in a folder and parse each one.

Every file is read whole: a file that is cut short is refused, never dropped.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from omnisyn.errors import InputError
from omnisyn.paths import open_regular
from omnisyn.volumes.dicom_values import tag_of, value_of
from omnisyn.volumes.file_bytes import (
    DICOM_START_BYTES,
    looks_like_dicom,
    read_file,
    stands_for_a_file,
)

_END_OF_FRAGMENTS = b"\xfe\xff\xdd\xe0\0\0\0\0"
FETCH_AGAIN = "export or copy the series again"


@dataclass(frozen=True)
class DicomFile:
    """One parsed image file; `sha256` is empty where only its header was read."""

    path: Path
    dataset: FileDataset
    sha256: str

    @property
    def name(self) -> str:
        """Basename, for messages."""
        return self.path.name

    @cached_property
    def transfer_syntax(self) -> UID:
        """How its data set is encoded."""
        return transfer_syntax(self.dataset)


def find_images(path: Path) -> tuple[list[DicomFile], tuple[str, ...]]:
    """Parse a DICOM file, or every file of a folder (not of its subfolders).

    Files that are no DICOM images (notes, reports, DICOMDIR, hidden files) are skipped. File names
    inside a DICOMDIR are never followed.

    Returns:
        the images, sorted by name, and a sentence on each kind of entry that was passed over.

    Raises:
        InputError: nothing readable is there, or an image is damaged or was not fetched.
        ResourceError: the disk fails in mid-read.
    """
    entries, folders = _entries(path) if path.is_dir() else ([path], 0)
    images, skipped = parse_images(entries)
    if not images:
        raise InputError(
            "no DICOM images here",
            where=path.name,
            why=f"{skipped} other files" if skipped else "the folder holds no files",
            remedy="give the folder that holds the files of one series, or a NIfTI file",
        )
    notes = []
    if skipped:
        notes.append(
            f"{skipped} files skipped that hold no image"
            if skipped > 1
            else "1 file skipped that holds no image"
        )
    if folders:
        notes.append(
            f"{folders} folders inside were not looked into"
            if folders > 1
            else "1 folder inside was not looked into"
        )
    return images, tuple(notes)


def parse_images(entries: Iterable[Path]) -> tuple[list[DicomFile], int]:
    """Parse these files.

    Returns:
        the images, in the order given, and how many entries hold none.

    Raises:
        InputError: an image is damaged or was not fetched.
        ResourceError: the disk fails in mid-read.
    """
    images, skipped = [], 0
    for entry in entries:
        # A link that leads nowhere was meant to be a file, an image perhaps: reading it says so.
        regular = entry.is_symlink() or entry.is_file()
        image = _parse(entry) if regular and not entry.name.startswith(".") else None
        if image is None:
            skipped += 1
        else:
            images.append(image)
    return images, skipped


def read_header(path: Path) -> DicomFile | None:
    """What a DICOM image says of itself, without its pixels and unchecked: for a first look.

    Returns:
        None where the file holds no image, or nothing that can be read.
    """
    try:
        with open_regular(path) as file:
            if not looks_like_dicom(file.read(DICOM_START_BYTES)):
                return None
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
                image = all(tag_of(key) in dataset for key in ("Rows", "Columns"))
    # A damaged data set makes pydicom raise errors of many kinds.
    except Exception:
        return None
    return DicomFile(path, dataset, "") if image else None


def _entries(folder: Path) -> tuple[list[Path], int]:
    """What lies in a folder, by name, and how many visible folders among it are left out."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError("cannot list the folder", where=folder.name, why=error.strerror) from error
    files = [entry for entry in entries if not entry.is_dir()]
    folders = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return files, len(folders)


def _parse(path: Path) -> DicomFile | None:
    content = read_file(path).content
    start = content[:DICOM_START_BYTES]
    if not looks_like_dicom(start):
        _refuse_lost_image(path.name, content)
        return None
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
            storage = _uid(
                value_of(dataset.file_meta, tag_of("MediaStorageSOPClassUID"))
                or value_of(dataset, tag_of("SOPClassUID"))
                or ""
            )
            _refuse_unreadable_pixels(path.name, dataset)
            whole = bool(value_of(dataset, tag_of("PixelData"))) and _ends_well(dataset, content)
            shaped = all(
                isinstance(value_of(dataset, tag_of(key)), int) for key in ("Rows", "Columns")
            )
        except InputError:
            raise
        # A damaged data set makes pydicom raise errors of many kinds.
        except Exception as error:
            raise InputError(
                "the DICOM file is damaged", where=path.name, why=str(error) or repr(error),
                remedy=FETCH_AGAIN,
            ) from error  # fmt: skip
    # A file that announces itself and ends before it has said what it holds is no report.
    unsaid = start.endswith(b"DICM") and (not storage or len(content) < _header_end(dataset))
    if "Image Storage" not in storage.name and not (whole and shaped) and not unsaid:
        return None
    if not (whole and shaped) or any("End of file" in str(note.message) for note in notes):
        raise InputError(
            "the DICOM file is cut short",
            where=path.name,
            why="its pixels are missing or end too early",
            remedy=FETCH_AGAIN,
        )
    return DicomFile(path, dataset, hashlib.sha256(content).hexdigest())


def _header_end(dataset: FileDataset) -> int:
    """The byte at which the file meta information says that it ends (PS3.10, 7.1)."""
    length = dataset.file_meta.get("FileMetaInformationGroupLength", 0)
    return DICOM_START_BYTES + 12 + length if isinstance(length, int) else 0


def _refuse_lost_image(name: str, content: bytes) -> None:
    """Refuse what stands in the place of an image: a pointer to it, or zeros that a crash left."""
    pointer = stands_for_a_file(content[:512])
    if pointer is not None:
        kind, remedy = pointer
        raise InputError("not a DICOM file", where=name, why=f"it is {kind}", remedy=remedy)
    if len(content) < DICOM_START_BYTES and b"DICM".startswith(content[128:] or b"-"):
        raise InputError(
            "the DICOM file is cut short",
            where=name,
            why="it ends within its first four letters",
            remedy=FETCH_AGAIN,
        )
    if content.count(0) == len(content):
        raise InputError(
            "the file holds nothing but zeros",
            where=name,
            why=f"{len(content)} bytes",
            remedy=FETCH_AGAIN,
        )


def _refuse_unreadable_pixels(name: str, dataset: FileDataset) -> None:
    syntax = transfer_syntax(dataset)
    if not syntax.is_transfer_syntax:
        raise InputError(
            "the pixels are encoded in an unknown way",
            where=name,
            why=f"transfer syntax {str(syntax)[:64]}",
            remedy="convert the series (for example with gdcmconv --raw) or export it again",
        )
    if any(tag_of(kind) in dataset for kind in ("FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(
            "pixels in floating point cannot be read",
            where=name,
            remedy="convert the series to NIfTI and give that",
        )


def _ends_well(dataset: FileDataset, content: bytes) -> bool:
    """Whether compressed pixels at the end of a file are closed by their delimiter."""
    return (
        not transfer_syntax(dataset).is_encapsulated
        or max(dataset.keys()) != tag_of("PixelData")
        or content.endswith(_END_OF_FRAGMENTS)
    )


def joint_sha256(hashes: Iterable[str]) -> str:
    """The hash of a series: of the sorted hashes of what it consists of."""
    return hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()


def transfer_syntax(dataset: FileDataset) -> UID:
    """How a data set is encoded; implicit little endian where it does not say."""
    return _uid(value_of(dataset.file_meta, tag_of("TransferSyntaxUID")) or ImplicitVRLittleEndian)


@lru_cache(maxsize=64)
def _uid(text: str) -> UID:
    # A series says the same few of them in every file, and pydicom examines each anew.
    return UID(str(text))
