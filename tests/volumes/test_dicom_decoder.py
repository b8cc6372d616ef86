"""Compressed pixels are decoded in a child; what kills the child is told, not died of."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest

from omnisyn.errors import InputError
from omnisyn.volumes import dicom_decoder
from omnisyn.volumes.dicom_decoder import decode
from omnisyn.volumes.read import read_volume


@pytest.fixture
def jpeg2000():
    """The bytes of pydicom's own losslessly compressed MR image, and its plain pixels."""
    packed = Path(str(pydicom.data.get_testdata_file("MR_small_jp2klossless.dcm")))
    plain = pydicom.dcmread(str(pydicom.data.get_testdata_file("MR_small.dcm")))
    return packed.read_bytes(), plain.pixel_array


@pytest.fixture
def crashing(tmp_path):
    """A run-length-encoded image of no segments, by the count of which GDCM divides."""
    content = Path(str(pydicom.data.get_testdata_file("MR_small_RLE.dcm"))).read_bytes()
    segments = content.index(bytes([2, 0, 0, 0, 64, 0, 0, 0]))
    path = tmp_path / "image"
    path.write_bytes(content[:segments] + bytes(1) + content[segments + 1 :])
    return path


def test_files_come_back_in_their_order(jpeg2000):
    content, pixels = jpeg2000
    image = pydicom.dcmread(io.BytesIO(content))
    image.decompress()
    image.PixelData = (pixels + 1).astype("<i2").tobytes()
    plus_one = io.BytesIO()
    image.save_as(plus_one)

    decoded = decode([content, plus_one.getvalue()] * 6)

    for index, values in enumerate(decoded):
        np.testing.assert_array_equal(values.reshape(pixels.shape), pixels + index % 2)
    assert len(decoded) == 12


def test_a_list_that_ends_early_says_which_file_cannot_be_decoded(jpeg2000):
    content, _ = jpeg2000

    assert len(decode([content, content[:600], content])) == 1


def test_a_stream_that_crashes_the_decoder_is_refused(crashing):
    # Found by tests/fuzz: a floating point exception that no Python code can catch.
    with pytest.raises(InputError, match="image: the compressed pixels cannot be decoded"):
        read_volume(crashing)


def test_a_stream_on_which_the_decoder_hangs_is_given_up(jpeg2000, monkeypatch):
    monkeypatch.setattr(dicom_decoder, "_LIMIT_S", 0.01)

    assert decode([jpeg2000[0]]) == []


def test_the_decoders_own_messages_are_not_shown(jpeg2000, capfd):
    decode([jpeg2000[0][:4000]])

    assert capfd.readouterr() == ("", "")
