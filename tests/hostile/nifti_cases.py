"""Bad NIfTI files, and images that make no sense whatever they come in."""

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from tests.hostile.battery import (
    AFFINE,
    REFUSED,
    SHAPE,
    Case,
    case,
    grey,
    nifti,
    to_t2,
)

NIFTI: list[Case] = []


def plain(folder: Path) -> tuple[Path, bytearray]:
    """The path of a .nii to write, and the bytes of a good one."""
    content = gzip.decompress(nifti(folder).read_bytes())
    (folder / "T1.nii.gz").unlink()
    return folder / "T1.nii", bytearray(content)


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
