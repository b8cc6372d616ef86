import dataclasses
import shutil
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK
from pydicom.uid import generate_uid

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes import dicom_write
from omnisyn.volumes.atomic import atomic_directory
from omnisyn.volumes.dicom import list_stacks, read_dicom, read_stack
from omnisyn.volumes.dicom_anonymize import Pseudonyms
from omnisyn.volumes.dicom_frames import Frame
from omnisyn.volumes.dicom_write import DerivedSeries, write_dicom_series
from tests.dicom_series import ORIENTATIONS
from tests.volumes.places import corners_of_simpleitk

SHARED = Path(__file__).parents[3] / "shared/data/dicom"
REAL = [
    "dicom2nifti/ge/anatomical/001", "dicom2nifti/ge/anatomical/001_single_slice",
    "dicom2nifti/generic/anatomical/001", "dicom2nifti/generic/compressed_jpegls/001",
    "dicom2nifti/hitachi/anatomical/001", "dicom2nifti/philips_enhanced/anatomical/001",
    "dicom2nifti/siemens_multiframe/anatomical/001", "dcm_qa_enh/In/Philips",
]  # fmt: skip
T2 = DerivedSeries("T2", ("T1",), "small", "ab" * 32, simulated=False)
STEP = 1 / dicom_write.TOP_VALUE


@pytest.fixture
def source(dicom_series, tmp_path):
    """Reads a series of (4, 16, 20) pixels in an orientation, with private tags."""

    def make(orientation="axial", change=lambda dataset: None):
        series = dicom_series(orientation, shape=(4, 16, 20))
        for dataset in series.files:
            dataset.PatientBirthDate, dataset.AccessionNumber = "19600229", "acc-secret"
            dataset.StudyDate, dataset.StudyID = "20200101", "st-secret"
            dataset.InstitutionName, dataset.OperatorsName = "Secret hospital", "Secret^Operator"
            block = dataset.private_block(0x0029, "SECRET PRIVATE", create=True)
            block.add_new(0x01, "LO", "secret private value")
            change(dataset)
        return read_dicom(series.save(tmp_path / f"source-{orientation}"))

    return make


def synthetic(volume, seed=3):
    """Values in [0, 1] on the volume's grid, with one bright marker off every symmetry."""
    values = np.random.default_rng(seed).uniform(0, 0.6, volume.geometry.shape)
    values[1, 2, -1] = 1.0
    return np.asfortranarray(values, dtype=np.float32)


def put(folder, *what, overwrite=False, **options):
    """Write a series as `synthesize` does: into its place when it is whole."""
    with atomic_directory(folder, overwrite=overwrite) as partial:
        write_dicom_series(partial, *what, **options)


