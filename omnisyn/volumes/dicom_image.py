"""What every DICOM image that omnisyn writes has alike: a classic MR image of signed integers."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

# Attributes of type 2: they must be there, empty where they are not known.
_MUST_BE_THERE = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
    *("SliceThickness", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime"),
    *("EchoTrainLength", "PatientPosition"),
)


def new_image(uid: str) -> FileDataset:
    """An MR image without content, to be written as explicit VR little endian.

    Args:
        uid: its SOPInstanceUID.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = uid
    image.Modality = "MR"
    return image


def fill_in(image: Dataset) -> None:
    """Add what must be there, empty, where it is not."""
    for keyword in _MUST_BE_THERE:
        if keyword not in image:
            setattr(image, keyword, None)
    if "BodyPartExamined" not in image:
        # Type 2C: due unless the body part is known to be unpaired.
        image.Laterality = None


def put_pixels(image: Dataset, pixels: NDArray[np.int16]) -> None:
    """Put an image's pixels into its data set: [rows, columns]."""
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 1
    image.Rows, image.Columns = pixels.shape
    image.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()
    image["PixelData"].VR = "OW"
