"""A small DICOM series that the tests make, change and save."""

import datetime
import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "oblique": (0.96, 0.28, 0, -0.28 * 0.8, 0.96 * 0.8, -0.6),
}


def decimal(value):
    """A decimal string (DS), of at most 16 characters."""
    return f"{round(value, 9):.10g}"


class DicomSeries:
    """A classic MR series in memory: change the data sets, then save them.

    World place (LPS mm) of pixel (row r, column c) of slice k: origin + X·spacing[1]·c +
    Y·spacing[0]·r + normal·distance·k.
    """

    def __init__(self, orientation="axial", shape=(4, 6, 5), spacing=(1.5, 0.75), distance=3.0):
        """`orientation` is a name, or the direction cosines themselves."""
        cosines = ORIENTATIONS[orientation] if isinstance(orientation, str) else orientation
        self.cosines = np.array(cosines, dtype=float).reshape(2, 3)
        self.spacing, self.distance = spacing, distance
        self.origin = np.array([-20.0, 35.5, 12.25])
        self.pixels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape) % 1000 + 1
        self.study, self.series, self.frame = generate_uid(), generate_uid(), generate_uid()
        self.files = [self._file(index) for index in range(shape[0])]

    @property
    def normal(self):
        return np.cross(*self.cosines)

    def place(self, slice_index, row, column):
        """LPS+ world position in mm of a pixel's centre."""
        return (
            self.origin
            + self.cosines[0] * self.spacing[1] * column
            + self.cosines[1] * self.spacing[0] * row
            + self.normal * self.distance * slice_index
        )

    def _file(self, index):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.Modality = "MR"
        dataset.PatientID, dataset.PatientName = "secret-id", "Secret^Name"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = self.study, self.series
        dataset.FrameOfReferenceUID = self.frame
        dataset.SeriesNumber, dataset.InstanceNumber = 7, index + 1
        dataset.SeriesDescription = "AX T2 TSE"
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        dataset.ContentDate = datetime.date(2020, 1, 1).strftime("%Y%m%d")
        dataset.RepetitionTime, dataset.EchoTime = "4500", "95.5"
        dataset.MagneticFieldStrength = "3"
        dataset.Manufacturer = "Maker"
        dataset.SliceThickness = decimal(self.distance)
        dataset.ImageOrientationPatient = [decimal(value) for value in self.cosines.ravel()]
        dataset.ImagePositionPatient = [decimal(value) for value in self.place(index, 0, 0)]
        dataset.PixelSpacing = [decimal(value) for value in self.spacing]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 1
        self.set_pixels(dataset, self.pixels[index])
        return dataset

    @staticmethod
    def set_pixels(dataset, pixels):
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelData = pixels.tobytes()

    def save(self, folder, names=None, transfer_syntax=ExplicitVRLittleEndian):
        """Write the files, in an order of names that is not the order of places."""
        folder = Path(folder)
        folder.mkdir(exist_ok=True)
        names = names or [f"IM{(7 * index + 3) % 101:03d}" for index in range(len(self.files))]
        little = transfer_syntax != ExplicitVRBigEndian
        for name, dataset in zip(names, self.files, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset.file_meta.TransferSyntaxUID = transfer_syntax
                if not little:
                    dataset.PixelData = (
                        np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
                    )
                dataset["PixelData"].VR = "OW"
                pydicom.dcmwrite(
                    folder / name,
                    dataset,
                    implicit_vr=transfer_syntax == ImplicitVRLittleEndian,
                    little_endian=little,
                    enforce_file_format=True,
                )
        return folder
