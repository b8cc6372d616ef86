from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from omnisyn.errors import InputError
from omnisyn.volumes.dicom import read_dicom

REFERENCES = Path(__file__).parents[3] / "shared/data/dicom/dicom2nifti"
READABLE = [
    "ge/anatomical/001", "ge/anatomical/001_implicit", "ge/anatomical/001_single_slice",
    "generic/anatomical/001", "generic/anatomical/001_implicit",
    "generic/anatomical/002_non_isotropic", "generic/compressed/001", "generic/compressed_j2k/001",
    "generic/compressed_jpeg/001", "generic/compressed_jpegls/001", "generic/compressed_rle/001",
    "hitachi/anatomical/001", "hitachi/anatomical/001_implicit",
]  # fmt: skip
REFUSED = {
    "ge/dti/001": "at the place of another",
    "ge/fmri/001": "at the place of another",
    "generic/rgb/001": "not a grey MR image",
    "philips_enhanced/anatomical/001": "multi-frame",
    "siemens_multiframe/anatomical/001": "multi-frame",
}
needs_references = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason="the shared DICOM series are not here"
)

ORIENTATIONS = ("axial", "sagittal", "coronal", "oblique")
LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])


def world(geometry, index):
    return geometry.affine[:3, :3] @ index + geometry.affine[:3, 3]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_pixel_lies_where_the_headers_say(dicom_series, tmp_path, orientation):
    series = dicom_series(orientation)

    volume = read_dicom(series.save(tmp_path / "scan"))

    for slice_index, row, column in np.ndindex(series.pixels.shape):
        value = series.pixels[slice_index, row, column]
        (found,) = np.argwhere(volume.voxels == value)
        np.testing.assert_allclose(
            world(volume.geometry, found),
            LPS_TO_RAS * series.place(slice_index, row, column),
            atol=1e-6,
        )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_marker_at_the_patients_left_stays_left_on_the_model_grid(
    dicom_series, tmp_path, orientation
):
    series = dicom_series(orientation, shape=(4, 6, 5))
    corners = [
        (s, r, c) for s in (0, 3) for r in (0, 5) for c in (0, 4)
    ]  # fmt: skip
    leftmost = max(corners, key=lambda corner: series.place(*corner)[0])
    series.pixels[:] = 10
    series.pixels[leftmost] = 900
    for dataset, pixels in zip(series.files, series.pixels, strict=True):
        series.set_pixels(dataset, pixels)

    slices = read_dicom(series.save(tmp_path / "scan")).slices()

    *_, column = np.unravel_index(np.argmax(slices), slices.shape)
    assert column == slices.shape[2] - 1


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_geometry_and_voxels_agree_with_simpleitk(dicom_series, tmp_path, orientation):
    folder = dicom_series(orientation).save(tmp_path / "scan")
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()

    ours = read_dicom(folder)

    assert theirs.GetSize() == ours.geometry.shape
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(theirs).T, ours.voxels)
    last = np.array(ours.geometry.shape) - 1
    for corner in np.ndindex(2, 2, 2):
        index = np.array(corner) * last
        point = LPS_TO_RAS * theirs.TransformIndexToPhysicalPoint([int(i) for i in index])
        np.testing.assert_allclose(world(ours.geometry, index), point, atol=1e-4)


@needs_references
@pytest.mark.parametrize("name", READABLE)
def test_a_real_series_has_the_geometry_and_values_of_its_reference(name):
    volume = read_dicom(REFERENCES / name)
    ours = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume.voxels, volume.geometry.affine))
    reference = nibabel.as_closest_canonical(
        nibabel.load(REFERENCES / f"{name}_ground_truth.nii.gz")
    )

    assert ours.shape == reference.shape
    np.testing.assert_allclose(ours.affine, reference.affine, atol=1e-4)
    np.testing.assert_allclose(ours.get_fdata(), reference.get_fdata(), rtol=1e-6, atol=1e-4)


@needs_references
@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_real_series_that_is_no_single_grey_volume_is_refused(name, reason):
    with pytest.raises(InputError, match=reason):
        read_dicom(REFERENCES / name)


