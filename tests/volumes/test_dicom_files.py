import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from omnisyn.errors import InputError, ResourceError
from omnisyn.volumes.dicom_files import find_images
from omnisyn.volumes.dicom_frames import frames_of
from omnisyn.volumes.dicom_pixels import read_pixels

JPEG = Path(__file__).parents[3] / "shared/data/dicom/dicom2nifti/generic/compressed_jpeg/001"


def pixels(frame):
    """The image of one frame."""
    (image,) = read_pixels([frame])
    return image


def only(folder):
    images, _ = find_images(folder)
    return frames_of(images[0])[0]


@pytest.fixture
def one(dicom_series):
    """A series of one slice."""
    return dicom_series(shape=(1, 6, 5))


@pytest.fixture
def packed(dicom_series):
    """A run-length-encoded series of one slice, with slope 0.5 and intercept 3."""
    series = dicom_series(shape=(1, 16, 12))
    dataset = series.files[0]
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.5", "3"
    dataset.compress(RLELossless, generate_instance_uid=False)
    return series


def test_slope_and_intercept_of_each_slice_are_applied_as_floats(dicom_series, tmp_path):
    series = dicom_series()
    for index, dataset in enumerate(series.files):
        dataset.RescaleSlope, dataset.RescaleIntercept = str(0.25 + index), str(-index)
    images, _ = find_images(series.save(tmp_path / "scan", names=["a", "b", "c", "d"]))

    for index, image in enumerate(images):
        expected = series.pixels[index] * (0.25 + index) - index
        np.testing.assert_allclose(pixels(frames_of(image)[0]), expected, rtol=1e-6)


def test_a_slope_of_zero_is_refused(one, tmp_path):
    one.files[0].RescaleSlope, one.files[0].RescaleIntercept = "0", "0"

    with pytest.raises(InputError, match="RescaleSlope is not usable"):
        pixels(only(one.save(tmp_path / "scan")))


def test_overlay_bits_above_the_stored_ones_are_dropped_and_the_sign_kept(one, tmp_path):
    values = np.array([[1, -1, 5], [-2048, 2047, 0]], np.int16)
    dataset = one.files[0]
    one.set_pixels(dataset, (values & 0x0FFF | 0x5000).astype(np.int16))
    dataset.BitsStored, dataset.HighBit = 12, 11

    np.testing.assert_array_equal(pixels(only(one.save(tmp_path / "scan"))), values)


def test_unsigned_eight_bit_pixels_are_read(one, tmp_path):
    values = np.arange(248, 254, dtype=np.uint8).reshape(2, 3)
    dataset = one.files[0]
    one.set_pixels(dataset, values)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0

    np.testing.assert_array_equal(pixels(only(one.save(tmp_path / "scan"))), values)


def test_an_unsupported_pixel_size_is_refused(one, tmp_path):
    one.files[0].BitsAllocated = 1
    one.files[0].BitsStored = 1

    with pytest.raises(InputError, match="unsupported pixel size"):
        pixels(only(one.save(tmp_path / "scan")))


def test_compressed_pixels_are_decoded_with_their_slope(packed, tmp_path):
    packed.files[0].save_as(tmp_path / "image", enforce_file_format=True)

    np.testing.assert_allclose(pixels(only(tmp_path)), packed.pixels[0] * 0.5 + 3)


def test_compressed_pixels_that_cannot_be_decoded_are_refused(packed, tmp_path):
    dataset = packed.files[0]
    content = bytearray(dataset.PixelData)
    content[16:80] = b"\xff" * 64
    dataset.PixelData = bytes(content)
    dataset.save_as(tmp_path / "image", enforce_file_format=True)

    with pytest.raises(InputError, match="image: the compressed pixels cannot be decoded"):
        pixels(only(tmp_path))


def test_a_table_of_fragments_longer_than_the_file_is_refused(packed, tmp_path):
    # Found by tests/fuzz: pydicom answers with struct.error.
    dataset = packed.files[0]
    content = bytearray(dataset.PixelData)
    content[4:8] = (2**25).to_bytes(4, "little")
    dataset.PixelData = bytes(content)
    dataset.save_as(tmp_path / "image", enforce_file_format=True)

    with pytest.raises(InputError, match="image: the compressed pixels cannot be decoded"):
        pixels(only(tmp_path))


def test_a_word_where_the_decoder_needs_a_number_is_refused(packed, tmp_path):
    # Found by tests/fuzz: a damaged tag puts the value of one element under another.
    packed.files[0].save_as(tmp_path / "image", enforce_file_format=True)
    frame = only(tmp_path)
    frame.file.dataset.add_new("PlanarConfiguration", "CS", "MONOCHROME2")

    with pytest.raises(InputError, match="the PlanarConfiguration is not usable"):
        pixels(frame)


def test_a_full_disk_while_unpacking_is_a_fault_of_the_machine(packed, tmp_path, monkeypatch):
    packed.files[0].save_as(tmp_path / "image", enforce_file_format=True)
    frame = only(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResourceError, match=r"cannot unpack the pixels .*disk is full"):
        pixels(frame)


@pytest.mark.skipif(not JPEG.is_dir(), reason="the shared DICOM series are not here")
def test_compressed_pixels_of_another_size_than_the_header_says_are_refused(tmp_path):
    (source, *_), _ = find_images(JPEG)
    source.dataset.Rows = 128
    source.dataset.save_as(tmp_path / "image", enforce_file_format=True)

    with pytest.raises(InputError, match="image: the compressed pixels"):
        pixels(only(tmp_path))


