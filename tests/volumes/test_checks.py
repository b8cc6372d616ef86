import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.checks import (
    Finding,
    Image,
    check_finite,
    check_not_computed_tomography,
    check_not_standardized,
    check_scale,
    check_signal,
    check_slice_count,
    check_voxel_size,
    examine,
    settle,
)


@pytest.fixture
def grid(grey_voxels):
    return Geometry(grey_voxels.shape, np.eye(4))


def computed_tomography():
    voxels = np.random.default_rng(0).normal(40, 30, (20, 20, 20)).astype(np.float32)
    voxels[:4] = -1000
    voxels[10, 10:14] = 900
    return voxels


def test_a_good_image_has_no_findings(grey_voxels, grid):
    assert examine(Image(grey_voxels, grid)) == ()


def test_a_few_negative_values_from_interpolation_are_fine(grey_voxels, grid):
    grey_voxels[0, 0] = -0.5

    assert check_not_standardized(Image(grey_voxels, grid)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_counted_and_fatal(grey_voxels, grid, value):
    grey_voxels[1, 2, :3] = value

    finding = check_finite(Image(grey_voxels, grid))

    assert finding is not None
    assert finding.fatal
    assert "3 of 210" in finding.why


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_image_of_one_value_is_fatal(grey_voxels, grid, value):
    finding = check_signal(Image(np.full_like(grey_voxels, value), grid))

    assert finding is not None
    assert finding.fatal
    assert f"{value:g}" in finding.why


@pytest.mark.parametrize(("lit", "fatal"), [(0, True), (3, True), (20, False), (4000, False)])
def test_an_image_needs_a_thousandth_of_its_voxels_above_zero(lit, fatal):
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels.ravel()[:lit] = 5
    voxels[-1, -1, -1] = 7

    finding = check_scale(Image(voxels, Geometry(voxels.shape, np.eye(4))))

    assert (finding is not None) == fatal
    assert finding is None or (finding.fatal and f"{lit + 1} of 8000" in finding.why)


@pytest.mark.parametrize("factor", [-1, 1e-40])
def test_values_that_cannot_be_scaled_are_fatal(grey_voxels, grid, factor):
    finding = check_scale(Image(grey_voxels * np.float32(factor), grid))

    assert finding is not None
    assert finding.fatal
    assert "no usable signal" in finding.what


@pytest.mark.parametrize(("count", "odd"), [(1, True), (2, True), (3, False)])
def test_one_or_two_slices_are_odd_but_not_fatal(count, odd):
    geometry = Geometry((8, 9, count), np.eye(4))

    finding = check_slice_count(Image(np.zeros(geometry.shape, np.float32), geometry))

    assert (finding is not None) == odd
    assert finding is None or not finding.fatal


@pytest.mark.parametrize(("size", "odd"), [(0.1, True), (0.2, False), (8.0, False), (9.0, True)])
def test_voxel_sizes_outside_the_usual_range_are_odd(grey_voxels, size, odd):
    geometry = Geometry(grey_voxels.shape, np.diag([1.0, 1.0, size, 1.0]))

    finding = check_voxel_size(Image(grey_voxels, geometry))

    assert (finding is not None) == odd
    assert finding is None or f"{size:g} mm" in finding.why


def test_ct_is_recognised_by_its_air_and_not_called_standardized():
    voxels = computed_tomography()
    grid = Geometry(voxels.shape, np.eye(4))

    assert check_not_computed_tomography(Image(voxels, grid)) is not None
    assert check_not_standardized(Image(voxels, grid)) is None


def test_a_standardized_image_is_recognised_and_not_called_ct():
    voxels = np.random.default_rng(0).normal(0, 1, (20, 20, 20)).astype(np.float32)
    grid = Geometry(voxels.shape, np.eye(4))

    assert check_not_standardized(Image(voxels, grid)) is not None
    assert check_not_computed_tomography(Image(voxels, grid)) is None


def test_a_fatal_finding_ends_the_examination(grey_voxels, grid):
    grey_voxels[:] = np.nan

    assert [finding.fatal for finding in examine(Image(grey_voxels, grid))] == [True]


def test_settling_refuses_the_fatal_and_returns_the_rest():
    odd = Finding("odd", "because", "mend it")
    fatal = Finding("broken", "3 voxels", "mend that", fatal=True)

    assert settle([odd], "a.nii") == ("odd: because; mend it",)
    with pytest.raises(InputError, match=r"^a\.nii: broken \(3 voxels\); mend that$"):
        settle([odd, fatal], "a.nii")
