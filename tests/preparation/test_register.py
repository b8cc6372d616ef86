"""Registration: a known motion between two contrasts is found, checked, and never fits worse."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.preparation.images import TO_LPS, moved_points
from omnisyn.preparation.register import (
    PROGRAMS,
    TRANSFORM_SUFFIX,
    TRANSFORMS,
    Registration,
    register,
    resample,
    resample_by,
    write_transform,
)
from omnisyn.preparation.registration_check import head_corners
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.volume import Volume
from tests.preparation.balls import FIXED, MIDDLE, MOVING, T1_LIKE, T2_LIKE, head, turned

SHARED = Path(__file__).parents[3] / "shared"
REAL = SHARED / "data" / "real" / "ms_longitudinal" / "patient03" / "study2"


@pytest.fixture(scope="module")
def fixed() -> Volume:
    return head(FIXED, np.eye(4), T1_LIKE)


@pytest.fixture(scope="module")
def motion() -> NDArray[np.float64]:
    return turned(4.0, 6.0, [3.0, -4.0, 3.0])


@pytest.fixture(scope="module")
def found(fixed: Volume, motion: NDArray[np.float64]) -> Registration:
    return register(fixed, head(MOVING, motion, T2_LIKE))


def test_known_motion_between_two_contrasts_is_found(fixed, motion, found):
    corners = head_corners(fixed)
    truth = TO_LPS @ motion @ TO_LPS
    expected = corners @ truth[:3, :3].T + truth[:3, 3]
    errors = np.linalg.norm(moved_points(found.transform, corners) - expected, axis=1)
    assert errors.mean() < 0.5
    moved = np.linalg.norm(expected - corners, axis=1).mean()
    assert found.motion_mm == pytest.approx(moved, abs=0.5)
    assert found.rotation_degrees == pytest.approx(7.2, abs=0.5)


def test_check_speaks_for_what_is_right(found):
    assert found.metric_after < found.metric_before
    assert 0 <= found.edge_overlap_before < found.edge_overlap_after <= 1
    assert found.doubts == ()


def test_resampled_scan_looks_like_one_that_never_moved(fixed, motion, found):
    aligned = resample(head(MOVING, motion, T2_LIKE), found, fixed.geometry)
    truth = head(FIXED, np.eye(4), T2_LIKE)
    assert aligned.geometry == fixed.geometry
    assert aligned.voxels.min() >= 0
    inside = ndimage.binary_erosion(truth.voxels > 40, iterations=2)
    assert np.abs(aligned.voxels - truth.voxels)[inside].mean() < 8


def test_transform_is_kept_and_read_back(found, tmp_path):
    path = tmp_path / f"T2-to-T1{TRANSFORM_SUFFIX}"
    write_transform(path, found)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text().startswith("#Insight Transform File")
    back = SimpleITK.ReadTransform(str(path))
    place = [-40.0, 50.0, 30.0]
    assert back.TransformPoint(place) == pytest.approx(found.transform.TransformPoint(place))


def test_what_has_not_moved_stays_where_it_is_and_registers_alike_again(fixed):
    moving = head(MOVING, np.eye(4), T2_LIKE)
    first = register(fixed, moving)
    assert first.metric_after <= first.metric_before
    assert first.motion_mm < 0.5
    threads = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads + 1)
    try:
        again = register(fixed, moving)
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    assert again.transform.GetParameters() == first.transform.GetParameters()
    assert again.metric_after == first.metric_after


@pytest.mark.parametrize("transform", ["affine", "bspline"])
def test_looser_transforms_fit_at_least_as_well(fixed, motion, found, transform, tmp_path):
    looser = register(fixed, head(MOVING, motion, T2_LIKE), transform=transform)
    assert looser.metric_after < found.metric_after + 0.02
    assert looser.rotation_degrees == pytest.approx(found.rotation_degrees, abs=0.1)
    write_transform(tmp_path / "kept.tfm", looser)
    back = SimpleITK.ReadTransform(str(tmp_path / "kept.tfm"))
    place = [-40.0, 50.0, 30.0]
    assert back.TransformPoint(place) == pytest.approx(looser.transform.TransformPoint(place))


def test_noise_in_place_of_a_head_is_doubted(fixed):
    noise = np.random.default_rng(2).random(MOVING.shape).astype(np.float32)
    assert register(fixed, Volume(noise, MOVING)).doubts


@pytest.mark.skipif(not REAL.exists(), reason="the real scans are not on this machine")
def test_patient_who_is_known_to_have_moved():
    still, moving = (read_volume(REAL / f"{name}.nii.gz") for name in ("T1", "T2"))
    there = register(still, moving)
    assert 4 < there.motion_mm < 8
    assert there.metric_after < 1.2 * there.metric_before
    assert there.edge_overlap_after > there.edge_overlap_before
    assert there.doubts == ()


def test_three_slices_are_registered_and_one_is_refused_in_words(fixed):
    affine = MOVING.affine.copy()
    affine[2, 3] = MIDDLE[2]
    three, one = (head(Geometry((60, 64, slices), affine), np.eye(4), T2_LIKE) for slices in (3, 1))
    few = register(fixed, three)
    assert few.metric_after <= few.metric_before
    assert any("of the head is in both scans" in doubt for doubt in few.doubts)
    with pytest.raises(InputError, match="hardly overlaps"):
        register(fixed, one)


def test_scans_that_share_no_place_are_refused(fixed):
    affine = MOVING.affine.copy()
    affine[:3, 3] += 1000.0
    elsewhere = Volume(np.ones(MOVING.shape, np.float32), Geometry(MOVING.shape, affine))
    with pytest.raises(InputError, match="share no place"):
        register(fixed, elsewhere)


def test_positions_in_the_files_are_trusted_where_there_is_no_transform(fixed):
    same = resample_by(None, fixed, FIXED)
    np.testing.assert_allclose(same.voxels, fixed.voxels, atol=0.5)


def test_other_programs_make_no_bspline(fixed):
    assert TRANSFORMS == ("rigid", "affine", "bspline")
    assert PROGRAMS == ("sitk", "greedy", "flirt")
    with pytest.raises(UsageError, match="B-spline"):
        register(fixed, fixed, transform="bspline", program="greedy")
