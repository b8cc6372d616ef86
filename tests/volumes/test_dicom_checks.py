import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.volumes.dicom import read_dicom
from omnisyn.volumes.options import ReadOptions


def test_files_of_two_patients_are_refused_without_naming_them(dicom_series, tmp_path):
    series = dicom_series()
    series.files[2].PatientID = "another-secret"

    with pytest.raises(InputError, match="several patients") as caught:
        read_dicom(series.save(tmp_path / "scan"))
    assert "secret" not in str(caught.value)


def test_a_missing_slice_is_refused_with_its_place(dicom_series, tmp_path):
    series = dicom_series(shape=(6, 6, 5))
    del series.files[2]

    with pytest.raises(InputError, match=r"missing or unevenly spaced.*usual distance is 3\.00 mm"):
        read_dicom(series.save(tmp_path / "scan"))


@pytest.mark.parametrize("orientation", ["axial", "oblique"])
def test_a_gap_is_filled_by_interpolation_on_request(dicom_series, tmp_path, orientation):
    series = dicom_series(orientation, shape=(6, 6, 5))
    whole = read_dicom(series.save(tmp_path / "whole"))
    del series.files[2]

    filled = read_dicom(series.save(tmp_path / "gap"), ReadOptions(allow_gaps=True))

    assert filled.geometry.matches(whole.geometry)
    between = (whole.voxels[:, :, 1] + whole.voxels[:, :, 3]) / 2
    np.testing.assert_allclose(filled.voxels[:, :, 2], between)
    np.testing.assert_array_equal(filled.voxels[:, :, 3:], whole.voxels[:, :, 3:])
    assert filled.headers == ()
    assert any("5 unevenly spaced slices were resampled to 6" in t
               for t in filled.provenance.warnings)  # fmt: skip


def test_a_whole_series_is_not_resampled_though_gaps_are_allowed(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan")

    allowed = read_dicom(folder, ReadOptions(allow_gaps=True))

    np.testing.assert_array_equal(allowed.voxels, read_dicom(folder).voxels)
    assert len(allowed.headers) == 4


def test_rounded_positions_are_no_gap(dicom_series, tmp_path):
    series = dicom_series("oblique", shape=(8, 6, 5), distance=3.3)
    for dataset in series.files:
        dataset.ImagePositionPatient = [f"{v:.3f}" for v in dataset.ImagePositionPatient]

    volume = read_dicom(series.save(tmp_path / "scan"))

    assert volume.geometry.spacing[2] == pytest.approx(3.3, abs=1e-3)


def test_a_file_that_is_there_twice_is_named_as_such(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan", names=["a", "b", "c", "d"])
    (folder / "copy of b").write_bytes((folder / "b").read_bytes())

    with pytest.raises(InputError, match="the same file is there twice"):
        read_dicom(folder)


def test_localizers_across_the_stack_are_left_out_and_counted(dicom_series, tmp_path):
    series, localizer = dicom_series(), dicom_series("sagittal", shape=(1, 9, 9))
    localizer.files[0].SeriesInstanceUID = series.series
    folder = series.save(tmp_path / "scan")
    localizer.save(folder, names=["localizer"])

    volume = read_dicom(folder)

    assert volume.geometry.shape == (5, 6, 4)
    assert "1 localizer image left out" in volume.provenance.warnings


def test_three_planes_without_a_majority_are_refused(dicom_series, tmp_path):
    series = [dicom_series(name, shape=(2, 6, 5)) for name in ("axial", "sagittal", "coronal")]
    for index, planes in enumerate(series):
        for dataset in planes.files:
            dataset.SeriesInstanceUID = series[0].series
        planes.save(tmp_path / "scan", names=[f"{index}-0", f"{index}-1"])

    with pytest.raises(InputError, match="several orientations"):
        read_dicom(tmp_path / "scan")


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]
)
def test_an_image_that_does_not_say_where_it_lies_is_refused(dicom_series, tmp_path, keyword):
    series = dicom_series()
    delattr(series.files[1], keyword)

    with pytest.raises(InputError, match=f"no usable {keyword}"):
        read_dicom(series.save(tmp_path / "scan"))


