import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from omnisyn.errors import ResourceError
from omnisyn.geometry import Geometry
from omnisyn.simulate.anatomy.grid import rotation_matrix
from omnisyn.simulate.dicom_series import TOP_VALUE, SeriesHeader, image_uids, write_series
from omnisyn.volumes.inspection import inspect
from omnisyn.volumes.read import read_volume

SHAPE = (20, 16, 6)
HEADER = SeriesHeader(
    patient="007",
    study="first visit",
    number=3,
    description="SIMULATED Ax T2 FSE FS",
    facts={
        "RepetitionTime": 4000,
        "EchoTime": "95.5",
        "ScanningSequence": "SE",
        "ScanOptions": "FS",
        "Manufacturer": "GE",
        "ManufacturerModelName": "Signa (simulated)",
        "MagneticFieldStrength": "1.5",
        "SliceThickness": "3.9",
    },
)


def oblique() -> Geometry:
    affine = np.eye(4)
    turn = rotation_matrix((8.0, 3.0, -5.0)).double().numpy()
    affine[:3, :3] = turn * [-0.7123456789, -0.9, 4.37]
    affine[:3, 3] = [80.123456789, 71.3, -66.6]
    return Geometry(SHAPE, affine)


def voxels() -> np.ndarray:
    return (1000 * np.random.default_rng(0).random(SHAPE)).astype(np.float32)


def paths(folder: Path, count: int = SHAPE[2]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [folder / f"IM{index:04d}.dcm" for index in range(count)]


def test_whole_numbers_come_back_as_they_were(tmp_path):
    whole = np.rint(voxels())
    write_series(paths(tmp_path), whole, oblique(), HEADER)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, whole)
    assert np.abs(volume.geometry.affine - oblique().affine).max() < 1e-8
    assert "RescaleSlope" not in pydicom.dcmread(tmp_path / "IM0000.dcm")


def test_other_numbers_come_back_within_half_a_step(tmp_path):
    given = voxels() - 200
    write_series(paths(tmp_path), given, oblique(), HEADER)
    step = float(np.abs(given).max()) / TOP_VALUE
    assert np.abs(read_volume(tmp_path).voxels - given).max() < 0.501 * step


def test_nothing_at_all_can_be_written(tmp_path):
    write_series(paths(tmp_path), np.zeros(SHAPE, np.float32), oblique(), HEADER)
    assert pydicom.dcmread(tmp_path / "IM0000.dcm").pixel_array.max() == 0


def test_the_reader_knows_that_it_is_simulated_and_what_it_shows(tmp_path):
    write_series(paths(tmp_path), voxels(), oblique(), HEADER)
    facts = read_volume(tmp_path).provenance.acquisition
    assert facts["Simulated"] is True
    assert "Synthetic" not in facts
    assert facts["FatSuppressed"] is True
    assert (facts["RepetitionTime"], facts["EchoTime"]) == (4000.0, 95.5)
    assert (facts["MagneticFieldStrength"], facts["SliceThickness"]) == (1.5, 3.9)
    (entry,) = inspect(tmp_path)
    assert (entry.contrast, entry.warnings, entry.refusal) == ("T2", (), None)


def test_every_image_says_so_in_words(tmp_path):
    write_series(paths(tmp_path), voxels(), oblique(), HEADER)
    for number, path in enumerate(paths(tmp_path), start=1):
        image = pydicom.dcmread(path)
        assert image.InstanceNumber == number
        assert image.ImageType[-1] == "SIMULATED"
        assert "SIMULATED" in image.ImageComments
        assert image.PatientName == "SIMULATED^007"


def test_uids_follow_from_the_header_alone(tmp_path):
    changed = {
        "same": HEADER,
        "visit": replace(HEADER, study="second visit"),
        "patient": replace(HEADER, patient="008"),
        "number": replace(HEADER, number=4),
    }
    images = {}
    for name, header in {"first": HEADER, **changed}.items():
        write_series(paths(tmp_path / name), voxels(), oblique(), header)
        images[name] = pydicom.dcmread(tmp_path / name / "IM0000.dcm")
        assert images[name].SOPInstanceUID == image_uids(header, SHAPE[2])[0]
    first = images.pop("first")
    for keyword, same in (
        ("SOPInstanceUID", {"same"}),
        ("SeriesInstanceUID", {"same"}),
        ("StudyInstanceUID", {"same", "number"}),
        ("FrameOfReferenceUID", {"same", "number"}),
    ):
        alike = {name for name, image in images.items() if image[keyword] == first[keyword]}
        assert alike == same


def test_a_series_in_parts_goes_on_counting(tmp_path):
    write_series(paths(tmp_path / "one"), voxels(), oblique(), HEADER)
    write_series(paths(tmp_path / "two"), voxels(), oblique(), replace(HEADER, first=7))
    one, two = (
        [pydicom.dcmread(path) for path in paths(tmp_path / name)] for name in ("one", "two")
    )
    assert [image.InstanceNumber for image in (*one, *two)] == list(range(1, 13))
    assert len({image.SOPInstanceUID for image in (*one, *two)}) == 12
    assert one[0].SeriesInstanceUID == two[0].SeriesInstanceUID


def test_a_left_handed_grid_comes_back_with_its_slices_in_reverse(tmp_path):
    affine = np.array(oblique().affine)
    affine[:3, 3] += 5 * affine[:3, 2]
    affine[:3, 2] *= -1
    whole = np.rint(voxels())
    write_series(paths(tmp_path), whole, Geometry(SHAPE, affine), HEADER)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.voxels, whole[:, :, ::-1])
    assert np.abs(volume.geometry.affine - oblique().affine).max() < 1e-8


def test_what_cannot_be_a_series_is_refused(tmp_path):
    with pytest.raises(ValueError, match="paths"):
        write_series(paths(tmp_path, 5), voxels(), oblique(), HEADER)
    sheared = np.array(oblique().affine)
    sheared[:3, 2] += sheared[:3, 1]
    with pytest.raises(ValueError, match="right angles"):
        write_series(paths(tmp_path), voxels(), Geometry(SHAPE, sheared), HEADER)
    with pytest.raises(ValueError, match="finite"):
        write_series(paths(tmp_path), np.full(SHAPE, np.nan, np.float32), oblique(), HEADER)
    with pytest.raises(ResourceError, match=r"IM0000\.dcm: cannot write"):
        write_series([tmp_path / "gone" / path.name for path in paths(tmp_path)], voxels(),
                     oblique(), HEADER)  # fmt: skip


def test_dcm2niix_sees_the_same_volume(tmp_path):
    program = shutil.which("dcm2niix", path=str(Path(sys.executable).parent)) or shutil.which(
        "dcm2niix"
    )
    if program is None:
        pytest.skip("dcm2niix is not installed")
    whole = np.rint(voxels())
    write_series(paths(tmp_path / "series"), whole, oblique(), HEADER)
    subprocess.run(
        [program, "-f", "volume", "-o", str(tmp_path), str(tmp_path / "series")],
        check=True,
        capture_output=True,
    )
    theirs = nibabel.load(tmp_path / "volume.nii")
    # It turns the rows over, so that they grow towards anterior.
    assert np.array_equal(np.asarray(theirs.dataobj)[:, ::-1], whole)
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    flip[1, 3] = SHAPE[1] - 1
    assert np.abs(theirs.affine @ flip - oblique().affine).max() < 1e-4
