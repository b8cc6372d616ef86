from pathlib import Path

import nibabel
import numpy as np
import pydicom.data
import pytest
import SimpleITK
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from omnisyn.errors import InputError
from omnisyn.volumes.dicom import list_stacks, read_dicom, read_stack
from omnisyn.volumes.options import ReadOptions
from tests.dicom_series import ORIENTATIONS
from tests.volumes.places import LPS_TO_RAS, world

REFERENCES = Path(__file__).parents[3] / "shared/data/dicom/dicom2nifti"
READABLE = [
    "ge/anatomical/001",
    "ge/anatomical/001_implicit",
    "ge/anatomical/001_single_slice",
    "generic/anatomical/001",
    "generic/anatomical/001_implicit",
    "generic/anatomical/002_non_isotropic",
    "generic/compressed/001",
    "generic/compressed_j2k/001",
    "generic/compressed_jpeg/001",
    "generic/compressed_jpegls/001",
    "generic/compressed_rle/001",
    "hitachi/anatomical/001",
    "hitachi/anatomical/001_implicit",
    "philips_enhanced/anatomical/001",
    "philips_enhanced/anatomical/001_implicit",
    "siemens_multiframe/anatomical/001",
]
# Several volumes of one place: how many, and what tells them apart.
REPEATED = {
    "ge/dti/001": (2, "repeat 2 of 2"),
    "ge/dti/001_implicit": (2, "repeat 2 of 2"),
    "ge/dti/002": (4, "repeat 4 of 4"),
    "ge/fmri/001": (2, "repeat 2 of 2"),
    "ge/fmri/001_implicit": (2, "repeat 2 of 2"),
    "philips_enhanced/fmri/001": (4, "TemporalPositionIdentifier 4"),
    "philips_enhanced/fmri/001_implicit": (4, "TemporalPositionIdentifier 4"),
}  # fmt: skip
needs_references = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason="the shared DICOM series are not here"
)


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
    loaded = nibabel.load(REFERENCES / f"{name}_ground_truth.nii.gz")
    reference = nibabel.as_closest_canonical(nibabel.squeeze_image(loaded))

    assert ours.shape == reference.shape
    np.testing.assert_allclose(ours.affine, reference.affine, atol=1e-4)
    np.testing.assert_allclose(ours.get_fdata(), reference.get_fdata(), rtol=1e-6, atol=3e-4)


@needs_references
@pytest.mark.parametrize(("name", "expected"), REPEATED.items())
def test_real_repeats_are_split_into_the_volumes_of_their_reference(name, expected):
    count, last = expected
    reference = nibabel.as_closest_canonical(
        nibabel.load(REFERENCES / f"{name}_ground_truth.nii.gz")
    )

    with pytest.raises(InputError, match=f"one series of {count} stacks"):
        read_dicom(REFERENCES / name)
    stacks = list_stacks(REFERENCES / name)

    assert last in stacks[-1].told_apart
    assert reference.shape[3] == len(stacks) == count
    for stack, truth in zip(stacks, np.moveaxis(reference.get_fdata(), 3, 0), strict=True):
        volume = read_dicom(REFERENCES / name, ReadOptions(series=stack.selector))
        ours = nibabel.as_closest_canonical(
            nibabel.Nifti1Image(volume.voxels, volume.geometry.affine)
        )
        np.testing.assert_allclose(ours.affine, reference.affine, atol=1e-4)
        np.testing.assert_allclose(ours.get_fdata(), truth, rtol=1e-6, atol=1e-4)


