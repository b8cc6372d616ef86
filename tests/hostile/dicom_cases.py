"""Bad DICOM series."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from tests.hostile.battery import (
    REFUSED,
    Case,
    case,
    series,
)

DICOM: list[Case] = []


def to_t1(folder: Path, *more: str) -> list[str | Path]:
    """The words of the plain call for a folder that shows T2."""
    return ["--src", folder / "scan", "--target", "T1", *more]


def saved(one, folder: Path, **options: object) -> list[str | Path]:
    """Write a series and call for it."""
    one.save(folder / "scan", **options)
    return to_t1(folder)


def joined(folder: Path, keyword: str, values: tuple) -> list[str | Path]:
    """Two images at every place of one series, told apart by one attribute."""
    first, second = series(), series()
    for number, (one, value) in enumerate(zip((first, second), values, strict=True)):
        for index, file in enumerate(one.files):
            file.SeriesInstanceUID = first.series
            file.InstanceNumber = 6 * number + index + 1
            setattr(file, keyword, value)
        one.save(folder / "scan", names=[f"{number}-{index}" for index in range(6)])
    return to_t1(folder)


def two(folder: Path, *more: str) -> list[str | Path]:
    """A T2 series and a T1 series in one folder."""
    series().save(folder / "scan")
    other = series()
    for file in other.files:
        file.SeriesNumber, file.SeriesDescription = 8, "AX T1 SE"
        file.RepetitionTime, file.EchoTime = "500", "10"
    other.save(folder / "scan", names=[f"other{index}" for index in range(6)])
    return to_t1(folder, *more)


@case(DICOM, "two series", REFUSED, "the folder holds 2 series")
def two_series(folder):
    return two(folder)


@case(DICOM, "two series", 0, "of 2 stacks in the folder this one: 7")
def two_series_and_a_choice(folder):
    return two(folder, "--series", "7")


@case(DICOM, "gap", REFUSED, "the usual distance is 3.00 mm, but 18.25 to 24.25 mm")
def missing_slice(folder):
    one = series()
    del one.files[3]
    return saved(one, folder)


@case(DICOM, "gap", 0, "5 unevenly spaced slices were resampled to 6")
def missing_slice_with_permission(folder):
    return [*missing_slice(folder), "--allow-gaps"]


@case(DICOM, "gap", REFUSED, "slices are missing or unevenly spaced")
def uneven_spacing(folder):
    one = series()
    x, y, z = one.files[2].ImagePositionPatient
    one.files[2].ImagePositionPatient = [x, y, z + 1]
    return saved(one, folder)


@case(DICOM, "duplicates", REFUSED, "one series of 2 stacks")
def two_echoes(folder):
    return joined(folder, "EchoTime", ("20", "90"))


@case(DICOM, "duplicates", REFUSED, "one series of 2 stacks")
def two_repeats(folder):
    return joined(folder, "AcquisitionNumber", (1, 2))


@case(DICOM, "duplicates", REFUSED, "one series of 2 stacks")
def magnitude_and_phase(folder):
    types = (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])
    return joined(folder, "ImageType", types)


@case(DICOM, "duplicates", REFUSED, "the same file is there twice")
def one_file_twice(folder):
    words = saved(series(), folder)
    (folder / "scan" / "copy").write_bytes((folder / "scan" / "IM003").read_bytes())
    return words


@case(DICOM, "localizer", 0, "1 localizer image left out")
def localizer_in_the_series(folder):
    one = series()
    across = series(1, "sagittal").files[0]
    across.SeriesInstanceUID = one.series
    across.StudyInstanceUID = one.study
    one.files.append(across)
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "the image has no usable ImagePositionPatient")
def no_position(folder):
    one = series()
    del one.files[2].ImagePositionPatient
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "the image has no usable ImageOrientationPatient")
def no_orientation(folder):
    one = series()
    for file in one.files:
        del file.ImageOrientationPatient
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "gantry tilt or drift")
def gantry_tilt(folder):
    one = series()
    for index, file in enumerate(one.files):
        x, y, z = file.ImagePositionPatient
        file.ImagePositionPatient = [x, y + 0.8 * index, z]
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "gantry tilt or drift")
def drift_in_the_plane(folder):
    one = series()
    x, y, z = one.files[3].ImagePositionPatient
    one.files[3].ImagePositionPatient = [x + 1, y, z]
    return saved(one, folder)


@case(DICOM, "slope", 0)
def slope_of_each_slice(folder):
    one = series()
    for index, file in enumerate(one.files):
        file.RescaleSlope, file.RescaleIntercept = f"{0.31 + 0.07 * index:.4g}", "0.5"
    return saved(one, folder)


@case(DICOM, "cut", REFUSED, "the DICOM file is cut short")
def one_file_cut_short(folder):
    words = saved(series(), folder)
    path = folder / "scan" / "IM010"
    path.write_bytes(path.read_bytes()[:-100])
    return words


@case(DICOM, "cut", REFUSED, "the file is empty (0 bytes)")
def one_file_empty(folder):
    words = saved(series(), folder)
    (folder / "scan" / "IM010").write_bytes(b"")
    return words


@case(DICOM, "odd files", REFUSED, "the images differ in size")
def rows_that_change(folder):
    one = series()
    one.set_pixels(one.files[2], np.ones((12, 12), np.int16))
    return saved(one, folder)


@case(DICOM, "odd files", 0)
def no_preamble(folder):
    words = saved(series(), folder)
    for path in (folder / "scan").iterdir():
        path.write_bytes(path.read_bytes()[132:])
    return words


@case(DICOM, "odd files", 0, "3 files skipped that hold no image")
def notes_and_hidden_files(folder):
    words = saved(series(), folder)
    (folder / "scan" / "README.txt").write_text("exported on a Monday")
    (folder / "scan" / "._IM003").write_bytes(b"\0\5\x16\7resource fork")
    (folder / "scan" / "DICOMDIR").write_bytes(bytes(128) + b"broken")
    return words


@case(DICOM, "odd files", 0, "1 file skipped that holds no image")
def dicomdir_that_points_outside(folder):
    words = saved(series(), folder)
    private = series(1).files[0]
    private.PatientName = "Somebody^Else"
    private.save_as(folder / "private.dcm", enforce_file_format=True)
    record = pydicom.Dataset()
    record.DirectoryRecordType = "IMAGE"
    with warnings.catch_warnings():
        # pydicom knows that these are no names of the standard.
        warnings.simplefilter("ignore")
        record.ReferencedFileID = ["..", "private.dcm"]
    index = pydicom.dcmread(folder / "private.dcm")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(index, keyword)
    index.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    index.SOPClassUID = "1.2.840.10008.1.3.10"
    index.DirectoryRecordSequence = [record]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        index.save_as(folder / "scan" / "DICOMDIR", enforce_file_format=True)
    return words


@case(DICOM, "odd files", REFUSED, "the files belong to several patients")
def two_patients(folder):
    one = series()
    one.files[4].PatientID = "another"
    return saved(one, folder)


@case(DICOM, "odd files", REFUSED, "its pixels are RGB")
def colour_picture(folder):
    one = series()
    for file in one.files:
        file.SamplesPerPixel, file.PhotometricInterpretation = 3, "RGB"
        file.PlanarConfiguration, file.BitsAllocated = 0, 8
        file.BitsStored, file.HighBit, file.PixelRepresentation = 8, 7, 0
        file.PixelData = bytes(3 * 16 * 12)
    return saved(one, folder)


@case(DICOM, "encodings", 0)
def implicit_little_endian(folder):
    return saved(series(), folder, transfer_syntax=ImplicitVRLittleEndian)


@case(DICOM, "encodings", 0)
def big_endian(folder):
    return saved(series(), folder, transfer_syntax=ExplicitVRBigEndian)


def run_length(folder: Path, damage: Callable[[bytes], bytes]) -> list[str | Path]:
    """A compressed series; the pixels of its last file are changed."""
    (folder / "scan").mkdir()
    files = series().files
    for index, file in enumerate(files):
        file.compress(RLELossless, generate_instance_uid=False)
        if file is files[-1]:
            file.PixelData = damage(file.PixelData)
        file.save_as(folder / "scan" / f"{index}", enforce_file_format=True)
    return to_t1(folder)


@case(DICOM, "encodings", 0)
def run_length_encoded(folder):
    return run_length(folder, lambda content: content)


@case(DICOM, "encodings", REFUSED, "the compressed pixels cannot be decoded")
def run_length_damaged(folder):
    # No segments: GDCM divides by their number.
    return run_length(folder, lambda content: content[:16] + bytes(64) + content[80:])


@case(DICOM, "encodings", REFUSED, "transfer syntax 1.2.840.113619.5.2")
def unknown_transfer_syntax(folder):
    words = saved(series(), folder)
    path = folder / "scan" / "IM010"
    known, unknown = b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0"
    path.write_bytes(path.read_bytes().replace(known, unknown, 1))
    return words


def pydicoms(folder: Path, name: str) -> list[str | Path]:
    """One of pydicom's own encodings of one small image."""
    (folder / "scan").mkdir()
    content = Path(str(pydicom.data.get_testdata_file(name))).read_bytes()
    (folder / "scan" / name).write_bytes(content)
    return ["--src", f"T1={folder / 'scan'}", "--target", "T2"]