@pytest.mark.parametrize("cut", [1, 30, 59, 60, 61, 100])
def test_a_file_cut_short_is_refused(one, tmp_path, cut):
    path = one.save(tmp_path / "scan", names=["a"]) / "a"
    path.write_bytes(path.read_bytes()[:-cut])

    with pytest.raises(InputError, match=r"a: the DICOM file is (cut short|damaged)"):
        pixels(only(tmp_path / "scan"))


@pytest.mark.parametrize("cut", [1, 8, 9, 20])
def test_a_compressed_file_cut_short_is_refused(packed, tmp_path, cut):
    path = tmp_path / "a"
    packed.files[0].save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes()[:-cut])

    with pytest.raises(InputError, match=r"a: the (DICOM file is|compressed pixels)"):
        pixels(only(tmp_path))


def test_an_empty_file_among_the_slices_is_refused(one, tmp_path):
    folder = one.save(tmp_path / "scan")
    (folder / "IM009").touch()

    with pytest.raises(InputError, match=r"IM009: the file is empty"):
        find_images(folder)


def test_a_file_without_preamble_is_read(one, tmp_path):
    folder = one.save(tmp_path / "scan", names=["a"])
    content = (folder / "a").read_bytes()
    (folder / "a").write_bytes(content[132:])

    np.testing.assert_array_equal(pixels(only(folder)), one.pixels[0])


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match=r"no DICOM images here.*holds no files"):
        find_images(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError, match=r"no DICOM images here.*1 other files"):
        find_images(tmp_path)


@pytest.mark.parametrize("high", [15, 13])
def test_bits_that_are_stored_high_are_brought_down(one, tmp_path, high):
    stored = np.linspace(-2000, 2000, 30).astype(np.int16).reshape(6, 5)
    dataset = one.files[0]
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, high, 1
    one.set_pixels(dataset, stored << (high - 11))

    np.testing.assert_array_equal(pixels(only(one.save(tmp_path / "scan"))), stored)


def test_a_high_bit_that_cannot_be_is_refused(one, tmp_path):
    one.files[0].BitsStored, one.files[0].HighBit = 12, 9

    with pytest.raises(InputError, match="bits contradict each other"):
        pixels(only(one.save(tmp_path / "scan")))


@pytest.mark.parametrize("rows", [3, 4])
def test_more_pixels_than_the_header_says_are_refused(one, tmp_path, rows):
    one.files[0].Rows = rows

    with pytest.raises(InputError, match="holds more pixels than its header says"):
        pixels(only(one.save(tmp_path / "scan")))


def test_zeros_behind_the_pixels_are_padding(one, tmp_path):
    one.files[0].PixelData += bytes(20)

    np.testing.assert_array_equal(pixels(only(one.save(tmp_path / "scan"))), one.pixels[0])


def test_compressed_pixels_under_a_plain_header_are_refused(packed, tmp_path):
    packed.files[0]["PixelData"].is_undefined_length = False

    with pytest.raises(InputError, match="compressed, against what the header says"):
        pixels(only(packed.save(tmp_path / "scan")))


def test_bytes_in_big_endian_words_are_not_swapped(one, tmp_path):
    dataset = one.files[0]
    bytes_ = np.arange(30, dtype=np.uint8).reshape(6, 5)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    one.set_pixels(dataset, bytes_)
    folder = one.save(tmp_path / "scan", transfer_syntax=ExplicitVRBigEndian)

    np.testing.assert_array_equal(pixels(only(folder)), bytes_)


def test_compressed_pixels_that_the_decoder_would_round_are_refused(packed, tmp_path):
    dataset = packed.files[0]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 32, 20, 19
    dataset.save_as(tmp_path / "a", enforce_file_format=True)

    with pytest.raises(InputError, match=r"cannot be decoded exactly \(20 bits stored in 32"):
        pixels(only(tmp_path / "a"))


@pytest.mark.parametrize("keep", [129, 131, 132, 140, 150, 170, 200])
def test_a_file_that_ends_within_its_header_is_refused(dicom_series, tmp_path, keep):
    folder = dicom_series().save(tmp_path / "scan", names=["a", "b", "c", "d"])
    (folder / "d").write_bytes((folder / "d").read_bytes()[:keep])

    with pytest.raises(InputError, match=r"d: the DICOM file is (cut short|damaged)"):
        find_images(folder)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"/annex/objects/SHA256E-s100", "it is a git-annex pointer"),
        (bytes(5000), "nothing but zeros"),
    ],
)
def test_what_stands_in_the_place_of_an_image_is_refused(dicom_series, tmp_path, content, reason):
    folder = dicom_series().save(tmp_path / "scan", names=["a", "b", "c", "d"])
    (folder / "d").write_bytes(content)

    with pytest.raises(InputError, match=f"d: .*{reason}"):
        find_images(folder)


def test_a_link_that_leads_nowhere_is_refused_and_a_pipe_counted(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan", names=["a", "b", "c", "d"])
    os.mkfifo(folder / "pipe")
    (folder / "more").mkdir()

    _, notes = find_images(folder)
    (folder / "e").symlink_to(tmp_path / "gone")

    assert notes == ("1 file skipped that holds no image", "1 folder inside was not looked into")
    with pytest.raises(InputError, match=r"e: no such file or folder \(the link leads nowhere"):
        find_images(folder)


def test_an_unknown_encoding_is_named(one, tmp_path):
    folder = one.save(tmp_path / "scan", names=["a"])
    content = (folder / "a").read_bytes()
    syntax = b"1.2.840.10008.1.2.1\0"
    (folder / "a").write_bytes(content.replace(syntax, b"1.2.840.113619.5.2\0\0", 1))

    with pytest.raises(InputError, match=r"unknown way .transfer syntax 1\.2\.840\.113619\.5\.2"):
        find_images(folder)
