import contextlib
import dataclasses
import hashlib
import itertools
import json
import os

import nibabel
import numpy as np
import pytest
import SimpleITK

from omnisyn.errors import InputError, ResourceError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.volumes import atomic
from omnisyn.volumes.nifti import read_nifti
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.volume import Provenance, Volume
from omnisyn.volumes.write import finished, sidecar_path, write_volume

ORDERS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
# Turned about all three axes, by less than would make another axis the nearest one.
COS, SIN = np.cos(np.radians(18)), np.sin(np.radians(18))
OBLIQUE = (
    np.array([[COS, -SIN, 0], [SIN, COS, 0], [0, 0, 1]])
    @ np.array([[COS, 0, SIN], [0, 1, 0], [-SIN, 0, COS]])
    @ np.array([[1, 0, 0], [0, COS, -SIN], [0, SIN, COS]])
)
GEOMETRY = Geometry((6, 7, 5), np.diag([-0.5, -0.75, 3.0, 1.0]))


def affine_of(order, turn):
    axes, signs = order
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.eye(3)[:, axes] * signs * [0.9, 1.2, 2.5])
    affine[:3, 3] = [12.5, -30, 40]
    return affine


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("turn", [np.eye(3), OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_a_marker_survives_nifti_to_model_grid_to_nifti(tmp_path, order, turn, form):
    affine = affine_of(order, turn)
    shape = np.array((6, 8, 10))
    corners = np.array(list(np.ndindex(2, 2, 2))) * (shape - 1)
    places = corners @ affine[:3, :3].T
    # The corner farthest to the patient's left, front and top, seen along the grid's own axes.
    marker = tuple(corners[np.argmax(places @ turn @ [-1, 1, 1])])
    voxels = np.full(shape, 100, np.float32)
    voxels[marker] = 900
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_qform(affine, code=1 if form == "qform" else 0)
    image.set_sform(affine, code=1 if form == "sform" else 0)
    nibabel.save(image, tmp_path / "T1.nii.gz")

    volume = read_volume(tmp_path / "T1.nii.gz")
    slices = volume.slices()
    marked = np.unravel_index(np.argmax(slices), slices.shape)
    back = volume.geometry.from_slices(slices / 900)
    path = write_volume(tmp_path / "out.nii.gz", back, volume.geometry, like=volume)

    assert marked == (slices.shape[0] - 1, 0, slices.shape[2] - 1)
    source, written = nibabel.load(tmp_path / "T1.nii.gz"), nibabel.load(path)
    assert np.unravel_index(np.argmax(written.get_fdata()), written.shape) == marker
    # An sform is stored as it is; a quaternion is turned into a matrix anew by every reader.
    np.testing.assert_allclose(
        written.affine, source.affine, rtol=0, atol=0 if form == "sform" else 1e-12
    )
    assert int(written.header["qform_code"]) == int(source.header["qform_code"])
    assert int(written.header["sform_code"]) == int(source.header["sform_code"])
    theirs = SimpleITK.ReadImage(str(path))
    point = theirs.TransformIndexToPhysicalPoint([int(index) for index in marker])
    np.testing.assert_allclose(
        np.array(point) * [-1, -1, 1], affine[:3, :3] @ marker + affine[:3, 3], atol=1e-3
    )


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16", "uint16"])
def test_values_and_type_are_what_was_asked_for(tmp_path, grey_voxels, dtype):
    path = write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, dtype=dtype)

    image = nibabel.load(path)
    assert image.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), grey_voxels)
    np.testing.assert_array_equal(read_volume(path).voxels, grey_voxels)
    assert read_volume(path).geometry == GEOMETRY


def test_a_mask_is_written_as_zeros_and_ones(tmp_path, grey_voxels):
    path = write_volume(tmp_path / "m.nii.gz", grey_voxels > 100, GEOMETRY, dtype="uint8")

    np.testing.assert_array_equal(nibabel.load(path).get_fdata(), grey_voxels > 100)


def test_the_same_volume_gives_the_same_bytes(tmp_path, grey_voxels):
    first = write_volume(tmp_path / "a.nii.gz", grey_voxels, GEOMETRY).read_bytes()
    second = write_volume(tmp_path / "b.nii.gz", grey_voxels.copy("F"), GEOMETRY).read_bytes()

    assert first == second


@pytest.mark.parametrize(
    ("value", "dtype", "reason"),
    [
        (0.5, "uint8", "without loss"),
        (-1, "uint16", "without loss"),
        (256, "uint8", "without loss"),
        (40000, "int16", "without loss"),
        (np.nan, "float32", "not finite"),
        (np.inf, "int16", "not finite"),
        (1e300, "float32", "too large"),
    ],
)
def test_values_that_the_type_cannot_hold_are_refused(tmp_path, grey_voxels, value, dtype, reason):
    voxels = np.ones(GEOMETRY.shape)
    voxels[1, 2, 3] = value

    with pytest.raises(ValueError, match=reason):
        write_volume(tmp_path / "x.nii.gz", voxels, GEOMETRY, dtype=dtype)
    assert names(tmp_path) == []


def test_voxels_of_another_shape_are_refused(tmp_path, grey_voxels):
    with pytest.raises(ValueError, match="shape"):
        write_volume(tmp_path / "x.nii.gz", grey_voxels[1:], GEOMETRY)


