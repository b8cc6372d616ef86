import numpy as np
import pytest
from pydicom.dataset import Dataset

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError
from omnisyn.volumes.dicom import list_stacks, read_dicom
from omnisyn.volumes.options import ReadOptions
from omnisyn.volumes.read import read_volume


@pytest.fixture
def two_series(dicom_series, tmp_path):
    """A folder with series 7, axial T2, and series 9, coronal T1 with other parameters."""
    first, second = dicom_series(), dicom_series("coronal")
    for dataset in second.files:
        dataset.SeriesNumber, dataset.SeriesDescription = 9, "COR T1"
        dataset.RepetitionTime, dataset.EchoTime = "550", "12"
    second.save(first.save(tmp_path / "scan"), names=["a", "b", "c", "d"])
    return tmp_path / "scan"


@pytest.fixture
def joined(dicom_series, tmp_path):
    """Saves copies of one series, changed by a function each, as one series in one folder."""

    def join(*changes):
        first = dicom_series()
        for number, change in enumerate(changes):
            copy = dicom_series()
            copy.pixels = copy.pixels + np.int16(1000 * number)
            for index, dataset in enumerate(copy.files):
                dataset.SeriesInstanceUID = first.series
                copy.set_pixels(dataset, copy.pixels[index])
                change(dataset, index)
            copy.save(tmp_path / "scan", names=[f"{number}-{index}" for index in range(4)])
        return tmp_path / "scan"

    return join


def test_several_series_are_listed_with_their_contrasts_and_refused(two_series):
    with pytest.raises(InputError) as caught:
        read_dicom(two_series)

    assert str(caught.value) == (
        "scan: the folder holds 2 series (7 AX T2 TSE (4 images, T2, confidence 95%); "
        "9 COR T1 (4 images, T1, confidence 95%)); choose one, for example --series 7"
    )


@pytest.mark.parametrize("selector", ["9", "COR T1", "cor t1"])
def test_a_series_is_chosen_by_number_or_description(two_series, selector):
    volume = read_dicom(two_series, ReadOptions(series=selector))

    assert volume.provenance.acquisition["SeriesDescription"] == "COR T1"
    assert any("of 2 stacks" in text for text in volume.provenance.warnings)


def test_a_series_is_chosen_by_its_uid(two_series):
    uid = list_stacks(two_series)[1].frames[0].text("SeriesInstanceUID")

    chosen = read_dicom(two_series, ReadOptions(series=uid))

    assert chosen.provenance.acquisition["SeriesDescription"] == "COR T1"


def test_a_series_is_chosen_by_the_contrast_that_is_said(two_series):
    chosen = read_volume(two_series, contrast("T1"))

    assert chosen.provenance.acquisition["SeriesDescription"] == "COR T1"
    assert chosen.contrast is contrast("T1")


def test_a_contrast_that_no_series_shows_is_refused_with_the_list(two_series):
    with pytest.raises(InputError, match=r"nothing here is FLAIR.*7 AX T2.*9 COR T1"):
        read_volume(two_series, contrast("FLAIR"))


def test_a_series_that_is_not_there_is_refused_with_the_list(two_series):
    with pytest.raises(InputError, match=r"nothing here is --series 8.*7 AX T2.*9 COR T1"):
        read_dicom(two_series, ReadOptions(series="8"))


def test_two_series_of_one_number_are_told_apart_by_a_number(dicom_series, tmp_path):
    dicom_series().save(tmp_path / "scan")
    dicom_series("sagittal").save(tmp_path / "scan", names=["a", "b", "c", "d"])

    assert [stack.selector for stack in list_stacks(tmp_path / "scan")] == ["7-1", "7-2"]
    with pytest.raises(InputError, match="more than one here is --series 7"):
        read_dicom(tmp_path / "scan", ReadOptions(series="7"))
    assert read_dicom(tmp_path / "scan", ReadOptions(series="7-2")).geometry.shape == (5, 6, 4)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ("20", "95.5")),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
        ("AcquisitionNumber", (1, 2)),
        ("TemporalPositionIdentifier", (1, 2)),
    ],
)
def test_images_at_one_place_are_split_by_what_tells_them_apart(joined, keyword, values):
    folder = joined(
        *[lambda dataset, _, value=value: setattr(dataset, keyword, value) for value in values]
    )

    with pytest.raises(InputError, match=f"one series of 2 stacks.*7.1 .*{keyword}.*7.2 "):
        read_dicom(folder)
    for number in (0, 1):
        volume = read_dicom(folder, ReadOptions(series=f"7.{number + 1}"))
        assert volume.geometry.shape == (5, 6, 4)
        assert volume.voxels.min() == 1 + 1000 * number


