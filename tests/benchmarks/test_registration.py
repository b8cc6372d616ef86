"""The benchmark of registration: its truth is the motion that it made, and its tables count."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import displaced_heads as heads
from benchmarks import registration
from benchmarks.registration import Outcome, by_contrast, by_program, measured
from omnisyn.preparation.images import TO_LPS
from omnisyn.preparation.register import Registration
from omnisyn.preparation.registration_programs import affine_transform
from omnisyn.simulate.anatomy.grid import rotation_matrix
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.patient import FieldOfView, draw_field_of_view


def in_head(view: FieldOfView, header: FieldOfView, index: np.ndarray) -> np.ndarray:
    """Where in the head (mm) a voxel of a view lies, and where its header says that it lies."""
    columns, rows, slices = index
    steps = np.array(view.grid.spacing_mm)
    middle = (np.array(view.grid.shape) - 1) / 2
    z, y, x = (np.array([slices, rows, columns]) - middle) * steps
    turn = rotation_matrix(view.grid.tilt_degrees).double().numpy()
    place = turn @ [x, y, z] + np.array(view.grid.centre_mm)
    said = (TO_LPS @ header.geometry.affine @ [*index, 1.0])[:3]
    return np.stack([place, said])


def test_motion_takes_points_of_one_header_to_those_of_the_other():
    generator = torch.Generator().manual_seed(3)
    profile = load_cohort("hospitals").profiles["hospital11"]
    first, header = (draw_field_of_view(profile, generator) for _ in range(2))
    motion = heads._motion(np.array(first.grid.centre_mm), generator)
    assert np.linalg.det(motion[:3, :3]) == pytest.approx(1.0)
    moved = heads._moved(header, first, motion)
    turn = rotation_matrix(first.grid.tilt_degrees).double().numpy()
    centre = np.array(first.grid.centre_mm)
    for index in ([10, 20, 3], [100, 90, 20]):
        place, said = in_head(moved, header, np.array(index))
        # The first header's point of that place in the head.
        reference = turn.T @ (place - centre) + centre
        np.testing.assert_allclose(motion @ [*reference, 1.0], [*said, 1.0], atol=1e-3)


def test_known_head_is_scanned_again_where_it_went(monkeypatch):
    monkeypatch.setattr(heads, "CONTRASTS", ("T1",))
    profile = load_cohort("hospitals").profiles["hospital07"]
    small = profile.model_copy(
        update={"matrix": 48, "slices": (14, 14), "slice_thickness_mm": (10.0, 10.0)}
    )
    generator = torch.Generator().manual_seed(5)
    head = heads._head("one", small, True, True, generator)
    (again,) = head.scans
    assert not np.allclose(again.motion, np.eye(4))
    right = brightness(again.volume, again.motion, head.points)
    still = brightness(head.reference, np.eye(4), head.points)
    wrong = brightness(again.volume, np.eye(4), head.points)
    assert np.corrcoef(still, right)[0, 1] > 0.7
    assert np.corrcoef(still, right)[0, 1] > np.corrcoef(still, wrong)[0, 1] + 0.2


def brightness(volume, motion, points):
    """At the voxels nearest to where points went; the border's beyond the field of view."""
    to_index = np.linalg.inv(TO_LPS @ volume.geometry.affine)
    places = (points @ motion[:3, :3].T + motion[:3, 3]) @ to_index[:3, :3].T + to_index[:3, 3]
    index = np.clip(np.round(places), 0, np.array(volume.geometry.shape) - 1).astype(int)
    return volume.voxels[tuple(index.T)]


def test_error_is_the_distance_from_the_truth(monkeypatch):
    points = np.random.default_rng(1).random((20, 3)) * 50
    motion = np.eye(4)
    motion[:3, 3] = [3.0, 4.0, 0.0]
    scan = heads.DisplacedScan("T2", None, motion)
    head = heads.DisplacedHead("one", False, None, points, (scan,))
    still = Registration(affine_transform(np.eye(4)), 0, 0, 0, 0, 0, 0, ("moved",))
    monkeypatch.setattr(registration, "register", lambda fixed, moving, transform, program: still)
    outcome = measured("sitk", head, scan, "rigid")
    assert outcome.error_mm == pytest.approx(5.0)
    assert outcome.doubts == ("moved",)


def test_tables_count_failures_and_flags():
    base = Outcome("sitk", "T2", 0.2, (), 2.0)
    outcomes = [
        base,
        replace(base, error_mm=0.4, doubts=("moved",)),
        replace(base, contrast="MRA", error_mm=3.0, doubts=("moved",)),
        replace(base, contrast="MRA", error_mm=5.0),
        replace(base, program="plain", error_mm=4.0, seconds=1.0),
    ]
    _, (ours, plain) = by_program(outcomes)
    assert ours[:2] == ["sitk", "1.70"]
    assert ours[4:] == ["2 of 4", "1", "1 of 2", "2.0", "1.00"]
    assert plain[4:] == ["1 of 1", "0", "0 of 0", "1.0", "0.50"]
    _, (row, _) = by_contrast(outcomes)
    assert row[3] == "0.30 / 0.39"
