import gzip

import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.nifti import read_geometry, read_nifti
from omnisyn.volumes.options import ReadOptions
from omnisyn.volumes.write import write_volume

AFFINE = np.diag([-0.5, -0.75, 3.0, 1.0])


@pytest.fixture
def good(tmp_path, grey_voxels):
    """The path of a good .nii.gz file."""
    return write_volume(tmp_path / "T1.nii.gz", grey_voxels, Geometry((6, 7, 5), AFFINE))


def save(path, voxels, *, slope=None, intercept=0.0, kind=nibabel.Nifti1Image):
    image = kind(voxels, AFFINE)
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">u4", "<f4", ">f4", "<f8", ">f8"]
)
def test_every_supported_type_reads_as_nibabel_reads_it(tmp_path, kind, name, dtype):
    voxels = (np.arange(210) % 100).astype(dtype).reshape(6, 7, 5)
    image = kind(voxels, AFFINE, kind.header_class(endianness=dtype[0] if dtype[0] == ">" else "<"))
    image.set_data_dtype(dtype)
    nibabel.save(image, tmp_path / name)

    volume = read_nifti(tmp_path / name)

    assert volume.voxels.dtype == np.float32
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_array_equal(volume.geometry.affine, AFFINE)
    assert volume.provenance.warnings == ()


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
def test_slope_and_intercept_are_applied(tmp_path, dtype):
    voxels = np.arange(210).astype(dtype).reshape(6, 7, 5)
    image = nibabel.Nifti1Image(voxels, AFFINE)
    nibabel.save(image, tmp_path / "x.nii")
    content = bytearray((tmp_path / "x.nii").read_bytes())
    content[112:120] = np.array([0.01, -1.5], "<f4").tobytes()
    (tmp_path / "x.nii").write_bytes(content)

    volume = read_nifti(tmp_path / "x.nii")

    np.testing.assert_allclose(volume.voxels, voxels * 0.01 - 1.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("value", "slope"), [(1e300, None), (1e30, 1e30), (3e38, 10.0)])
def test_values_beyond_float32_are_refused(tmp_path, value, slope):
    voxels = np.ones((6, 7, 5))
    voxels[0, 0, 0] = value
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), tmp_path / "x.nii")
    if slope is not None:
        content = bytearray((tmp_path / "x.nii").read_bytes())
        content[112:120] = np.array([slope, 0], "<f4").tobytes()
        (tmp_path / "x.nii").write_bytes(content)

    with pytest.raises(InputError, match="do not fit into float32"):
        read_nifti(tmp_path / "x.nii")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_voxels_that_are_not_finite_are_counted_and_refused(tmp_path, value, dtype):
    voxels = np.ones((6, 7, 5), dtype)
    voxels[0, 0, :2] = value

    with pytest.raises(InputError, match="2 of 210 are NaN or infinity"):
        read_nifti(save(tmp_path / "x.nii.gz", voxels))


@pytest.mark.parametrize("value", [0, 5])
def test_an_image_of_one_value_is_refused(tmp_path, value):
    with pytest.raises(InputError, match=f"no signal.*every voxel is {value}"):
        read_nifti(save(tmp_path / "x.nii.gz", np.full((6, 7, 5), value, np.int16)))


def test_a_fourth_axis_of_one_volume_is_squeezed(tmp_path, grey_voxels):
    volume = read_nifti(save(tmp_path / "x.nii.gz", grey_voxels[..., np.newaxis]))

    np.testing.assert_array_equal(volume.voxels, grey_voxels)


def test_several_volumes_in_one_file_are_refused(tmp_path, grey_voxels):
    path = save(tmp_path / "x.nii.gz", np.stack([grey_voxels, 2 * grey_voxels], axis=-1))

    with pytest.raises(InputError, match=r"the file holds 2 volumes, not one.*--volume 1 ... 2"):
        read_nifti(path)
    with pytest.raises(InputError, match=r"there is no volume 3 \(the file holds 2\)"):
        read_nifti(path, ReadOptions(volume=3))


@pytest.mark.parametrize("volume", [1, 2])
def test_one_of_several_volumes_is_chosen_by_number(tmp_path, grey_voxels, volume):
    path = save(tmp_path / "x.nii.gz", np.stack([grey_voxels, 2 * grey_voxels], axis=-1))

    chosen = read_nifti(path, ReadOptions(volume=volume))

    np.testing.assert_array_equal(chosen.voxels, volume * grey_voxels)


def test_five_dimensions_are_refused_whatever_is_chosen(tmp_path, grey_voxels):
    path = save(tmp_path / "x.nii.gz", np.stack([grey_voxels[..., None]] * 2, axis=-1))

    with pytest.raises(InputError, match=r"5 dimensions \(6, 7, 5, 1, 2\), not one 3D volume"):
        read_nifti(path, ReadOptions(volume=1))


def test_voxels_that_are_not_finite_are_zeroed_on_request_and_counted(tmp_path, grey_voxels):
    grey_voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    path = save(tmp_path / "x.nii.gz", grey_voxels)

    volume = read_nifti(path, ReadOptions(zero_nonfinite=True))

    np.testing.assert_array_equal(volume.voxels[0, 0], [0, 0, 0, *grey_voxels[0, 0, 3:]])
    assert "3 voxels that were NaN or infinite are set to zero" in volume.provenance.warnings