def written(folder, volume, series=T2, **options):
    put(folder, synthetic(volume), volume.geometry, volume.headers, series, **options)
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_our_own_reader_pydicom_and_simpleitk_find_place_and_values(source, tmp_path, orientation):
    volume = source(orientation)
    images = written(tmp_path / "out", volume)
    values = synthetic(volume)

    ours = read_dicom(tmp_path / "out")
    assert ours.geometry.matches(volume.geometry)
    np.testing.assert_allclose(ours.voxels, values, atol=0.5 * STEP + 1e-6)

    for index, (image, header) in enumerate(zip(images, volume.headers, strict=True)):
        assert image.ImagePositionPatient == header.classic.ImagePositionPatient
        assert image.ImageOrientationPatient == header.classic.ImageOrientationPatient
        pixels = image.pixel_array * float(image.RescaleSlope)
        np.testing.assert_allclose(pixels.T, values[:, :, index], atol=0.5 * STEP + 1e-6)

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    theirs = reader.Execute()
    np.testing.assert_allclose(corners_of_simpleitk(theirs), volume.geometry.corners(), atol=1e-3)
    np.testing.assert_allclose(
        SimpleITK.GetArrayFromImage(theirs).T, values, atol=0.5 * STEP + 1e-6
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_dcm2niix_finds_place_values_and_marker(source, tmp_path, orientation):
    import dcm2niix

    volume = source(orientation)
    written(tmp_path / "out", volume)
    values = synthetic(volume)

    subprocess.run(
        [dcm2niix.bin, "-f", "x", "-o", str(tmp_path), str(tmp_path / "out")],
        check=True,
        capture_output=True,
    )
    image = nibabel.load(tmp_path / "x.nii")
    theirs = Geometry(image.shape, image.affine)

    # dcm2niix turns the rows around: the corners are the same, in another order.
    apart = theirs.corners()[:, None] - volume.geometry.corners()
    assert np.linalg.norm(apart, axis=2).min(axis=1).max() < 2e-3
    np.testing.assert_allclose(
        theirs.to_slices(image.get_fdata()),
        volume.geometry.to_slices(values),
        atol=0.5 * STEP + 1e-6,
    )
    marker = np.unravel_index(np.argmax(image.get_fdata()), image.shape)
    place = image.affine @ [*marker, 1]
    index = (1, 2, volume.geometry.shape[2] - 1)
    np.testing.assert_allclose(place[:3], (volume.geometry.affine @ [*index, 1])[:3], atol=1e-3)


def test_patient_study_and_frame_of_reference_stay_and_series_and_images_are_new(source, tmp_path):
    volume = source()
    original = volume.headers[0].classic
    images = written(tmp_path / "out", volume)

    for image in images:
        for keyword in (
            "PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate",
            "StudyID", "AccessionNumber", "FrameOfReferenceUID", "PixelSpacing",
        ):  # fmt: skip
            assert image[keyword].value == original[keyword].value, keyword
        assert image.SeriesInstanceUID != original.SeriesInstanceUID
        assert image.SeriesNumber == 703
    assert len({image.SeriesInstanceUID for image in images}) == 1
    uids = {image.SOPInstanceUID for image in images}
    assert len(uids) == 4
    assert not uids & {header.classic.SOPInstanceUID for header in volume.headers}


def test_every_image_says_what_it_is(source, tmp_path):
    for image in written(tmp_path / "out", source()):
        assert list(image.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert image.SeriesDescription == "SYNTHETIC T2 from T1 (omnisyn)"
        assert "SYNTHETIC T2" in image.DerivationDescription
        assert "small (SHA-256 abab" in image.DerivationDescription
        assert image.ContentQualification == "RESEARCH"
        assert image.Modality == "MR"
        assert "SIMULATED" not in str(image)


def test_a_simulated_patient_is_called_simulated(source, tmp_path):
    series = DerivedSeries("T1c", ("T1", "T2"), "small", "0" * 64, simulated=True)
    image = written(tmp_path / "out", source(), series)[0]

    assert image.SeriesDescription == "SYNTHETIC SIMULATED T1c from T1+T2 (omnisyn)"
    assert "SIMULATED patient" in image.DerivationDescription
    facts = read_dicom(tmp_path / "out").provenance.acquisition
    assert facts["Synthetic"] is facts["Simulated"] is True


def test_every_image_refers_to_its_own_source_and_the_nearest_of_the_others(
    source, dicom_series, tmp_path
):
    volume = source()
    # Two millimetres higher and in another order: the nearest is not the one of the same number.
    other = dicom_series(shape=(6, 16, 20), distance=2.0)
    headers = read_dicom(other.save(tmp_path / "other")).headers
    images = written(tmp_path / "out", volume, others=[headers])

    heights = np.array([header.classic.ImagePositionPatient[2] for header in headers], float)
    for image, header in zip(images, volume.headers, strict=True):
        own, second = image.SourceImageSequence
        assert own.ReferencedSOPInstanceUID == header.classic.SOPInstanceUID
        nearest = np.abs(heights - float(image.ImagePositionPatient[2])).min()
        found = next(
            h for h in headers if h.classic.SOPInstanceUID == second.ReferencedSOPInstanceUID
        )
        distance = abs(
            float(found.classic.ImagePositionPatient[2]) - float(image.ImagePositionPatient[2])
        )
        assert distance == nearest
        assert len(image.ReferencedSeriesSequence) == 2


def test_private_tags_and_what_was_not_asked_for_stay_behind(source, tmp_path):
    written(tmp_path / "out", source())

    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        for secret in (b"secret private value", b"SECRET PRIVATE", b"Operator", b"hospital"):
            assert secret not in content
        assert not any(element.tag.is_private for element in pydicom.dcmread(path))


def test_with_pseudonyms_nothing_of_the_patient_is_left(source, tmp_path):
    volume = source()
    original = volume.headers[0].classic
    secrets = [
        *("secret-id", "Secret", "19600229", "acc-secret", "st-secret", "20200101"),
        *(str(original.StudyInstanceUID), str(original.FrameOfReferenceUID)),
        *(str(header.classic.SOPInstanceUID) for header in volume.headers),
        str(original.SeriesInstanceUID),
    ]

    images = written(tmp_path / "out", volume, pseudonyms=Pseudonyms())

    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in content] == []
    image = images[0]
    assert image.PatientIdentityRemoved == "YES"
    assert image.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert str(image.PatientName).startswith("ANONYMOUS-")
    assert image.PatientBirthDate == image.StudyDate == image.ContentDate == ""
    assert len({str(each.StudyInstanceUID) for each in images}) == 1


def test_series_of_one_call_stay_together_under_their_pseudonyms(source, tmp_path):
    volume, pseudonyms = source(), Pseudonyms()
    first = written(tmp_path / "a", volume, pseudonyms=pseudonyms)[0]
    second = written(tmp_path / "b", volume, pseudonyms=pseudonyms)[0]
    apart = written(tmp_path / "c", volume, pseudonyms=Pseudonyms())[0]

    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[keyword].value == second[keyword].value != apart[keyword].value
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_a_scale_other_than_one_is_kept_by_the_slope(source, tmp_path):
    volume = source()
    values = synthetic(volume) * np.float32(1234.5)

    put(tmp_path / "out", values, volume.geometry, volume.headers, T2, scale=1234.5)

    np.testing.assert_allclose(
        read_dicom(tmp_path / "out").voxels, values, atol=0.5 * 1234.5 * STEP + 1e-3
    )


def test_a_source_without_a_frame_of_reference_gets_one(source, tmp_path):
    volume = source(change=lambda dataset: delattr(dataset, "FrameOfReferenceUID"))

    uids = {image.FrameOfReferenceUID for image in written(tmp_path / "out", volume)}

    assert len(uids) == 1
    assert uids.pop()


def test_headers_of_another_place_are_refused_and_nothing_is_written(source, tmp_path):
    volume = source()
    with pytest.raises(ValueError, match="does not lie where its header says"):
        put(tmp_path / "out", synthetic(volume), volume.geometry, volume.headers[::-1], T2)
    with pytest.raises(ValueError, match="3 headers for 4 slices"):
        put(tmp_path / "out", synthetic(volume), volume.geometry, volume.headers[:3], T2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, 9.0])
