"""The pixels of DICOM frames, as they are meant: decoded, each with its own slope and intercept.

Uncompressed pixels are taken from the file's bytes; compressed ones are decoded frame by frame and
before any rescaling, which is done here in floating point: decoders that rescale a series choose
one integer type for it and truncate.
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, MRImageStorage, generate_uid

from omnisyn.errors import InputError
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.dicom_decoder import decode
from omnisyn.volumes.dicom_files import FETCH_AGAIN
from omnisyn.volumes.dicom_frames import Frame

_ITEM_TAG = b"\xfe\xff\x00\xe0"
_DECODERS_NEED = (
    *("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PlanarConfiguration"),
)


def read_pixels(frames: Sequence[Frame]) -> Iterator[NDArray[np.float32]]:
    """The images of frames, in the units that slope and intercept give, each (rows, columns).

    Raises:
        InputError: cut short, of an unsupported pixel size, or not decodable.
        ResourceError: there is no room to unpack compressed pixels.
    """
    compressed = [frame for frame in frames if _is_compressed(frame)]
    decompressed = iter(_decompressed(compressed)) if compressed else iter(())
    for frame in frames:
        slope, intercept = _rescaling(frame)
        stored = next(decompressed) if _is_compressed(frame) else _plain(frame)
        if (slope, intercept) == (1.0, 0.0):
            yield stored.astype(np.float32)
        else:
            yield (stored * np.float64(slope) + intercept).astype(np.float32)


def _is_compressed(frame: Frame) -> bool:
    return bool(frame.file.transfer_syntax.is_encapsulated)


def _plain(frame: Frame) -> NDArray[np.integer]:
    rows, columns = frame.integer("Rows"), frame.integer("Columns")
    allocated = frame.integer("BitsAllocated")
    stored_bits = frame.integer("BitsStored", allocated)
    if allocated not in (8, 16, 32) or not 1 <= stored_bits <= allocated:
        raise InputError(
            "unsupported pixel size",
            where=frame.name,
            why=f"{stored_bits} bits stored in {allocated}",
            remedy="convert the series to NIfTI and give that",
        )
    high = frame.integer("HighBit", stored_bits - 1)
    if not stored_bits - 1 <= high < allocated:
        raise InputError(
            "the pixels' bits contradict each other",
            where=frame.name,
            why=f"{stored_bits} bits stored, the highest of them is bit {high} of {allocated}",
            remedy=FETCH_AGAIN,
        )
    kind = "i" if frame.integer("PixelRepresentation", 0) else "u"
    big = frame.file.transfer_syntax == ExplicitVRBigEndian
    pixel_type = np.dtype(f"{'>' if big else '<'}{kind}{allocated // 8}")
    one = rows * columns * pixel_type.itemsize
    content = _native_content(frame, one)
    start = one * ((frame.number or 1) - 1)
    stored = np.frombuffer(content, pixel_type, count=rows * columns, offset=start)
    if stored_bits < allocated:
        # Old scanners keep overlays in the unused bits; shifting drops them, with the sign.
        native = stored.astype(pixel_type.newbyteorder("="))
        stored = np.right_shift(
            np.left_shift(native, allocated - 1 - high), allocated - stored_bits
        )
    return stored.reshape(rows, columns)


def _native_content(frame: Frame, one: int) -> bytes:
    """The bytes of a file's uncompressed pixels, of which a frame takes `one`."""
    element = frame.file.dataset["PixelData"]
    content: bytes = element.value
    if element.is_undefined_length or content.startswith(_ITEM_TAG):
        raise InputError(
            "the pixels are compressed, against what the header says",
            where=frame.name,
            why=f"the transfer syntax is {frame.file.transfer_syntax.name}",
            remedy=FETCH_AGAIN,
        )
    due = one * frame.integer("NumberOfFrames", 1)
    if len(content) < due:
        raise InputError(
            "the DICOM file is cut short",
            where=frame.name,
            why=f"{due} bytes of pixels are due, {len(content)} are there",
            remedy=FETCH_AGAIN,
        )
    # A few zeros are padding, which some exports leave; anything else belongs to the image.
    if len(content) >= due + one or content.count(0, due) < len(content) - due:
        raise InputError(
            "the file holds more pixels than its header says",
            where=frame.name,
            why=f"{due} bytes are due, {len(content)} are there",
            remedy=FETCH_AGAIN,
        )
    big = frame.file.transfer_syntax == ExplicitVRBigEndian
    if big and element.VR == "OW" and frame.integer("BitsAllocated") == 8:
        # Words are swapped as words, even where a pixel is a byte (PS3.5, 8.1.1).
        return np.frombuffer(content, ">u2").astype("<u2").tobytes()
    return content


