import numpy as np
import pydicom

from omnisyn.volumes.dicom_image import fill_in, new_image, put_pixels


def test_an_image_without_content_is_whole_once_pixels_are_in_it(tmp_path):
    image = new_image("2.25.7")
    fill_in(image)
    pixels = np.arange(-6, 6, dtype=np.int16).reshape(3, 4)
    put_pixels(image, pixels)
    image.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    back = pydicom.dcmread(tmp_path / "image.dcm")
    assert back.SOPInstanceUID == back.file_meta.MediaStorageSOPInstanceUID == "2.25.7"
    assert np.array_equal(back.pixel_array, pixels)


def test_what_must_be_there_is_filled_in_and_what_is_there_stays():
    image = new_image("2.25.7")
    image.EchoTime = "95.5"
    fill_in(image)
    assert image.EchoTime == 95.5
    assert image.RepetitionTime is None
    assert "Laterality" in image
    paired = new_image("2.25.7")
    paired.BodyPartExamined = "HEAD"
    fill_in(paired)
    assert "Laterality" not in paired