def test_values_that_cannot_be_stored_are_refused(source, tmp_path, value):
    volume = source()
    values = synthetic(volume)
    values[0, 0, 0] = value

    with pytest.raises(ValueError, match=r"finite values from 0 on|above what int16"):
        put(tmp_path / "out", values, volume.geometry, volume.headers, T2)


def test_an_existing_series_is_replaced_only_on_request(source, tmp_path):
    volume = source()
    before = written(tmp_path / "out", volume)[0].SeriesInstanceUID

    with pytest.raises(InputError, match="exists already"):
        written(tmp_path / "out", volume)
    assert pydicom.dcmread(tmp_path / "out/0001.dcm").SeriesInstanceUID == before
    after = written(tmp_path / "out", volume, overwrite=True)[0].SeriesInstanceUID
    assert after != before


def test_a_fault_in_mid_series_leaves_nothing(source, tmp_path, monkeypatch):
    volume = source()
    write = dicom_write.write_bytes_atomic

    def third_fails(path, content):
        if path.name == "0003.dcm":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(dicom_write, "write_bytes_atomic", third_fails)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space"):
        written(tmp_path / "out", volume)
    assert sorted(tmp_path.iterdir()) == before


def test_a_long_series_is_written_and_read_back_in_order(dicom_series, tmp_path):
    series = dicom_series(shape=(300, 8, 8))
    names = [f"{(7 * index) % 300:03d}" for index in range(300)]
    volume = read_dicom(series.save(tmp_path / "source", names=names))
    written(tmp_path / "out", volume)

    np.testing.assert_allclose(
        read_dicom(tmp_path / "out").voxels, synthetic(volume), atol=0.5 * STEP + 1e-6
    )


def faults(folder):
    """The error lines of dciodvfy over the files of a folder, counted."""
    lines = Counter()
    for path in sorted(folder.iterdir()):
        told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        text = told.stderr + told.stdout
        assert "MRImage" in text, text
        lines.update(line for line in text.splitlines() if line.startswith("Error"))
    return lines


needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed"
)


@needs_dciodvfy
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("pseudonyms", [None, Pseudonyms()], ids=["patient", "anonymous"])
def test_dciodvfy_finds_no_error(source, tmp_path, orientation, pseudonyms):
    written(tmp_path / "out", source(orientation), pseudonyms=pseudonyms)

    assert faults(tmp_path / "out") == {}


