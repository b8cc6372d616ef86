"""The pixels of one DICOM frame, as they are meant: decoded, its own slope and intercept applied.

Uncompressed pixels are taken from the file's bytes; compressed ones are decoded by GDCM (through
SimpleITK), frame by frame and before any rescaling, which is done here in floating point: decoders
that rescale a series choose one integer type for it and truncate.
"""

import io
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, MRImageStorage, generate_uid

from omnisyn.errors import InputError, OmnisynError
from omnisyn.volumes.atomic import resource_error
from omnisyn.volumes.dicom_files import transfer_syntax
from omnisyn.volumes.dicom_frames import Frame

_FETCH_AGAIN = "export or copy the series again"
_DECODERS_NEED = (
    *("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PlanarConfiguration"),
)


def pixels(frame: Frame) -> NDArray[np.float32]:
    """One image in the units that its slope and intercept give, (rows, columns).

    Raises:
        InputError: cut short, of an unsupported pixel size, or not decodable.
    """
    slope, intercept = _rescaling(frame)
    if transfer_syntax(frame.file.dataset).is_encapsulated:
        stored = _decompressed(frame)
    else:
        stored = _plain(frame)
    values = stored.astype(np.float32)
    if (slope, intercept) != (1.0, 0.0):
        values = (stored * np.float64(slope) + intercept).astype(np.float32)
    return values


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
    kind = "i" if frame.integer("PixelRepresentation", 0) else "u"
    big = transfer_syntax(frame.file.dataset) == ExplicitVRBigEndian
    pixel_type = np.dtype(f"{'>' if big else '<'}{kind}{allocated // 8}")
    one = rows * columns * pixel_type.itemsize
    content = frame.file.dataset.PixelData
    start = one * ((frame.number or 1) - 1)
    if len(content) < start + one:
        raise InputError(
            "the DICOM file is cut short",
            where=frame.name,
            why=f"{start + one} bytes of pixels are due, {len(content)} are there",
            remedy=_FETCH_AGAIN,
        )
    stored = np.frombuffer(content, pixel_type, count=rows * columns, offset=start)
    if stored_bits < allocated:
        # Old scanners keep overlays in the unused high bits; shifting drops them, with the sign.
        unused = allocated - stored_bits
        native = stored.astype(pixel_type.newbyteorder("="))
        stored = np.right_shift(np.left_shift(native, unused), unused)
    return stored.reshape(rows, columns)


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
                remedy=_FETCH_AGAIN,
            )
        factors.append(value)
    return factors[0], factors[1]


def _decompressed(frame: Frame) -> NDArray[np.integer]:
    shape = (frame.integer("Rows"), frame.integer("Columns"))
    try:
        values = _decoded(_single(frame))
    except (OmnisynError, MemoryError):
        raise
    # Damaged fragments make pydicom and GDCM raise errors of many kinds.
    except Exception as error:
        raise InputError(
            "the compressed pixels cannot be decoded",
            where=frame.name,
            why=transfer_syntax(frame.file.dataset).name,
            remedy="decompress the series (for example with gdcmconv --raw) or export it again",
        ) from error
    if values.size != shape[0] * shape[1]:
        raise InputError(
            "the compressed pixels do not fit the header",
            where=frame.name,
            why=f"{values.shape} decoded, {shape} due",
            remedy=_FETCH_AGAIN,
        )
    return values.reshape(shape)


def _decoded(content: bytes) -> NDArray[np.integer]:
    """The pixels of a DICOM file, by GDCM, which reads from disk only."""
    import SimpleITK

    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with tempfile.TemporaryDirectory(prefix="omnisyn-") as folder:
            path = Path(folder) / "frame.dcm"
            try:
                path.write_bytes(content)
            except OSError as error:
                raise resource_error("cannot unpack the pixels", path, error) from error
            reader = SimpleITK.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(str(path))
            return np.asarray(SimpleITK.GetArrayFromImage(reader.Execute()))
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)


def _single(frame: Frame) -> bytes:
    """A classic file with the compressed pixels of one frame, and nothing else."""
    source = frame.file.dataset
    count = frame.integer("NumberOfFrames", 1)
    packed = list(generate_frames(source.PixelData, number_of_frames=count))
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = transfer_syntax(source)
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
