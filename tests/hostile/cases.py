"""Every bad input of the battery: who makes it, and what must happen to it.

A case makes files in an empty folder and gives back the words that `omnisyn synthesize` is called
with. `test_hostile.py` holds the command to what is written here; `libraries.py` shows what other
readers do with the same files.
"""

import dataclasses
import gzip
import io
import json
import os
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume
from tests.dicom_series import DicomSeries

SHAPE = (20, 24, 6)
AFFINE = np.diag([-1.5, -1.5, 4.0, 1.0])
USAGE, REFUSED, MODEL = 2, 3, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        row: the row of the list of hostile inputs that it belongs to.
        make: writes the files into a folder; gives the words of the command.
        code: the exit code that must come back.
        says: words of the refusal, or of the warning in the sidecar; empty where nothing is odd.
    """

    row: str
    make: Callable[[Path], list[str | Path]]
    code: int
    says: str

    @property
    def name(self) -> str:
        """The name of the function that makes it."""
        return self.make.__name__


NIFTI: list[Case] = []
DICOM: list[Case] = []
AROUND: list[Case] = []


def case(where: list[Case], row: str, code: int, says: str = "") -> Callable[..., Callable]:
    """Enter the function below as a case."""

    def enter(make: Callable[[Path], list[str | Path]]) -> Callable:
        where.append(Case(row, make, code, says))
        return make

    return enter


# --- NIfTI ----------------------------------------------------------------------------------------


def grey(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Positive noise with an empty border on one side."""
    voxels = np.random.default_rng(3).uniform(20, 100, shape).astype(np.float32)
    voxels[: max(1, shape[0] // 8)] = 0
    return voxels


def nifti(folder: Path, voxels: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> Path:
    """A .nii.gz as nibabel writes it."""
    path = folder / "T1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(grey() if voxels is None else voxels, affine), path)
    return path


def plain(folder: Path) -> tuple[Path, bytearray]:
    """The path of a .nii to write, and the bytes of a good one."""
    content = gzip.decompress(nifti(folder).read_bytes())
    (folder / "T1.nii.gz").unlink()
    return folder / "T1.nii", bytearray(content)


def to_t2(path: Path, *more: str | Path) -> list[str | Path]:
    """The words of the plain call."""
    return ["--src", path, "--target", "T2", *more]


def repacked(folder: Path, change: Callable[[bytearray], object]) -> list[str | Path]:
    """A .nii.gz with a right checksum whose unpacked bytes are changed."""
    path, content = plain(folder)
    change(content)
    packed = path.with_name("T1.nii.gz")
    packed.write_bytes(gzip.compress(bytes(content)))
    return to_t2(packed)


def field(offset: int, kind: str, *values: float) -> Callable[[bytearray], None]:
    """Sets a field of a NIfTI-1 header (offsets of nifti1.h)."""

    def change(content: bytearray) -> None:
        struct.pack_into(f"<{len(values)}{kind}", content, offset, *values)

    return change


def replaced(folder: Path, change: Callable[[bytes], bytes]) -> list[str | Path]:
    """A .nii.gz whose packed bytes are changed."""
    path = nifti(folder)
    path.write_bytes(change(path.read_bytes()))
    return to_t2(path)


def flipped(content: bytes, place: int) -> bytes:
    """One bit turned."""
    changed = bytearray(content)
    changed[place] ^= 4
    return bytes(changed)


@case(NIFTI, "cut short", REFUSED, "the gzip file is cut short")
def cut_short(folder):
    return replaced(folder, lambda content: content[: len(content) // 2])


@case(NIFTI, "gzip", REFUSED, "the gzip file is cut short")
def no_trailer(folder):
    return replaced(folder, lambda content: content[:-8])


@case(NIFTI, "gzip", REFUSED, "the gzip file is damaged")
def bit_flip(folder):
    return replaced(folder, lambda content: flipped(content, len(content) // 2))


@case(NIFTI, "gzip", REFUSED, "the gzip file is damaged")
def wrong_checksum(folder):
    return replaced(folder, lambda content: flipped(content, -7))


@case(NIFTI, "gzip", REFUSED, "unexpected bytes after the end of the gzip stream")
def trailing_bytes(folder):
    return replaced(folder, lambda content: content + b"more")


@case(NIFTI, "length", REFUSED, "the file is shorter than its header says")
def plain_too_short(folder):
    path, content = plain(folder)
    path.write_bytes(content[:-400])
    return to_t2(path)


@case(NIFTI, "length", REFUSED, "the file is longer than its header says")
def plain_too_long(folder):
    path, content = plain(folder)
    path.write_bytes(content + bytes(400))
    return to_t2(path)


@case(NIFTI, "another kind", REFUSED, "it is an HTML or XML page")
def html_page(folder):
    return replaced(folder, lambda content: b"<!DOCTYPE html><title>404</title>")


@case(NIFTI, "another kind", REFUSED, "it is a Git LFS pointer")
def lfs_pointer(folder):
    return replaced(folder, lambda content: b"version https://git-lfs.github.com/spec/v1\n")


@case(NIFTI, "another kind", REFUSED, "the file is empty (0 bytes)")
def empty_file(folder):
    return replaced(folder, lambda content: b"")


@case(NIFTI, "another kind", 0, "not gzip packed, against its name")
def plain_under_gz(folder):
    return replaced(folder, gzip.decompress)


@case(NIFTI, "another kind", 0, "gzip packed, against its name")
def packed_under_nii(folder):
    path = nifti(folder)
    return to_t2(path.rename(path.with_name("T1.nii")))


@case(NIFTI, "dimensions", REFUSED, "its dimensions are [20, 0, 6]")
def dimension_zero(folder):
    return repacked(folder, field(44, "h", 0))


@case(NIFTI, "dimensions", REFUSED, "its dimensions are [20, -24, 6]")
def dimension_negative(folder):
    return repacked(folder, field(44, "h", -24))


@case(NIFTI, "dimensions", REFUSED, "above the limit")
def dimensions_huge(folder):
    return repacked(folder, field(42, "h", 32767, 32767, 32767))


@case(NIFTI, "dimensions", REFUSED, "the file cannot hold what its header promises")
def dimensions_beyond_the_file(folder):
    return repacked(folder, field(42, "h", 900, 900, 900))


@case(NIFTI, "pixdim", 0, "pixdim is zero or not a number")
def pixdim_zero(folder):
    return repacked(folder, field(80, "f", 0, 0, 0))


@case(NIFTI, "pixdim", 0, "pixdim is zero or not a number")
def pixdim_nan(folder):
    return repacked(folder, field(80, "f", np.nan, 1.5, 4))


@case(NIFTI, "pixdim", 0, "pixdim is negative")
def pixdim_negative(folder):
    return repacked(folder, field(80, "f", -1.5, 1.5, 4))


@case(NIFTI, "no forms", 0, "left and right cannot be known")
def no_sform_and_no_qform(folder):
    return repacked(folder, field(252, "h", 0, 0))


@case(NIFTI, "forms", 0, "sform and qform differ by up to 5.0 mm")
def forms_that_differ(folder):
    def shift(content):
        field(252, "h", 1, 1)(content)
        x = struct.unpack_from("<f", content, 292)[0]
        field(268, "f", x + 5)(content)

    return repacked(folder, shift)


@case(NIFTI, "forms", REFUSED, "sform and qform contradict each other")
def forms_that_mirror(folder):
    def mirror(content):
        field(252, "h", 1, 1)(content)
        first = struct.unpack_from("<f", content, 280)[0]
        field(280, "f", -first)(content)

    return repacked(folder, mirror)


@case(NIFTI, "forms", 0, "the sform is set but unusable")
def sform_zero(folder):
    def erase(content):
        field(252, "h", 1, 1)(content)
        field(280, "f", *([0] * 12))(content)

    return repacked(folder, erase)


@case(NIFTI, "forms", 0, "pixdim contradicts its sform")
def sform_against_pixdim(folder):
    def contradict(content):
        field(252, "h", 0, 2)(content)
        field(80, "f", 1, 1, 1)(content)

    return repacked(folder, contradict)


@case(NIFTI, "shear", REFUSED, "the voxel axes are sheared")
def sheared(folder):
    affine = AFFINE.copy()
    affine[0, 2] = 0.5
    return to_t2(nifti(folder, affine=affine))


@case(NIFTI, "shear", 0)
def sheared_by_rounding(folder):
    affine = AFFINE.copy()
    affine[0, 2] = 0.002
    return to_t2(nifti(folder, affine=affine))


def with_value(value: float) -> np.ndarray:
    """Noise in which three voxels have one value."""
    voxels = grey()
    voxels[5:8, 5, 2] = value
    return voxels


@case(NIFTI, "not finite", REFUSED, "3 of 2880 are NaN or infinity")
def nan_voxels(folder):
    return to_t2(nifti(folder, with_value(np.nan)))


@case(NIFTI, "not finite", REFUSED, "3 of 2880 are NaN or infinity")
def infinite_voxels(folder):
    return to_t2(nifti(folder, with_value(-np.inf)))


@case(NIFTI, "not finite", 0, "3 voxels that were NaN or infinite are set to zero")
def nan_voxels_with_permission(folder):
    return to_t2(nifti(folder, with_value(np.nan)), "--nonfinite", "zero")


@case(NIFTI, "constant", REFUSED, "the image has no signal")
def constant(folder):
    return to_t2(nifti(folder, np.full(SHAPE, 7, np.float32)))


@case(NIFTI, "constant", REFUSED, "the image has no signal")
def all_zero(folder):
    return to_t2(nifti(folder, np.zeros(SHAPE, np.float32)))


@case(NIFTI, "4D", 0)
def four_dimensions_of_one_volume(folder):
    return to_t2(nifti(folder, grey()[..., None]))


@case(NIFTI, "4D", REFUSED, "choose one with --volume 1 ... 3")
def several_volumes(folder):
    return to_t2(nifti(folder, np.stack([grey()] * 3, axis=3)))


@case(NIFTI, "4D", 0)
def one_of_several_volumes(folder):
    return to_t2(nifti(folder, np.stack([grey()] * 3, axis=3)), "--volume", "2")


@case(NIFTI, "4D", REFUSED, "the file holds 5 dimensions")
def five_dimensions(folder):
    return to_t2(nifti(folder, np.stack([grey()[..., None]] * 2, axis=4)))


@case(NIFTI, "types", REFUSED, "RGB")
def colour(folder):
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return to_t2(nifti(folder, np.ones(SHAPE, rgb)))


@case(NIFTI, "types", REFUSED, "complex64")
def complex_voxels(folder):
    return to_t2(nifti(folder, grey().astype(np.complex64)))


@case(NIFTI, "types", REFUSED, "unknown")
def unknown_type(folder):
    return repacked(folder, field(70, "h", 0))


@case(NIFTI, "types", REFUSED, "uint64")
def uint64_voxels(folder):
    image = nibabel.Nifti1Image(grey().astype(np.uint64), AFFINE, dtype=np.uint64)
    nibabel.save(image, folder / "T1.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(NIFTI, "types", REFUSED, "the voxel values do not fit into float32")
def values_beyond_float32(folder):
    return to_t2(nifti(folder, with_value(1).astype(np.float64) * 1e300))


@case(NIFTI, "slope", 0)
def int16_with_slope_and_intercept(folder):
    path = folder / "T1.nii.gz"
    image = nibabel.Nifti1Image(grey().astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.013, 5)
    nibabel.save(image, path)
    return to_t2(path)


@case(NIFTI, "sizes", 0, "only 1 slice along one axis")
def one_slice(folder):
    return to_t2(nifti(folder, grey((20, 24, 1))))


@case(NIFTI, "sizes", 0, "only 2 slices along one axis")
def two_slices(folder):
    return to_t2(nifti(folder, grey((20, 24, 2))))


@case(NIFTI, "sizes", 0)
def smaller_than_the_networks_stride(folder):
    return to_t2(nifti(folder, grey((5, 7, 3))))


@case(NIFTI, "sizes", 0, "the voxel size is unusual")
def tiny_voxels(folder):
    return to_t2(nifti(folder, affine=np.diag([0.1, 0.1, 0.1, 1])))


@case(NIFTI, "sizes", 0, "the voxel size is unusual")
def large_voxels(folder):
    return to_t2(nifti(folder, affine=np.diag([9.0, 9.0, 9.0, 1])))


def second_scan(folder: Path, shift: float) -> list[str | Path]:
    """A T1, and beside it a T1c on another grid."""
    nifti(folder)
    affine = np.diag([-1.2, -1.2, 5.0, 1.0])
    affine[0, 3] = shift
    nibabel.save(nibabel.Nifti1Image(grey((24, 30, 5)), affine), folder / "T1c.nii.gz")
    return ["--src", folder / "T1.nii.gz", "--src", folder / "T1c.nii.gz", "--target", "T2"]


@case(NIFTI, "grids", 0, "was resampled onto the grid of T1")
def sources_on_different_grids(folder):
    return second_scan(folder, 0)


@case(NIFTI, "grids", REFUSED, "does not overlap with T1.nii.gz")
def sources_that_do_not_overlap(folder):
    return second_scan(folder, 500)


def tomography() -> np.ndarray:
    """Hounsfield units: air around water and bone."""
    voxels = np.full(SHAPE, -1000, np.float32)
    voxels[5:15, 5:18] = grey()[5:15, 5:18]
    voxels[8, 8] = 900
    return voxels


@case(NIFTI, "wrong image", 0, "the image looks like CT")
def ct(folder):
    return to_t2(nifti(folder, tomography()))


@case(NIFTI, "wrong image", REFUSED, "the image looks like CT")
def ct_strictly(folder):
    return to_t2(nifti(folder, tomography()), "--strict")


def standardized() -> np.ndarray:
    """Mean zero, deviation one."""
    return ((grey() - grey().mean()) / grey().std()).astype(np.float32)


@case(NIFTI, "wrong image", 0, "the image looks already normalised")
def already_normalised(folder):
    return to_t2(nifti(folder, standardized()))


@case(NIFTI, "wrong image", REFUSED, "the image looks already normalised")
def already_normalised_strictly(folder):
    return to_t2(nifti(folder, standardized()), "--strict")


def with_times(folder: Path) -> Path:
    """A scan whose sidecar has the times of a T2."""
    path = nifti(folder)
    side = {"RepetitionTime": 4.5, "EchoTime": 0.095}
    path.with_name("T1.json").write_text(json.dumps(side))
    return path


@case(NIFTI, "wrong image", 0, "the header does not look like T1")
def another_contrast_than_said(folder):
    return ["--src", f"T1={with_times(folder)}", "--target", "FLAIR"]


@case(NIFTI, "wrong image", REFUSED, "the header does not look like T1")
def another_contrast_than_said_strictly(folder):
    return ["--src", f"T1={with_times(folder)}", "--target", "FLAIR", "--strict"]


@case(NIFTI, "constant", REFUSED, "the image is all but empty")
def all_but_empty(folder):
    voxels = np.zeros(SHAPE, np.float32)
    voxels[5, 5, 3] = 80
    return to_t2(nifti(folder, voxels))


@case(NIFTI, "constant", REFUSED, "the image has no usable signal")
def values_too_small_to_scale(folder):
    return to_t2(nifti(folder, grey() * np.float32(1e-38)))


@case(NIFTI, "constant", REFUSED, "the image has no usable signal")
def negative_everywhere(folder):
    return to_t2(nifti(folder, -grey() - 1))


@case(NIFTI, "forms", REFUSED, "its affine has entries of up to 1e+09 mm")
def far_away(folder):
    affine = AFFINE.copy()
    affine[0, 3] = 1e9
    return to_t2(nifti(folder, affine=affine))


@case(NIFTI, "forms", REFUSED, "its sform_code is -3")
def form_code_that_nobody_knows(folder):
    return repacked(folder, field(254, "h", -3))


@case(NIFTI, "gzip", 0)
def gzip_of_many_members(folder):
    path, content = plain(folder)
    pieces = [bytes(content[start : start + 500]) for start in range(0, len(content), 500)]
    packed = path.with_name("T1.nii.gz")
    packed.write_bytes(b"".join(map(gzip.compress, pieces)))
    return to_t2(packed)


@case(NIFTI, "sidecar", REFUSED, "the sidecar is not valid JSON")
def sidecar_that_is_no_json(folder):
    path = nifti(folder)
    path.with_name("T1.json").write_text("[" * 100_000)
    return to_t2(path)


@case(NIFTI, "sidecar", REFUSED, "the sidecar names an unknown contrast 'banana'")
def sidecar_with_an_unknown_contrast(folder):
    path = nifti(folder)
    path.with_name("T1.json").write_text('{"Contrast": "banana"}')
    return to_t2(path)


@case(NIFTI, "sidecar", 0)
def sidecar_with_numbers_that_no_scanner_writes(folder):
    path = nifti(folder)
    path.with_name("T1.json").write_text(f'{{"EchoTime": 1{"0" * 40}, "RepetitionTime": NaN}}')
    return to_t2(path)


# --- DICOM ----------------------------------------------------------------------------------------


def series(count: int = 6, orientation: str = "axial"):
    """A good T2 series of so many slices of 16 × 12 pixels, in memory."""
    return DicomSeries(orientation, shape=(count, 16, 12))


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


# --- around them ----------------------------------------------------------------------------------


@case(AROUND, "output", REFUSED, "the output exists already")
def output_that_exists(folder):
    (folder / "omnisyn-out").mkdir()
    write_volume(folder / "omnisyn-out" / "desc-synth_T2w.nii.gz", grey(), Geometry(SHAPE, AFFINE))
    return to_t2(nifti(folder))


@case(AROUND, "output", REFUSED, "the output exists already")
def output_that_others_made(folder):
    # Without a sidecar whose hash matches it, --skip-existing does not trust it.
    return [*output_that_exists(folder), "--skip-existing"]


@case(AROUND, "output", REFUSED, "the output would replace a source")
def output_onto_the_input(folder):
    path = nifti(folder).rename(folder / "desc-synth_T2w.nii.gz")
    return ["--src", f"T1={path}", "--target", "T2", "--output", folder, "--overwrite"]


@case(AROUND, "output", REFUSED, "the output folder lies inside the source")
def output_inside_the_input(folder):
    nifti(folder).rename(folder / "scans.nii.gz")
    (folder / "patients" / "1").mkdir(parents=True)
    (folder / "scans.nii.gz").rename(folder / "patients" / "1" / "T1.nii.gz")
    return to_t2(folder / "patients", "--output", folder / "patients" / "made")


@case(AROUND, "paths", REFUSED, "the link leads nowhere")
def links_in_a_circle(folder):
    os.symlink(folder / "b.nii.gz", folder / "T1.nii.gz")
    os.symlink(folder / "T1.nii.gz", folder / "b.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "it is a pipe, socket or device")
def named_pipe(folder):
    os.mkfifo(folder / "T1.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "the link leads nowhere")
def dangling_link(folder):
    os.symlink(folder / "gone.nii.gz", folder / "T1.nii.gz")
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "paths", REFUSED, "there is no such file or folder")
def vanished_file(folder):
    return to_t2(folder / "T1.nii.gz")


@case(AROUND, "weights", MODEL, "weights")
def weights_that_are_pickled(folder):
    (folder / "w.pt").write_bytes(b"PK\x03\x04" + bytes(200))
    return to_t2(nifti(folder), "--weights", folder / "w.pt")


@case(AROUND, "archives", REFUSED, "it is a tar archive")
def packed_archive(folder):
    path = folder / "T1.nii.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("../../escaped.nii")
        entry.size = 400
        archive.addfile(entry, io.BytesIO(bytes(400)))
    return to_t2(path)


@case(AROUND, "archives", REFUSED, "it is a zip archive")
def zip_archive(folder):
    path = folder / "T1.nii.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped.nii", bytes(400))
    return to_t2(path)


@case(AROUND, "settings", REFUSED, "did you mean 'target'")
def settings_with_an_unknown_key(folder):
    (folder / "settings.toml").write_text('targt = "T2"\n')
    return ["--src", nifti(folder), "--target", "T2", "--config", folder / "settings.toml"]


@case(AROUND, "output", REFUSED, "the output would replace a source")
def output_onto_the_input_through_a_link(folder):
    path = nifti(folder)
    (folder / "omnisyn-out").mkdir()
    place = path.rename(folder / "omnisyn-out" / "desc-synth_T2w.nii.gz")
    path.symlink_to(place)
    return to_t2(path, "--overwrite")


@case(AROUND, "patients", REFUSED, "two contrasts are one and the same image")
def one_image_as_two_contrasts(folder):
    path = nifti(folder)
    return ["--src", f"T1={path}", "--src", f"FLAIR={path}", "--target", "T2"]


@case(AROUND, "patients", REFUSED, "the scans belong to several patients")
def series_of_two_patients(folder):
    series().save(folder / "a")
    other = series()
    for file in other.files:
        file.PatientID = "another"
    other.save(folder / "b")
    return ["--src", f"T2={folder / 'a'}", "--src", f"T1={folder / 'b'}", "--target", "FLAIR"]


@case(AROUND, "patients", USAGE, "give every folder once")
def one_folder_twice(folder):
    (folder / "all" / "p1").mkdir(parents=True)
    nifti(folder).rename(folder / "all" / "p1" / "T1.nii.gz")
    return ["--src", folder / "all", "--src", folder / "all", "--target", "T2"]


def weights_with(folder: Path, card: str | None) -> list[str | Path]:
    """A weights file that is nothing, beside a card."""
    (folder / "w.safetensors").write_bytes(bytes(300))
    if card is not None:
        (folder / "w.json").write_text(card)
    return to_t2(nifti(folder), "--weights", folder / "w.safetensors")


@case(AROUND, "weights", MODEL, "w.json")
def weights_without_a_card(folder):
    return weights_with(folder, None)


@case(AROUND, "weights", MODEL, "the card")
def weights_with_a_card_that_is_no_json(folder):
    return weights_with(folder, "[" * 100_000)


@case(AROUND, "weights", MODEL, "the card")
def weights_with_a_pipe_for_a_card(folder):
    (folder / "w.safetensors").write_bytes(bytes(300))
    os.mkfifo(folder / "w.json")
    return to_t2(nifti(folder), "--weights", folder / "w.safetensors")


@case(AROUND, "settings", REFUSED, "settings.toml")
def settings_that_are_a_pipe(folder):
    os.mkfifo(folder / "settings.toml")
    return to_t2(nifti(folder), "--config", folder / "settings.toml")


@case(AROUND, "settings", REFUSED, "settings.toml")
def settings_of_a_wrong_type(folder):
    (folder / "settings.toml").write_text('target = "T2"\n')
    return to_t2(nifti(folder), "--config", folder / "settings.toml")


CASES = (*NIFTI, *DICOM, *AROUND)
