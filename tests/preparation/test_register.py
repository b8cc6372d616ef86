"""Registration: a known motion between two contrasts is found, and never one that fits worse."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.register import head_corners, register, resample
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.volume import Volume

SHARED = Path(__file__).parents[3] / "shared"
REAL = SHARED / "data" / "real" / "ms_longitudinal" / "patient03" / "study2"
FIXED = Geometry((44, 52, 20), np.diag([-1.75, -1.75, 3.5, 1.0]))
MOVING = Geometry(
    (60, 64, 24), [[1.4, 0, 0, -79.0], [0, 1.4, 0, -86.0], [0, 0, 3.25, 0], [0, 0, 0, 1]]
)
MIDDLE = np.array([-37.5, -45.0, 32.5])


def head(geometry: Geometry, motion: NDArray[np.float64], brightness: list[float]) -> Volume:
    """Three tissues in a head of about 7 cm; `motion` takes the fixed world to the geometry's."""
    indices = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    world = indices @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    back = np.linalg.inv(motion)
    place = world @ back[:3, :3].T + back[:3, 3] - MIDDLE

    def ball(centre: list[float], radii: list[float]) -> NDArray[np.float64]:
        distance = np.linalg.norm((place - centre) / radii, axis=-1)
        return 1 / (1 + np.exp((distance - 1) * 12))

    voxels = brightness[0] * ball([0, 0, 0], [31, 37, 27])
    voxels += (brightness[1] - brightness[0]) * ball([0, 2, 2], [24, 30, 20])
    for centre in ([10, 5, 2], [-9, -12, 6], [-5, 15, -4]):
        voxels += (brightness[2] - brightness[1]) * ball(centre, [7, 9, 8])
    return Volume(voxels.astype(np.float32), geometry)


@pytest.fixture(scope="module")
def motion() -> NDArray[np.float64]:
    """6 degrees about z and 4 about x, around the head's middle, and a shift: in RAS+."""
    turn = np.deg2rad([4.0, 0.0, 6.0])
    about_x = np.array(
        [
            [1, 0, 0],
            [0, np.cos(turn[0]), -np.sin(turn[0])],
            [0, np.sin(turn[0]), np.cos(turn[0])],
        ]
    )
    about_z = np.array(
        [
            [np.cos(turn[2]), -np.sin(turn[2]), 0],
            [np.sin(turn[2]), np.cos(turn[2]), 0],
            [0, 0, 1],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_x
    matrix[:3, 3] = MIDDLE - matrix[:3, :3] @ MIDDLE + [3.0, -4.0, 3.0]
    return matrix


def test_known_motion_between_two_contrasts_is_found(motion: NDArray[np.float64]):
    fixed = head(FIXED, np.eye(4), [300.0, 500.0, 150.0])
    moving = head(MOVING, motion, [80.0, 200.0, 600.0])
    found = register(fixed, moving)
    assert found.metric_after < found.metric_before

    corners = head_corners(fixed)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    truth = to_lps @ motion @ to_lps
    expected = corners @ truth[:3, :3].T + truth[:3, 3]
    reached = np.array([found.transform.TransformPoint(corner) for corner in corners.tolist()])
    errors = np.linalg.norm(reached - expected, axis=1)
    assert errors.mean() < 1.0
    moved = np.linalg.norm(expected - corners, axis=1).mean()
    assert found.motion_mm == pytest.approx(moved, abs=0.7)

    aligned = resample(moving, found, fixed.geometry)
    truth_on_grid = head(FIXED, np.eye(4), [80.0, 200.0, 600.0])
    assert aligned.geometry == fixed.geometry
    assert aligned.voxels.min() >= 0
    inside = ndimage.binary_erosion(truth_on_grid.voxels > 40, iterations=2)
    difference = np.abs(aligned.voxels - truth_on_grid.voxels)[inside]
    assert difference.mean() < 12


def test_what_has_not_moved_stays_nearly_where_it_is():
    fixed = head(FIXED, np.eye(4), [300.0, 500.0, 150.0])
    moving = head(MOVING, np.eye(4), [80.0, 200.0, 600.0])
    found = register(fixed, moving)
    assert found.metric_after <= found.metric_before
    assert found.motion_mm < 0.8
    again = register(fixed, moving)
    assert again.transform.GetParameters() == found.transform.GetParameters()


@pytest.mark.skipif(not REAL.exists(), reason="the real scans are not on this machine")
def test_patient_who_is_known_to_have_moved():
    fixed, moving = (read_volume(REAL / f"{name}.nii.gz") for name in ("T1", "T2"))
    found = register(fixed, moving)
    assert 4 < found.motion_mm < 8
    assert found.metric_after < 1.2 * found.metric_before


def test_three_slices_are_registered_and_one_is_refused_in_words():
    fixed = head(FIXED, np.eye(4), [300.0, 500.0, 150.0])
    affine = MOVING.affine.copy()
    affine[2, 3] = MIDDLE[2]
    three, one = (
        head(Geometry((60, 64, slices), affine), np.eye(4), [80.0, 200.0, 600.0])
        for slices in (3, 1)
    )
    found = register(fixed, three)
    assert found.metric_after <= found.metric_before
    with pytest.raises(InputError, match="hardly overlaps"):
        register(fixed, one)


def test_scans_that_share_no_place_are_refused():
    fixed = head(FIXED, np.eye(4), [300.0, 500.0, 150.0])
    affine = MOVING.affine.copy()
    affine[:3, 3] += 1000.0
    elsewhere = Volume(np.ones(MOVING.shape, np.float32), Geometry(MOVING.shape, affine))
    with pytest.raises(InputError, match="share no place"):
        register(fixed, elsewhere)
