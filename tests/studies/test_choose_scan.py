"""Which of several scans is taken: whole, axial, fine, last, in this order."""

import itertools

import numpy as np
import pytest

from omnisyn.geometry import Geometry
from omnisyn.studies.choose_scan import Candidate, preferred, why_preferred


def axial(
    pixel: float = 0.5, slices: float = 5.0, count: int = 30, name: str = "axial", order: int = 1
) -> Candidate:
    edge = round(220 / pixel)
    return Candidate(name, Geometry.axial((count, edge, edge), (slices, pixel, pixel)), order)


def sagittal(pixel: float = 0.5, slices: float = 5.0, order: int = 1) -> Candidate:
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = pixel, pixel, slices, 1
    edge = round(220 / pixel)
    return Candidate("sagittal", Geometry((edge, edge, round(180 / slices)), affine), order)


def chosen(*candidates: Candidate) -> tuple[str, int, str]:
    """Name, order and reason of the chosen scan, in whatever order they are given."""
    results = set()
    for shuffled in itertools.permutations(candidates):
        taken = shuffled[preferred(shuffled)]
        results.add((taken.name, taken.order, why_preferred(shuffled)))
    (result,) = results
    return result


def test_axial_slices_come_before_finer_sagittal_ones() -> None:
    assert chosen(axial(0.9), sagittal(0.4, order=2)) == ("axial", 1, "its slices are axial")


def test_nearly_equal_edges_count_as_axial_whatever_plane_they_were_made_in() -> None:
    assert chosen(axial(), sagittal(0.9, 1.2)) == ("sagittal", 1, "its voxels are finer")


def test_of_sagittal_scans_the_finer_one_is_taken() -> None:
    assert chosen(sagittal(0.5, 5, order=2), sagittal(0.5, 3)) == (
        "sagittal", 1, "its voxels are finer",
    )  # fmt: skip


def test_finer_voxels_come_before_the_last_run() -> None:
    assert chosen(axial(0.5, name="fine"), axial(0.9, order=2))[:2] == ("fine", 1)


def test_of_equal_scans_the_last_is_taken_although_the_header_rounds() -> None:
    again = axial(0.501, slices=5.01, order=2, name="again")
    assert chosen(axial(), again) == ("again", 2, "it is the last of its like")


def test_a_slab_does_not_stand_for_a_head_however_fine() -> None:
    slab = axial(0.3, slices=1.0, count=25, name="slab", order=9)
    assert chosen(axial(), slab) == ("axial", 1, "it covers more of the head")


def test_every_rule_that_decided_is_told() -> None:
    assert chosen(axial(), axial(order=2), axial(0.9, order=3), sagittal())[1:] == (
        2,
        "its slices are axial and its voxels are finer and it is the last of its like",
    )


def test_scans_of_one_order_are_told_apart_by_their_place() -> None:
    assert preferred([axial(), axial()]) == 1


def test_one_scan_is_taken_and_none_is_a_fault_of_ours() -> None:
    assert (preferred([axial()]), why_preferred([axial()])) == (0, "there is no other")
    with pytest.raises(ValueError, match="no scan"):
        preferred([])