def test_strict_refuses_what_is_otherwise_a_warning(tmp_path, grey_voxels):
    path = save(tmp_path / "x.nii.gz", grey_voxels - grey_voxels.mean())

    assert any("already normalised" in text for text in read_nifti(path).provenance.warnings)
    with pytest.raises(InputError, match="already normalised"):
        read_nifti(path, ReadOptions(strict=True))


@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 1, 3), (600, 16, 2)])
def test_few_slices_and_long_axes_are_read(tmp_path, shape):
    voxels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)

    np.testing.assert_array_equal(read_nifti(save(tmp_path / "x.nii.gz", voxels)).voxels, voxels)


def test_colour_voxels_are_refused_by_name(tmp_path):
    pixel = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])

    with pytest.raises(InputError, match="type RGB"):
        read_nifti(save(tmp_path / "x.nii.gz", np.zeros((6, 7, 5), pixel)))


@pytest.mark.parametrize(
    ("content", "truth"),
    [
        (b"<!DOCTYPE html><html>sign in</html>" * 20, "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"),
        (b"", "empty"),
        (b"PK\x03\x04" + b"\0" * 500, "zip"),
        (gzip.compress(b"<html>" * 200, mtime=0), "HTML"),
        (gzip.compress(b"short", mtime=0), "5 bytes are too few"),
        (b"\0" * 1000, "no NIfTI header"),
    ],
)
def test_what_is_no_nifti_is_refused_with_the_true_reason(tmp_path, content, truth):
    (tmp_path / "T1.nii.gz").write_bytes(content)

    with pytest.raises(InputError, match=truth) as caught:
        read_nifti(tmp_path / "T1.nii.gz")
    assert str(caught.value).startswith("T1.nii.gz: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_plain_file_under_gz_and_the_reverse_are_read_by_content_with_a_warning(
    good, grey_voxels
):
    plain, packed = good.with_name("plain.nii.gz"), good.with_name("packed.nii")
    plain.write_bytes(gzip.decompress(good.read_bytes()))
    packed.write_bytes(good.read_bytes())

    for path, truth in ((plain, "not gzip packed"), (packed, "gzip packed")):
        volume = read_nifti(path)
        np.testing.assert_array_equal(volume.voxels, grey_voxels)
        assert f"the file is {truth}, against its name" in volume.provenance.warnings[0]


@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(good, part):
    content = good.read_bytes()
    good.write_bytes(content[: int(len(content) * part)])

    with pytest.raises(InputError, match="T1"):
        read_nifti(good)


def test_every_single_flipped_bit_is_refused_or_harmless(good, grey_voxels):
    content = good.read_bytes()
    harmless = 0
    for place in range(2, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        good.write_bytes(damaged)
        try:
            voxels = read_nifti(good).voxels
        except InputError:
            continue
        # The gzip header holds a time and an operating system that mean nothing here, and a table
        # of codes may hold some that the data does not use.
        np.testing.assert_array_equal(voxels, grey_voxels)
        harmless += 1
    assert harmless <= 4


@pytest.mark.parametrize("change", [-1, 1, 4096])
def test_a_plain_file_shorter_or_longer_than_its_header_says_is_refused(good, change):
    content = gzip.decompress(good.read_bytes())
    path = good.with_name("T1.nii")
    path.write_bytes(content[:change] if change < 0 else content + b"\0" * change)

    with pytest.raises(InputError, match="than its header says"):
        read_nifti(path)


def test_a_header_that_claims_a_huge_volume_is_refused_without_allocating(good):
    content = bytearray(gzip.decompress(good.read_bytes()))
    for dims, reason in (((32767,) * 3, "exceed|above"), ((1000, 1000, 1000), "cannot hold")):
        content[40:48] = np.array([3, *dims], "<i2").tobytes()
        good.write_bytes(gzip.compress(bytes(content)))
        with pytest.raises(InputError, match=reason):
            read_nifti(good)


def test_a_wrong_path_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"T9\.nii\.gz: no such file or folder"):
        read_nifti(tmp_path / "T9.nii.gz")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_the_geometry_is_read_from_the_header_alone(tmp_path, name):
    voxels = np.random.default_rng(1).integers(1, 30000, (60, 70, 50), "i2")
    path = save(tmp_path / name, voxels)
    content = path.read_bytes()
    path.write_bytes(content[:-1000])

    assert read_geometry(path) == Geometry((60, 70, 50), AFFINE)


def test_the_geometry_of_several_volumes_is_that_of_each(tmp_path):
    path = save(tmp_path / "x.nii.gz", np.ones((6, 7, 5, 2), "f4"))

    assert read_geometry(path) == Geometry((6, 7, 5), AFFINE)


@pytest.mark.parametrize("content", [None, b"", b"<html>", b"\x1f\x8bxx"])
def test_a_geometry_that_cannot_be_read_is_refused(tmp_path, content):
    path = tmp_path / "x.nii.gz"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"^x\.nii\.gz: "):
        read_geometry(path)
