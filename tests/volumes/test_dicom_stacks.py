import numpy as np
import pytest

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


def test_two_series_of_one_number_are_told_apart_by_a_letter(dicom_series, tmp_path):
    dicom_series().save(tmp_path / "scan")
    dicom_series("sagittal").save(tmp_path / "scan", names=["a", "b", "c", "d"])

    assert [stack.selector for stack in list_stacks(tmp_path / "scan")] == ["7a", "7b"]
    with pytest.raises(InputError, match="more than one here is --series 7"):
        read_dicom(tmp_path / "scan", ReadOptions(series="7"))
    assert read_dicom(tmp_path / "scan", ReadOptions(series="7b")).geometry.shape == (5, 6, 4)


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