@needs_references
@pytest.mark.parametrize("name", ["001", "001_implicit"])
def test_a_real_diffusion_file_is_split_by_its_weighting(name):
    # Three of the four volumes of its reference are zero: only the geometry can be compared.
    folder = REFERENCES / "philips_enhanced/dti" / name
    reference = nibabel.as_closest_canonical(nibabel.load(f"{folder}_ground_truth.nii.gz"))

    stacks = list_stacks(folder)

    assert len(stacks) == 4
    assert "DiffusionBValue 0" in stacks[0].told_apart
    assert all("DiffusionBValue 1300" in stack.told_apart for stack in stacks[1:])
    for stack in stacks:
        volume = read_stack(stack, "dti")
        ours = nibabel.as_closest_canonical(
            nibabel.Nifti1Image(volume.voxels, volume.geometry.affine)
        )
        assert ours.shape == reference.shape[:3]
        np.testing.assert_allclose(ours.affine, reference.affine, atol=1e-4)


@needs_references
def test_real_colour_pictures_are_refused():
    with pytest.raises(InputError, match="not a grey MR image"):
        read_dicom(REFERENCES / "generic/rgb/001")


@needs_references
@pytest.mark.parametrize(
    ("folder", "references"),
    [
        ("Philips", ["Philips_WIP_B0_NS_801_e2_fieldmaphz", "Philips_WIP_B0_NS_801_e1"]),
        ("Siemens/XA10", ["Siemens_REST1_w_SMS_PF7-8_6"]),
    ],
)
def test_enhanced_files_have_the_geometry_and_values_of_dcm2niix(folder, references):
    enhanced = REFERENCES.parent / "dcm_qa_enh"
    images = [
        nibabel.as_closest_canonical(nibabel.load(enhanced / "Ref" / f"{name}.nii"))
        for name in references
    ]
    truths = [
        (image.affine, volume)
        for image in images
        for volume in np.moveaxis(np.atleast_3d(image.get_fdata()).reshape(*image.shape[:3], -1),
                                  3, 0)
    ]  # fmt: skip

    stacks = list_stacks(enhanced / "In" / folder)

    assert len(stacks) == len(truths)
    for stack, (affine, truth) in zip(stacks, truths, strict=True):
        volume = read_stack(stack, folder)
        ours = nibabel.as_closest_canonical(
            nibabel.Nifti1Image(volume.voxels, volume.geometry.affine)
        )
        np.testing.assert_allclose(ours.affine, affine, atol=1e-3)
        # dcm2niix gives Philips images the maker's private gain and stores them in 16 bits.
        gain = truth.max() / ours.get_fdata().max()
        step = np.ptp(truth) / 65535
        np.testing.assert_allclose(gain * ours.get_fdata(), truth, rtol=1e-5, atol=step)


PYDICOM_MR = sorted(
    path for path in Path(pydicom.data.get_testdata_file("MR_small.dcm")).parent.glob("MR_small*")
)


@pytest.mark.parametrize("path", PYDICOM_MR, ids=lambda path: path.name)
def test_pydicoms_own_mr_files_read_alike_in_every_encoding(path):
    volume = read_dicom(path)
    plain = read_dicom(pydicom.data.get_testdata_file("MR_small.dcm"))

    assert len(PYDICOM_MR) >= 8
    assert volume.geometry == plain.geometry
    np.testing.assert_array_equal(volume.voxels, plain.voxels)


def test_pydicoms_truncated_mr_file_is_refused():
    with pytest.raises(InputError, match=r"MR_truncated\.dcm: the DICOM file is cut short"):
        read_dicom(pydicom.data.get_testdata_file("MR_truncated.dcm"))


def test_pydicoms_folders_of_real_exports_are_read_or_refused_for_what_they_are():
    folder = Path(pydicom.data.get_testdata_file("MR_small.dcm")).parent / "dicomdirtests/98892003"

    with pytest.raises(InputError, match=r"3 series.*1-1 FAST LOCALIZER"):
        read_dicom(folder / "MR1")
    assert read_dicom(folder / "MR1", ReadOptions(series="1-1")).geometry.shape == (16, 16, 1)
    with pytest.raises(InputError, match="3 orientations of 1, 1, 1 images"):
        read_dicom(folder / "MR2", ReadOptions(series="2-2"))
    with pytest.raises(InputError, match="7 orientations"):
        read_dicom(folder / "MR700")


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

    assert any("the modality is OT, not MR" in warning for warning in warnings)


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