@needs_dciodvfy
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared DICOM series are not here")
@pytest.mark.parametrize("name", REAL)
def test_dciodvfy_finds_no_error_in_series_built_on_real_ones(name, tmp_path):
    stack = list_stacks(SHARED / name)[-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        volume = read_stack(stack, "real")
        written(tmp_path / "out", volume)

    assert faults(tmp_path / "out") == {}
    assert read_dicom(tmp_path / "out").geometry.matches(volume.geometry)


def test_a_frame_of_an_enhanced_file_is_referred_to_by_its_number(source, tmp_path):
    volume = source()
    uid = generate_uid()
    headers = []
    for number, header in enumerate(volume.headers, start=1):
        headers.append(Frame(header.file, number, header.groups))
        headers[-1].classic.SOPInstanceUID = uid

    put(tmp_path / "out", synthetic(volume), volume.geometry, headers, T2)

    for number, path in enumerate(sorted((tmp_path / "out").iterdir()), start=1):
        reference = pydicom.dcmread(path).SourceImageSequence[0]
        assert reference.ReferencedFrameNumber == number
        assert reference.ReferencedSOPInstanceUID == uid


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
)
@pytest.mark.parametrize("change", ["absent", "empty", "of another kind"])
def test_a_source_that_cannot_be_referred_to_is_refused(source, tmp_path, keyword, change):
    def spoil(dataset):
        if change == "empty":
            setattr(dataset, keyword, "")
            return
        delattr(dataset, keyword)
        if change == "of another kind":
            dataset.add_new(keyword, "SQ", [pydicom.Dataset()])

    volume = source()
    for header in volume.headers:
        spoil(header.file.dataset)

    with pytest.raises(InputError, match=f"it has no {keyword}"):
        written(tmp_path / "out", volume)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "FrameOfReferenceUID"])
def test_elements_of_another_kind_than_the_standards_stay_behind(source, tmp_path, keyword):
    volume = source()
    for header in volume.headers:
        delattr(header.file.dataset, keyword)
        header.file.dataset.add_new(keyword, "SQ", [pydicom.Dataset()])

    for pseudonyms in (None, Pseudonyms()):
        image = written(tmp_path / "out", volume, pseudonyms=pseudonyms, overwrite=True)[0]
        assert image[keyword].VR in ("PN", "LO", "UI")
        assert bool(image.get(keyword)) == (pseudonyms is not None or keyword[0] == "F")


def test_values_that_bend_the_standard_are_shown_to_nobody(source, tmp_path, recwarn):
    volume = source(change=lambda dataset: setattr(dataset, "StudyID", "st-secret"))
    for header in volume.headers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.file.dataset.StudyInstanceUID = "secretstudy"

    written(tmp_path / "out", volume)

    assert [str(told.message) for told in recwarn] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared DICOM series are not here")
def test_an_image_made_from_a_lossy_one_says_so(tmp_path):
    volume = read_dicom(SHARED / "dicom2nifti/generic/compressed_jpeg/001")
    syntax = volume.headers[0].file.transfer_syntax

    written(tmp_path / "out", volume)

    lossy = syntax in dicom_write._LOSSY_SYNTAXES
    assert pydicom.dcmread(tmp_path / "out/0001.dcm").LossyImageCompression == f"0{int(lossy)}"


def test_the_flag_of_a_lossy_source_is_kept(source, tmp_path):
    volume = source(change=lambda dataset: setattr(dataset, "LossyImageCompression", "01"))

    assert {image.LossyImageCompression for image in written(tmp_path / "out", volume)} == {"01"}


def test_what_people_write_words_into_goes_with_the_patient(source, tmp_path):
    def name(dataset):
        dataset.BodyPartExamined, dataset.PositionReferenceIndicator = "SMITHHEAD", "SMITHPRI"

    written(tmp_path / "out", source(change=name), pseudonyms=Pseudonyms())

    for path in (tmp_path / "out").iterdir():
        assert b"SMITH" not in path.read_bytes()


def test_a_series_says_what_was_asked_for() -> None:
    asked = "TE 90 ms, fat suppressed"
    series = DerivedSeries("T2", ("T1",), "small", "0" * 64, simulated=False, asked=asked)
    assert series.description == f"SYNTHETIC T2 from T1 (omnisyn): {asked}"
    assert f"SYNTHETIC T2, not acquired (asked for: {asked}): made from T1" in series.derivation
    long = dataclasses.replace(series, asked="dark fluid " * 18)
    assert len(long.description) <= 64
    assert "For research only" in long.derivation[:1024]
    assert "asked" not in T2.derivation