@case(DICOM, "encodings", 0, "only 1 slice")
def jpeg_ls(folder):
    return pydicoms(folder, "MR_small_jpeg_ls_lossless.dcm")


@case(DICOM, "encodings", 0, "only 1 slice")
def jpeg_2000(folder):
    return pydicoms(folder, "MR_small_jp2klossless.dcm")


@case(DICOM, "encodings", REFUSED, "compressed, against what the header says")
def compressed_under_a_plain_header(folder):
    words = run_length(folder, lambda content: content)
    for path in (folder / "scan").iterdir():
        compressed, said = b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.1\0"
        path.write_bytes(path.read_bytes().replace(compressed, said, 1))
    return words


@case(DICOM, "encodings", REFUSED, "holds more pixels than its header says")
def more_pixels_than_rows(folder):
    one = series()
    for file in one.files:
        file.Rows = 8
    return saved(one, folder)


@case(DICOM, "encodings", REFUSED, "a mosaic: many slices in one picture")
def mosaic(folder):
    one = series()
    for file in one.files:
        file.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "mm from even places")
def steps_that_drift(folder):
    one = series(100)
    height = 0.0
    for index, file in enumerate(one.files):
        x, y, _ = file.ImagePositionPatient
        file.ImagePositionPatient = [x, y, round(height, 3)]
        height += 3.055 if index < 45 else 3.0 if index < 54 else 2.945
    return saved(one, folder)