def test_acquisition_facts_are_kept_and_patient_data_is_not(dicom_series, tmp_path):
    volume = read_dicom(dicom_series().save(tmp_path / "scan"))

    facts = volume.provenance.acquisition
    assert facts["RepetitionTime"] == 4500
    assert facts["EchoTime"] == 95.5
    assert facts["MagneticFieldStrength"] == 3
    assert facts["Manufacturer"] == "Maker"
    assert "ecret" not in repr(volume.provenance)
    assert str(tmp_path) not in repr(volume.provenance)
    assert volume.provenance.format == "dicom"


def test_a_field_in_gauss_becomes_tesla(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.MagneticFieldStrength = "15000"

    facts = read_dicom(series.save(tmp_path / "scan")).provenance.acquisition

    assert facts["MagneticFieldStrength"] == 1.5


def test_fat_suppression_is_told_by_the_scan_options(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.ScanOptions = ["PFP", "FS"]

    facts = read_dicom(series.save(tmp_path / "scan")).provenance.acquisition

    assert facts["FatSuppressed"] is True


def test_the_hash_does_not_depend_on_file_names_but_on_content(dicom_series, tmp_path):
    series = dicom_series()
    first = read_dicom(series.save(tmp_path / "a")).provenance.sha256
    renamed = read_dicom(series.save(tmp_path / "b", names=["d", "c", "b", "a"])).provenance.sha256
    series.set_pixels(series.files[0], series.pixels[1])
    changed = read_dicom(series.save(tmp_path / "c")).provenance.sha256

    assert first == renamed
    assert first != changed


@pytest.mark.parametrize("transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_encodings_read_the_same(dicom_series, tmp_path, transfer_syntax):
    plain = read_dicom(dicom_series().save(tmp_path / "plain"))

    other = read_dicom(dicom_series().save(tmp_path / "other", transfer_syntax=transfer_syntax))

    np.testing.assert_array_equal(other.voxels, plain.voxels)
    assert other.geometry == plain.geometry


def test_a_single_file_is_read_as_one_slice_with_a_warning(dicom_series, tmp_path):
    series = dicom_series()
    folder = series.save(tmp_path / "scan", names=["a", "b", "c", "d"])

    volume = read_dicom(folder / "b")

    assert volume.geometry.shape == (5, 6, 1)
    assert volume.geometry.spacing == pytest.approx((0.75, 1.5, 3.0))
    np.testing.assert_array_equal(volume.voxels[:, :, 0], series.pixels[1].T)
    assert any("only 1 slice" in warning for warning in volume.provenance.warnings)


def test_a_single_slice_without_a_thickness_is_taken_as_one_millimetre_with_a_warning(
    dicom_series, tmp_path
):
    series = dicom_series(shape=(1, 6, 5))
    del series.files[0].SliceThickness

    volume = read_dicom(series.save(tmp_path / "scan"))

    assert volume.geometry.spacing[2] == 1.0
    assert any("1 mm is assumed" in warning for warning in volume.provenance.warnings)


def test_a_series_of_another_modality_is_read_with_a_warning(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.Modality = "OT"

    warnings = read_dicom(series.save(tmp_path / "scan")).provenance.warnings

    assert "the modality is OT, not MR" in warnings


def test_files_that_hold_no_image_are_skipped_with_a_count(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan")
    (folder / "README.txt").write_text("scanned on a Monday")
    (folder / "._IM003").write_bytes(b"\0\5\x16\7" + b"\0" * 200)
    (folder / "DICOMDIR").write_text("not really one")

    volume = read_dicom(folder)

    assert volume.geometry.shape == (5, 6, 4)
    assert "3 files skipped that hold no image" in volume.provenance.warnings


def test_a_series_without_signal_is_refused(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        series.set_pixels(dataset, np.zeros((6, 5), np.int16))

    with pytest.raises(InputError, match="no signal"):
        read_dicom(series.save(tmp_path / "scan"))
