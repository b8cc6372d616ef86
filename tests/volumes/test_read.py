import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from omnisyn.contrasts import contrast
from omnisyn.errors import InputError, ResourceError
from omnisyn.geometry import Geometry
from omnisyn.volumes import read
from omnisyn.volumes.read import read_labels, read_mask, read_volume
from omnisyn.volumes.write import write_volume

GEOMETRY = Geometry((6, 7, 5), np.diag([-0.5, -0.75, 3.0, 1.0]))


@pytest.fixture
def save(tmp_path, grey_voxels):
    """Write the grey volume under a name, with a sidecar where one is given."""

    def make(name, sidecar=None):
        return write_volume(tmp_path / name, grey_voxels, GEOMETRY, sidecar=sidecar)

    return make


@pytest.mark.parametrize(
    ("name", "sidecar", "said", "expected"),
    [
        ("sub-01_T1w.nii.gz", None, None, "T1"),
        ("sub-01_T1w.nii.gz", {"Contrast": "T1c"}, None, "T1c"),
        ("sub-01_T1w.nii.gz", {"SeriesDescription": "AX T2 FLAIR"}, None, "FLAIR"),
        ("sub-01_T1w.nii.gz", {"Contrast": "T1c"}, "PD", "PD"),
        ("sub-01_T1w.nii.gz", {"ContrastBolusAgent": "Gadavist"}, None, "T1c"),
        ("sub-01_T1w.nii.gz", {"ContrastBolusAgent": "NONE"}, None, "T1"),
        ("sub-01_T2w.nii.gz", {"ContrastBolusAgent": "Gadavist"}, None, "T2"),
        ("scan.nii.gz", None, None, None),
        ("scan.nii.gz", None, "T2", "T2"),
    ],
)
def test_the_contrast_is_the_said_else_the_sidecars_else_the_names(
    save, name, sidecar, said, expected
):
    volume = read_volume(save(name, sidecar), contrast(said) if said else None)

    assert (volume.contrast.name if volume.contrast else None) == expected


def test_a_dicom_folder_is_recognised_and_its_contrast_guessed(dicom_series, tmp_path):
    volume = read_volume(dicom_series().save(tmp_path / "scan"))

    assert volume.provenance.format == "dicom"
    assert volume.contrast is contrast("T2")


def test_contrast_agent_in_the_header_makes_t1_into_t1c(dicom_series, tmp_path):
    series = dicom_series()
    for dataset in series.files:
        dataset.SeriesDescription, dataset.ContrastBolusAgent = "AX T1", "GADAVIST"

    assert read_volume(series.save(tmp_path / "scan")).contrast is contrast("T1c")


def test_a_dicom_file_is_recognised_by_content_whatever_its_name(dicom_series, tmp_path):
    folder = dicom_series().save(tmp_path / "scan", names=["a.nii.gz", "b", "c", "d"])

    assert read_volume(folder / "a.nii.gz").provenance.format == "dicom"


def test_a_nifti_is_recognised_by_content_whatever_its_name(save, tmp_path, grey_voxels):
    path = save("T1.nii.gz").rename(tmp_path / "T1.dcm")

    np.testing.assert_array_equal(read_volume(path).voxels, grey_voxels)


def test_a_wrong_path_is_refused_with_its_basename(tmp_path):
    with pytest.raises(InputError, match=r"^T1\.nii\.gz: no such file or folder") as caught:
        read_volume(tmp_path / "nowhere" / "T1.nii.gz")
    assert caught.value.exit_code == 3


def test_a_name_that_no_file_system_takes_is_refused():
    with pytest.raises(InputError, match="cannot reach the file"):
        read_volume("x" * 5000)


def test_too_little_memory_is_a_fault_of_the_machine(save, monkeypatch):
    def starved(*_):
        raise MemoryError

    monkeypatch.setattr(read, "read_nifti", starved)
    with pytest.raises(ResourceError, match=r"T1\.nii\.gz: not enough memory"):
        read_volume(save("T1.nii.gz"))


def test_a_mask_is_read_as_bool_and_may_be_empty(tmp_path, grey_voxels):
    labels = (grey_voxels > 200).astype(np.uint8) * 3
    path = write_volume(tmp_path / "tumour.nii.gz", labels, GEOMETRY, dtype="uint8")
    empty = write_volume(tmp_path / "none.nii.gz", labels * 0, GEOMETRY, dtype="uint8")

    mask = read_mask(path, GEOMETRY)

    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, grey_voxels > 200)
    assert not read_mask(empty, GEOMETRY).any()


def test_a_mask_on_another_grid_is_refused(tmp_path, grey_voxels):
    path = write_volume(tmp_path / "m.nii.gz", grey_voxels > 9, GEOMETRY, dtype="uint8")
    moved = GEOMETRY.affine.copy()
    moved[0, 3] += 0.5

    with pytest.raises(InputError, match=r"another grid.*another affine"):
        read_mask(path, Geometry((6, 7, 5), moved))
    with pytest.raises(InputError, match=r"another grid.*\(6, 7, 5\) against \(6, 7, 4\)"):
        read_mask(path, Geometry((6, 7, 4), GEOMETRY.affine))


def test_a_mask_that_is_not_finite_is_refused(tmp_path):
    voxels = np.full((6, 7, 5), np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, GEOMETRY.affine), tmp_path / "m.nii.gz")

    with pytest.raises(InputError, match="not finite"):
        read_mask(tmp_path / "m.nii.gz", GEOMETRY)


def test_labels_are_whole_numbers_up_to_255(tmp_path, grey_voxels):
    path = write_volume(tmp_path / "tissues.nii.gz", grey_voxels, GEOMETRY, dtype="uint8")
    halves = write_volume(tmp_path / "halves.nii.gz", grey_voxels / 2, GEOMETRY)
    large = write_volume(tmp_path / "large.nii.gz", grey_voxels + 100, GEOMETRY)

    labels = read_labels(path, GEOMETRY)

    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, grey_voxels)
    for other in (halves, large):
        with pytest.raises(InputError, match="not a label map"):
            read_labels(other, GEOMETRY)


def test_reading_nifti_imports_neither_torch_nor_dicom_libraries(save):
    path = save("T1.nii.gz", json.loads("{}"))
    code = (
        "import sys; from omnisyn.volumes import read_volume; read_volume(sys.argv[1]);"
        "print([m for m in ('torch', 'pydicom', 'SimpleITK', 'scipy') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