def _rescaling(frame: Frame) -> tuple[float, float]:
    factors = []
    for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        if frame.text(keyword) == "":
            factors.append(default)
            continue
        value = frame.number_of(keyword)
        if value is None or (keyword == "RescaleSlope" and value == 0):
            raise InputError(
                f"the {keyword} is not usable",
                where=frame.name,
                why=f"it is {frame.text(keyword)!r}",
                remedy=FETCH_AGAIN,
            )
        factors.append(value)
    return factors[0], factors[1]


def _decompressed(frames: Sequence[Frame]) -> list[NDArray[np.integer]]:
    files = []
    for frame in frames:
        try:
            files.append(_single(frame))
        except InputError:
            raise
        # Damaged fragments make pydicom raise errors of many kinds.
        except Exception as error:
            raise _undecodable(frame) from error
    try:
        decoded = decode(files)
    except OSError as error:
        raise resource_error("cannot unpack the pixels", frames[0].file.path, error) from error
    if len(decoded) < len(frames):
        raise _undecodable(frames[len(decoded)])
    shaped = []
    for frame, values in zip(frames, decoded, strict=True):
        shape = (frame.integer("Rows"), frame.integer("Columns"))
        if values.size != shape[0] * shape[1]:
            raise InputError(
                "the compressed pixels do not fit the header",
                where=frame.name,
                why=f"{values.shape} decoded, {shape} due",
                remedy=FETCH_AGAIN,
            )
        shaped.append(values.reshape(shape))
    return shaped


def _undecodable(frame: Frame) -> InputError:
    return InputError(
        "the compressed pixels cannot be decoded",
        where=frame.name,
        why=frame.file.transfer_syntax.name,
        remedy="decompress the series (for example with gdcmconv --raw) or export it again",
    )


def _single(frame: Frame) -> bytes:
    """A classic file with the compressed pixels of one frame, and nothing else."""
    allocated = frame.integer("BitsAllocated")
    if allocated > 16 and frame.integer("BitsStored", allocated) < allocated:
        # GDCM loses the lowest bits of such pixels without a word.
        raise InputError(
            "compressed pixels of this size cannot be decoded exactly",
            where=frame.name,
            why=f"{frame.integer('BitsStored')} bits stored in {allocated}",
            remedy="decompress the series (for example with gdcmconv --raw) or export it again",
        )
    source = frame.file.dataset
    count = frame.integer("NumberOfFrames", 1)
    packed = list(generate_frames(source.PixelData, number_of_frames=count))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = frame.file.transfer_syntax
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    single = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    single.SOPClassUID = MRImageStorage
    single.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    for keyword in _DECODERS_NEED:
        if frame.text(keyword):
            setattr(single, keyword, frame.integer(keyword))
    single.PhotometricInterpretation = frame.text("PhotometricInterpretation")
    single.PixelData = encapsulate([packed[(frame.number or 1) - 1]])
    single["PixelData"].is_undefined_length = True
    content = io.BytesIO()
    single.save_as(content, enforce_file_format=True)
    return content.getvalue()