@case(DICOM, "no place", REFUSED, "the images are turned against each other")
def slices_slightly_turned(folder):
    one = series()
    one.files[4].ImageOrientationPatient = [1, 0, 0, 0, 0.99995, 0.01]
    return saved(one, folder)


@case(DICOM, "no place", 0, "several frames of reference")
def two_frames_of_reference(folder):
    one = series()
    for file in one.files[3:]:
        file.FrameOfReferenceUID = "1.2.3"
    return saved(one, folder)


@case(DICOM, "gap", REFUSED, "a gap is too wide to be filled")
def wide_gap_with_permission(folder):
    one = series(20)
    del one.files[8:14]
    return [*saved(one, folder), "--allow-gaps"]


@case(DICOM, "gap", 0, "slices may be missing")
def every_second_slice_missing(folder):
    one = series(12)
    for file in one.files:
        file.SpacingBetweenSlices = "3"
    del one.files[1::2]
    return saved(one, folder)


@case(DICOM, "wrong image", 0, "the image is of type P")
def phase_images(folder):
    one = series()
    for file in one.files:
        file.ImageType = ["ORIGINAL", "PRIMARY", "P"]
    return saved(one, folder)


@case(DICOM, "wrong image", REFUSED, "the modality is CT, not MR")
def another_modality_strictly(folder):
    one = series()
    for file in one.files:
        file.Modality = "CT"
    return [*saved(one, folder), "--strict"]


@case(DICOM, "odd files", REFUSED, "it is a Git LFS pointer")
def pointer_in_the_place_of_a_slice(folder):
    words = saved(series(), folder)
    (folder / "scan" / "IM010").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    return words


@case(DICOM, "odd files", REFUSED, "the file holds nothing but zeros")
def slice_of_zeros(folder):
    words = saved(series(), folder)
    (folder / "scan" / "IM010").write_bytes(bytes(900))
    return words


@case(DICOM, "odd files", REFUSED, "the link leads nowhere")
def dangling_link_among_the_slices(folder):
    words = saved(series(), folder)
    os.symlink(folder / "gone", folder / "scan" / "IM099")
    return words


@case(DICOM, "odd files", 0, "1 folder inside was not looked into")
def slices_in_a_folder_inside(folder):
    words = saved(series(), folder)
    (folder / "scan" / "more").mkdir()
    return words


@case(DICOM, "patient data", 0)
def patient_data(folder):
    return saved(series(), folder)
