"""The check after a registration: edges that meet, and sentences for what is doubtful."""

import numpy as np
import pytest

from omnisyn.preparation.registration_check import (
    doubts,
    edge_overlap,
    motion_between,
    rotation_degrees,
)
from omnisyn.preparation.registration_programs import affine_transform
from omnisyn.preparation.similarity import on_working_grid
from tests.preparation.balls import FIXED, MOVING, T1_LIKE, T2_LIKE, head, turned

FINE = {
    "motion_mm": 3.0,
    "rotation": 2.0,
    "information": 0.8,
    "edges_before": 0.3,
    "edges_after": 0.8,
    "shared": 0.95,
    "disagreements": [("the way back", 0.2)],
}


def test_edges_meet_where_the_scans_do():
    fixed = on_working_grid(head(FIXED, np.eye(4), T1_LIKE))
    moving = on_working_grid(head(MOVING, np.eye(4), T2_LIKE))
    overlaps = []
    for shift in (0.0, 4.0, 12.0):
        matrix = np.eye(4)
        matrix[1, 3] = shift
        overlaps.append(edge_overlap(fixed, moving, affine_transform(matrix)))
    meeting, shared = zip(*overlaps, strict=True)
    assert 1 >= meeting[0] > meeting[1] > meeting[2] >= 0
    assert shared[0] > 0.99
    matrix[1, 3] = 1000.0
    assert edge_overlap(fixed, moving, affine_transform(matrix)) == (0.0, 0.0)


def test_nothing_is_doubted_where_all_is_well():
    assert doubts(**FINE) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"disagreements": [("another start", 3.1)]}, "another start ends 3.1 mm apart"),
        ({"motion_mm": 60.0}, "moved by 60 mm"),
        ({"rotation": 40.0}, "turned by 40 degrees"),
        ({"information": 0.01}, "the two scans tell little about each other"),
        ({"edges_after": 0.2}, "edges overlap less than before"),
        ({"shared": 0.2}, "only 20 % of the head is in both scans"),
    ],
)
def test_each_doubt_is_a_sentence(change, sentence):
    assert doubts(**{**FINE, **change}) == (sentence,)


def test_motion_and_rotation_are_those_of_the_matrix():
    matrix = turned(0.0, 10.0, [1.0, 0.0, 0.0])
    assert rotation_degrees(1.1 * matrix[:3, :3]) == pytest.approx(10.0)
    still, moved = affine_transform(np.eye(4)), np.eye(4)
    moved[:3, 3] = [3.0, 4.0, 0.0]
    corners = np.random.default_rng(0).random((8, 3))
    assert motion_between(still, affine_transform(moved), corners) == pytest.approx(5.0)