@pytest.mark.parametrize("spacing", [["0", "1"], ["-1", "1"]])
def test_a_pixel_spacing_that_is_not_positive_is_refused(dicom_series, tmp_path, spacing):
    series = dicom_series()
    series.files[1].PixelSpacing = spacing

    with pytest.raises(InputError, match="not positive"):
        read_dicom(series.save(tmp_path / "scan"))


def test_directions_that_are_not_at_right_angles_are_refused(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.ImageOrientationPatient = ["1", "0", "0", "0.1", "0.995", "0"]

    with pytest.raises(InputError, match="right angles"):
        read_dicom(series.save(tmp_path / "scan"))


@pytest.mark.parametrize("tilt_mm", [0.2, 5.0])
def test_a_tilted_stack_is_refused(dicom_series, tmp_path, tilt_mm):
    series = dicom_series()
    for index, dataset in enumerate(series.files):
        x, y, z = (float(value) for value in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [str(x), str(y + tilt_mm * index), str(z)]

    with pytest.raises(InputError, match="shifted against each other"):
        read_dicom(series.save(tmp_path / "scan"))


def test_one_slice_that_drifts_in_its_plane_is_refused(dicom_series, tmp_path):
    series = dicom_series()
    x, y, z = (float(value) for value in series.files[1].ImagePositionPatient)
    series.files[1].ImagePositionPatient = [str(x + 1), str(y), str(z)]

    with pytest.raises(InputError, match=r"shifted.*1\.00 mm"):
        read_dicom(series.save(tmp_path / "scan"))


def test_images_of_two_sizes_are_refused(dicom_series, tmp_path):
    series = dicom_series()
    series.set_pixels(series.files[1], np.ones((4, 4), np.int16))

    with pytest.raises(InputError, match=r"differ in size.*4 x 4, 6 x 5"):
        read_dicom(series.save(tmp_path / "scan"))


def test_images_of_two_pixel_spacings_are_refused(dicom_series, tmp_path):
    series = dicom_series()
    series.files[1].PixelSpacing = ["1.5", "0.8"]

    with pytest.raises(InputError, match="differ in pixel spacing"):
        read_dicom(series.save(tmp_path / "scan"))


def test_colour_and_inverted_images_are_refused_naming_the_kind(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.PhotometricInterpretation = "MONOCHROME1"

    with pytest.raises(InputError, match="MONOCHROME1"):
        read_dicom(series.save(tmp_path / "scan"))


def test_patients_without_a_number_are_told_apart_by_their_names(dicom_series, tmp_path):
    series = dicom_series()
    for index, dataset in enumerate(series.files):
        dataset.PatientID, dataset.PatientName = "", "Secret^A" if index else "Secret^B"

    with pytest.raises(InputError, match="several patients"):
        read_dicom(series.save(tmp_path / "scan"))


def test_an_image_that_names_nobody_belongs_to_the_others(dicom_series, tmp_path):
    series = dicom_series()
    series.files[1].PatientID = series.files[1].PatientName = ""

    assert read_dicom(series.save(tmp_path / "scan")).geometry.shape == (5, 6, 4)


def test_a_mosaic_is_refused(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]

    with pytest.raises(InputError, match="a mosaic: many slices in one picture"):
        read_dicom(series.save(tmp_path / "scan"))


def test_steps_that_drift_apart_little_by_little_are_refused(dicom_series, tmp_path):
    series = dicom_series(shape=(100, 6, 5))
    height = 0.0
    for index, dataset in enumerate(series.files):
        dataset.ImagePositionPatient = [-20, 35.5, round(height, 3)]
        # Every step is within 2 % of the usual one, and the middle is 2.5 mm off.
        height += 3.055 if index < 45 else 3.0 if index < 54 else 2.945

    with pytest.raises(InputError, match=r"slices lie up to 2\.\d\d mm from even places"):
        read_dicom(series.save(tmp_path / "scan"))


def test_a_slice_shifted_by_less_than_its_neighbours_lean_is_refused(dicom_series, tmp_path):
    series = dicom_series(shape=(100, 6, 5))
    x, y, z = series.files[50].ImagePositionPatient
    series.files[50].ImagePositionPatient = [x + 0.2, y, z]

    with pytest.raises(InputError, match=r"gantry tilt or drift.*by up to 0\.20 mm"):
        read_dicom(series.save(tmp_path / "scan"))


@pytest.mark.parametrize(("count", "turn"), [(1, 0.002), (2, 0.01)])
def test_slices_that_are_slightly_turned_are_no_localizers(dicom_series, tmp_path, count, turn):
    series = dicom_series(shape=(12, 6, 5))
    for dataset in series.files[-count:]:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, np.cos(turn), np.sin(turn)]

    with pytest.raises(InputError, match=rf"turned against each other \({count} of 12 by up to 0"):
        read_dicom(series.save(tmp_path / "scan"))


def test_a_second_stack_across_the_first_is_no_localizer(dicom_series, tmp_path):
    series = dicom_series(shape=(9, 6, 5))
    across = dicom_series("sagittal", shape=(5, 6, 5))
    for dataset in across.files:
        dataset.SeriesInstanceUID = series.series
    series.files += across.files

    with pytest.raises(InputError, match="2 orientations of 9, 5 images"):
        read_dicom(series.save(tmp_path / "scan"))


@pytest.mark.parametrize("missing", [4, 200])
def test_a_wide_gap_is_not_filled_even_on_request(dicom_series, tmp_path, missing):
    series = dicom_series(shape=(8, 6, 5))
    for dataset in series.files[4:]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, z + 3 * missing]

    with pytest.raises(InputError, match="a gap is too wide to be filled"):
        read_dicom(series.save(tmp_path / "scan"), ReadOptions(allow_gaps=True))


def told(dicom_series, folder, change):
    """The warnings on a series whose images are changed; under `--strict` they must refuse it."""
    series = dicom_series()
    for index, dataset in enumerate(series.files):
        change(dataset, index)
    series.save(folder)
    warnings = " ".join(read_dicom(folder).provenance.warnings)
    if warnings:
        with pytest.raises(InputError):
            read_dicom(folder, ReadOptions(strict=True))
    return warnings


@pytest.mark.parametrize("image_type", ["P", "PHASE", "ADC", "M"])
def test_what_is_no_magnitude_image_is_told(dicom_series, tmp_path, image_type):
    def change(dataset, index):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", image_type, "ND"]

    expected = f"the image is of type {image_type}" if image_type != "M" else ""
    assert expected in told(dicom_series, tmp_path / "scan", change)
    assert bool(expected) == bool(told(dicom_series, tmp_path / "scan", change))


def test_several_frames_of_reference_are_told(dicom_series, tmp_path):
    def change(dataset, index):
        dataset.FrameOfReferenceUID = f"1.2.{index // 2}"

    assert "several frames of reference" in told(dicom_series, tmp_path / "scan", change)


@pytest.mark.parametrize(
    ("stated", "thickness", "odd"), [("1.5", "1.5", True), ("3", "3", False), ("1", "2", False)]
)
def test_every_second_slice_missing_shows_in_the_header(
    dicom_series, tmp_path, stated, thickness, odd
):
    def change(dataset, index):
        dataset.SpacingBetweenSlices, dataset.SliceThickness = stated, thickness

    assert ("slices may be missing" in told(dicom_series, tmp_path / "scan", change)) == odd


@pytest.mark.parametrize("decimals", [3, 4])
def test_rounded_directions_are_made_right_angled(dicom_series, tmp_path, decimals):
    series = dicom_series("oblique")
    exact = read_dicom(series.save(tmp_path / "exact")).geometry
    turn = np.linalg.qr(np.array([[0.6, 0.64, 0.48], [0.8, -0.48, -0.36], [0.0, 0.6, -0.8]]))[0]
    for index, dataset in enumerate(series.files):
        cosines = series.cosines @ turn.T
        place = turn @ series.place(index, 0, 0)
        dataset.ImageOrientationPatient = [f"{value:.{decimals}f}" for value in cosines.ravel()]
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in place]

    affine = read_dicom(series.save(tmp_path / "scan")).geometry.affine

    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    assert np.abs(directions[:, :2].T @ directions[:, :2] - np.eye(2)).max() < 2e-4
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), exact.spacing, rtol=1e-3)


@pytest.mark.parametrize("factor", [2, 0, 1.01])
def test_directions_of_another_length_are_refused(dicom_series, tmp_path, factor):
    series = dicom_series()
    for dataset in series.files:
        dataset.ImageOrientationPatient = [factor, 0, 0, 0, factor, 0]

    with pytest.raises(InputError, match="not unit vectors at right angles"):
        read_dicom(series.save(tmp_path / "scan"))