def test_an_attribute_of_every_slice_does_not_split(joined):
    def change(repeat):
        def one(dataset, index):
            dataset.TriggerTime = str(100 * index + 7 * repeat)
            dataset.InstanceNumber = 1 + index + 4 * repeat

        return one

    stacks = list_stacks(joined(change(0), change(1), change(2)))

    assert [stack.told_apart for stack in stacks] == [
        f"repeat {number} of 3 by number" for number in (1, 2, 3)
    ]
    assert [len(stack.frames) for stack in stacks] == [4, 4, 4]


def test_images_that_nothing_tells_apart_are_refused(joined):
    folder = joined(lambda *_: None, lambda *_: None)

    with pytest.raises(InputError, match=r"4 of 8 images lie at the place of another one"):
        read_dicom(folder)


def test_a_missing_image_of_one_repeat_is_refused_when_that_repeat_is_chosen(joined):
    def echo(time):
        return lambda dataset, _: setattr(dataset, "EchoTime", time)

    folder = joined(echo("20"), echo("80"))
    (folder / "1-1").unlink()

    assert read_dicom(folder, ReadOptions(series="7.1")).geometry.shape == (5, 6, 4)
    with pytest.raises(InputError, match="missing or unevenly spaced"):
        read_dicom(folder, ReadOptions(series="7.2"))


def test_a_series_whose_number_is_a_word_is_read(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        del dataset.SeriesNumber
        dataset.add_new("SeriesNumber", "LO", "seven")

    assert read_dicom(series.save(tmp_path / "scan")).geometry.shape == (5, 6, 4)


def test_many_series_without_a_number_have_selectors_of_their_own(dicom_series, tmp_path):
    for number in range(30):
        series = dicom_series(shape=(1, 6, 5))
        del series.files[0].SeriesNumber
        series.save(tmp_path / "scan", names=[f"{number}"])

    selectors = [stack.selector for stack in list_stacks(tmp_path / "scan")]

    assert len(set(selectors)) == 30
    assert read_dicom(tmp_path / "scan", ReadOptions(series="0-30")).geometry.shape[2] == 1


def test_stacks_that_an_enhanced_file_names_are_told_apart(dicom_series, tmp_path):
    # Two stacks of one orientation, 100 mm apart, in one file.
    series = dicom_series(shape=(8, 6, 5))
    image = series.files[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, keyword)
    groups = []
    for index in range(8):
        group, place, turn, size, content = (Dataset() for _ in range(5))
        place.ImagePositionPatient = [0, 0, 3 * (index % 4) + 100 * (index // 4)]
        turn.ImageOrientationPatient, size.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        content.StackID = str(index // 4 + 1)
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [turn]
        group.PixelMeasuresSequence, group.FrameContentSequence = [size], [content]
        groups.append(group)
    image.PerFrameFunctionalGroupsSequence, image.NumberOfFrames = groups, 8
    image.PixelData = series.pixels.tobytes()
    series.files = [image]
    series.save(tmp_path / "scan", names=["a"])

    first, second = list_stacks(tmp_path / "scan")

    assert (first.told_apart, second.told_apart) == ("StackID 1", "StackID 2")
    volume = read_dicom(tmp_path / "scan", ReadOptions(series="7.2"))
    np.testing.assert_array_equal(volume.voxels, series.pixels[4:].T)
    assert volume.geometry.origin[2] == 100
    other = read_dicom(tmp_path / "scan", ReadOptions(series="7.1"))
    assert volume.provenance.sha256 != other.provenance.sha256


def test_a_foreign_multi_frame_file_does_not_hide_the_other_series(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan")
    cine = dicom_series(shape=(1, 6, 5))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
        delattr(cine.files[0], keyword)
    cine.files[0].NumberOfFrames, cine.files[0].SeriesNumber = 2, 9
    cine.files[0].PixelData *= 2
    cine.save(folder, names=["zz"])

    assert [stack.selector for stack in list_stacks(folder)] == ["7", "9"]
    assert read_dicom(folder, ReadOptions(series="7")).geometry.shape == (5, 6, 4)
    with pytest.raises(InputError, match="zz: a multi-frame file that does not say where"):
        read_dicom(folder, ReadOptions(series="9"))
