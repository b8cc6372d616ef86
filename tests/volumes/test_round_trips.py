"""Any grid, through files and back: other readers find the same place, and so does a marker."""

import itertools
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisyn.geometry import Geometry
from omnisyn.volumes.atomic import atomic_directory
from omnisyn.volumes.dicom_write import DerivedSeries, write_dicom_series
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.write import write_volume
from tests.dicom_series import DicomSeries
from tests.volumes.places import LPS_TO_RAS, corners_of_simpleitk, world

ORDERS = [
    np.eye(3)[:, axes] * signs
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
PROPERTIES = settings(max_examples=60, deadline=None)


@st.composite
def rotations(draw):
    """Any rotation, from a quaternion."""
    q = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.hypot(*q[:2]) > 0.1)))
    a, b, c, d = q / np.linalg.norm(q)
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


@st.composite
def geometries(draw):
    """One of the 48 axis orders, turned anyhow, with anisotropic voxels and odd sizes."""
    affine = np.eye(4)
    spacing = draw(st.tuples(*[st.floats(0.2, 8.0)] * 3))
    turn = draw(st.one_of(st.just(np.eye(3)), rotations()))
    affine[:3, :3] = turn @ draw(st.sampled_from(ORDERS)) * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return Geometry(draw(st.tuples(*[st.integers(1, 23)] * 3)), affine)


def marked(shape, marker):
    """Grey voxels with one bright one."""
    voxels = np.full(shape, 100, np.float32)
    voxels.flat[0] = 50
    voxels[marker] = 900
    return voxels


@st.composite
def grids_with_a_marker(draw):
    """A grid of two voxels or more, and one of them."""
    geometry = draw(geometries().filter(lambda geometry: np.prod(geometry.shape) > 1))
    marker = draw(st.tuples(*[st.integers(0, extent - 1) for extent in geometry.shape]))
    return geometry, marker


@PROPERTIES
@given(grids_with_a_marker())
def test_other_readers_find_the_corners_and_the_marker_of_what_we_write(drawn):
    geometry, marker = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(Path(folder) / "x.nii.gz", marked(geometry.shape, marker), geometry)
        image, theirs = nibabel.load(path), SimpleITK.ReadImage(str(path))

        np.testing.assert_allclose(
            Geometry(image.shape, image.affine).corners(), geometry.corners(), atol=1e-4
        )
        np.testing.assert_allclose(corners_of_simpleitk(theirs), geometry.corners(), atol=1e-4)
        assert np.unravel_index(np.argmax(image.get_fdata()), image.shape) == marker
        pixels = SimpleITK.GetArrayFromImage(theirs).T
        assert np.unravel_index(np.argmax(pixels), pixels.shape) == marker


@PROPERTIES
@given(grids_with_a_marker(), st.sampled_from(["qform", "sform", "SimpleITK"]))
def test_we_find_the_corners_and_the_marker_of_what_others_write(drawn, writer):
    geometry, marker = drawn
    voxels = marked(geometry.shape, marker)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "T1.nii.gz"
        if writer == "SimpleITK":
            image = SimpleITK.GetImageFromArray(np.ascontiguousarray(voxels.T))
            lps = np.diag(LPS_TO_RAS) @ geometry.affine[:3]
            image.SetSpacing(geometry.spacing)
            image.SetOrigin(lps[:, 3].tolist())
            image.SetDirection((lps[:, :3] / geometry.spacing).ravel().tolist())
            SimpleITK.WriteImage(image, str(path))
        else:
            image = nibabel.Nifti1Image(voxels, geometry.affine)
            image.set_qform(geometry.affine, code=int(writer == "qform"))
            image.set_sform(geometry.affine, code=int(writer == "sform"))
            nibabel.save(image, path)

        volume = read_volume(path)
        theirs = nibabel.load(path)

    corners = Geometry(theirs.shape, theirs.affine).corners()
    np.testing.assert_allclose(volume.geometry.corners(), corners, atol=1e-4)
    if writer != "qform":
        # A quaternion in single precision cannot say every rotation that well.
        np.testing.assert_allclose(corners, geometry.corners(), atol=1e-4)
    np.testing.assert_array_equal(volume.voxels, voxels)


@PROPERTIES
@given(grids_with_a_marker())
def test_the_model_grid_and_back_is_the_identity(drawn):
    geometry, marker = drawn
    voxels = marked(geometry.shape, marker)

    np.testing.assert_array_equal(geometry.from_slices(geometry.to_slices(voxels)), voxels)


@settings(max_examples=30, deadline=None)
@given(
    turn=rotations(),
    spacing=st.tuples(*[st.floats(0.2, 8.0)] * 3),
    shape=st.tuples(st.integers(1, 7), st.integers(4, 19), st.integers(4, 19)),
    draw=st.data(),
)
def test_a_dicom_marker_survives_the_way_to_nifti_and_to_dicom(turn, spacing, shape, draw):
    series = DicomSeries(turn[:2].ravel(), shape, spacing[:2], spacing[2])
    marker = tuple(draw.draw(st.integers(0, extent - 1)) for extent in shape)
    series.pixels[:] = 100
    series.pixels[marker] = 900
    for dataset, pixels in zip(series.files, series.pixels, strict=True):
        series.set_pixels(dataset, pixels)
    truth = LPS_TO_RAS * series.place(*marker)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        volume = read_volume(series.save(folder / "scan"))
        voxels = np.asfortranarray(volume.voxels / np.float32(900))

        found = np.unravel_index(np.argmax(volume.voxels), volume.voxels.shape)
        np.testing.assert_allclose(world(volume.geometry, found), truth, atol=1e-4)

        image = nibabel.load(write_volume(folder / "x.nii.gz", voxels, volume.geometry))
        found = np.unravel_index(np.argmax(image.get_fdata()), image.shape)
        np.testing.assert_allclose((image.affine @ [*found, 1])[:3], truth, atol=2e-4)

        derived = DerivedSeries("T1", ("T2",), "small", "0" * 64, simulated=False)
        with atomic_directory(folder / "out") as partial:
            write_dicom_series(partial, voxels, volume.geometry, volume.headers, derived)
        back = read_volume(folder / "out")
        found = np.unravel_index(np.argmax(back.voxels), back.voxels.shape)
        np.testing.assert_allclose(world(back.geometry, found), truth, atol=1e-4)
        assert back.geometry.matches(volume.geometry)
        if shape[0] > 1:
            reader = SimpleITK.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "out")))
            np.testing.assert_allclose(
                corners_of_simpleitk(reader.Execute()), volume.geometry.corners(), atol=1e-3
            )


@pytest.mark.parametrize(
    "shape", [(16, 16, 1), (16, 1024, 2), (1024, 16, 3), (1024, 1024, 3), (17, 33, 600)]
)
def test_any_size_is_read_and_written(tmp_path, shape):
    geometry = Geometry(shape, np.diag([-0.5, 0.7, 2.0, 1.0]))
    voxels = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)

    path = write_volume(tmp_path / "T1.nii.gz", voxels, geometry)
    volume = read_volume(path)
    series = DicomSeries("sagittal", (shape[2], *shape[:2])).save(
        tmp_path / "scan", [f"{index:04d}" for index in range(shape[2])]
    )

    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.geometry.matches(geometry)
    assert read_volume(series).geometry.shape == (shape[1], shape[0], shape[2])