@pytest.mark.parametrize("name", ["x.nii", "x.mgz", "x", ".nii.gz"])
def test_only_nii_gz_is_written(tmp_path, grey_voxels, name):
    with pytest.raises(UsageError, match=r"\.nii\.gz"):
        write_volume(tmp_path / name, grey_voxels, GEOMETRY)


def test_codes_and_units_are_kept_from_the_source(tmp_path, grey_voxels):
    origin = Provenance(qform_code=3, sform_code=4, units=0)
    source = Volume(grey_voxels, GEOMETRY, provenance=origin)

    read = read_volume(write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, like=source))

    kept = read.provenance
    assert (kept.qform_code, kept.sform_code, kept.units) == (3, 4, 0)


def test_a_source_without_an_affine_gives_an_output_without_one(tmp_path, grey_voxels):
    image = nibabel.Nifti1Image(grey_voxels, None)
    image.header.set_zooms((1, 2, 3))
    nibabel.save(image, tmp_path / "T1.nii.gz")
    source = read_volume(tmp_path / "T1.nii.gz")

    path = write_volume(tmp_path / "x.nii.gz", grey_voxels, source.geometry, like=source)

    read = read_volume(path)
    assert (read.provenance.qform_code, read.provenance.sform_code) == (0, 0)
    assert read.geometry.matches(source.geometry)


def test_codes_are_set_where_without_them_the_volume_would_move(tmp_path, grey_voxels):
    source = Volume(
        grey_voxels, GEOMETRY, provenance=Provenance(qform_code=0, sform_code=0)
    )  # fmt: skip

    read = read_volume(write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, like=source))

    assert (read.provenance.qform_code, read.provenance.sform_code) == (1, 1)
    assert read.geometry == GEOMETRY


def test_the_sidecar_carries_the_hash_of_its_volume(tmp_path, grey_voxels):
    path = write_volume(
        tmp_path / "sub.01_T2w.nii.gz", grey_voxels, GEOMETRY, sidecar={"Synthetic": True}
    )

    side = json.loads((tmp_path / "sub.01_T2w.json").read_text())
    assert side == {
        "Synthetic": True,
        "VolumeSHA256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert names(tmp_path) == ["sub.01_T2w.json", "sub.01_T2w.nii.gz"]


@pytest.mark.parametrize(
    ("name", "side"),
    [("a.nii.gz", "a.json"), ("a.nii", "a.json"), ("a.b.NII.GZ", "a.b.json"), ("a", "a.json")],
)
def test_the_sidecar_is_named_after_the_volume(name, side):
    assert sidecar_path(name).name == side


@pytest.mark.parametrize("present", ["x.nii.gz", "x.json"])
def test_an_existing_output_is_kept_unless_overwriting_is_allowed(tmp_path, grey_voxels, present):
    (tmp_path / present).write_text("old")

    with pytest.raises(InputError, match=f"{present}: the output exists"):
        write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, sidecar={})
    assert names(tmp_path) == [present]
    assert (tmp_path / present).read_text() == "old"
    write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, sidecar={}, overwrite=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nii.gz").voxels, grey_voxels)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": 1' + "0" * 5000 + "}", "[]", None])
def test_a_sidecar_that_cannot_be_ours_finishes_no_volume(tmp_path, grey_voxels, content):
    path = write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, sidecar={})
    assert finished(path) is not None
    side = tmp_path / "x.json"
    side.unlink()
    os.mkfifo(side) if content is None else side.write_text(content)
    assert finished(path) is None


def test_a_missing_folder_is_a_fault_that_leaves_nothing(tmp_path, grey_voxels):
    with pytest.raises(ResourceError, match="its folder does not exist"):
        write_volume(tmp_path / "gone" / "x.nii.gz", grey_voxels, GEOMETRY, sidecar={})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("step", "call", "volume", "sidecar"),
    [
        ("fsync", 1, "old", "old"),
        ("fsync", 2, "old", "old"),
        # The third sync is that of the folder, which may fail without harm.
        ("fsync", 3, "new", "new"),
        ("replace", 1, "old", "old"),
        # Both are whole, and the hash in the old sidecar shows that they are not each other's.
        ("replace", 2, "new", "old"),
    ],
)
def test_a_fault_at_any_step_leaves_no_half_file(
    tmp_path, grey_voxels, monkeypatch, step, call, volume, sidecar
):
    path = write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY, sidecar={"run": "old"})
    real, calls = getattr(os, step), itertools.count(1)

    def fail_once(*arguments):
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(atomic.os, step, fail_once)
    fails = contextlib.nullcontext()
    if sidecar == "old":
        fails = pytest.raises(ResourceError, match="the disk is full")
    with fails:
        write_volume(path, grey_voxels + 1, GEOMETRY, sidecar={"run": "new"}, overwrite=True)

    assert names(tmp_path) == ["x.json", "x.nii.gz"]
    assert json.loads((tmp_path / "x.json").read_text())["run"] == sidecar
    np.testing.assert_array_equal(read_nifti(path).voxels, grey_voxels + (volume == "new"))
    assert (finished(path) is not None) == (volume == sidecar)


def test_provenance_of_a_written_volume_is_its_own(tmp_path, grey_voxels):
    path = write_volume(tmp_path / "x.nii.gz", grey_voxels, GEOMETRY)

    provenance = read_volume(path).provenance
    assert dataclasses.replace(provenance, sha256=None) == Provenance("x.nii.gz", "nifti")
    assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
