import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry

ORDERS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def rotation(degrees):
    """A turn about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def affine_of(order, spacing=(1.0, 2.0, 3.0), degrees=(0, 0, 0), origin=(10.0, -20.0, 30.0)):
    axes, signs = order
    affine = np.eye(4)
    affine[:3, :3] = 0
    for file_axis, (world_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world_axis, file_axis] = sign * spacing[file_axis]
    affine[:3, :3] = rotation(degrees) @ affine[:3, :3]
    affine[:3, 3] = origin
    return affine


def axis_runs(geometry):
    """The world direction in which each axis (slices, rows, columns) of the model grid grows."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    world = index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    sliced = np.stack([geometry.to_slices(world[..., axis]) for axis in range(3)], axis=-1)
    return [np.diff(sliced, axis=axis).reshape(-1, 3)[0] for axis in range(3)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -8, 15)])
def test_slices_run_upward_backward_and_leftward_for_all_orders(order, degrees):
    geometry = Geometry((4, 5, 6), affine_of(order, degrees=degrees))

    slices, rows, columns = axis_runs(geometry)

    assert slices[2] > 0
    assert abs(slices[2]) == np.abs(slices).max()
    assert rows[1] < 0
    assert abs(rows[1]) == np.abs(rows).max()
    assert columns[0] < 0
    assert abs(columns[0]) == np.abs(columns).max()


@pytest.mark.parametrize("order", ORDERS)
def test_slices_and_back_is_the_identity_for_all_orders(order):
    geometry = Geometry((4, 5, 6), affine_of(order, degrees=(5, 10, -20)))
    voxels = np.arange(120, dtype=np.float32).reshape(4, 5, 6)

    slices = geometry.to_slices(voxels)

    assert slices.shape == geometry.slices_shape
    assert slices.flags.c_contiguous
    np.testing.assert_array_equal(geometry.from_slices(slices), voxels)


@settings(max_examples=60, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 8.0)] * 3),
    degrees=st.tuples(*[st.floats(-180, 180)] * 3),
)
def test_slices_and_back_is_the_identity_for_any_grid(order, shape, spacing, degrees):
    geometry = Geometry(shape, affine_of(order, spacing, degrees))
    voxels = np.arange(np.prod(shape)).reshape(shape)

    np.testing.assert_array_equal(geometry.from_slices(geometry.to_slices(voxels)), voxels)
    np.testing.assert_allclose(geometry.spacing, spacing, rtol=1e-9)


@pytest.mark.parametrize("order", [((0, 1, 2), (-1, -1, 1)), ((2, 1, 0), (1, -1, -1))])
def test_slices_and_voxels_are_copies_even_where_nothing_is_turned(order):
    geometry = Geometry((2, 3, 4), affine_of(order))
    voxels, slices = np.zeros(geometry.shape), np.zeros(geometry.slices_shape)

    geometry.to_slices(voxels)[:] = 1
    geometry.from_slices(slices)[:] = 1

    assert not voxels.any()
    assert not slices.any()


def test_slice_spacing_follows_the_axes():
    geometry = Geometry((4, 5, 6), affine_of(((2, 0, 1), (1, 1, 1)), spacing=(3.0, 0.5, 0.7)))

    assert geometry.slice_spacing == pytest.approx((3.0, 0.7, 0.5))
    assert geometry.slices_shape == (4, 6, 5)
    assert geometry.orientation == "SRA"


def test_an_axial_grid_is_lps_with_the_given_spacing_and_first_voxel():
    geometry = Geometry.axial((3, 4, 5), (6.0, 2.0, 1.0), first_voxel_mm=(7.0, 8.0, -9.0))
    slices = np.arange(60).reshape(3, 4, 5)

    assert geometry.orientation == "LPS"
    assert geometry.shape == (5, 4, 3)
    assert geometry.spacing == (1.0, 2.0, 6.0)
    assert geometry.slice_spacing == (6.0, 2.0, 1.0)
    assert geometry.origin == (7.0, 8.0, -9.0)
    np.testing.assert_array_equal(geometry.to_slices(geometry.from_slices(slices)), slices)
    assert geometry.from_slices(slices)[4, 2, 1] == slices[1, 2, 4]


def test_an_axial_grid_is_centred_where_no_place_is_given():
    geometry = Geometry.axial((3, 4, 5), (6.0, 2.0, 1.0))

    np.testing.assert_allclose(geometry.corners().mean(axis=0), 0, atol=1e-12)


def test_corners_are_the_places_of_the_outermost_voxels():
    geometry = Geometry((3, 1, 2), affine_of(((0, 1, 2), (1, 1, 1)), origin=(0, 0, 0)))

    assert {tuple(corner) for corner in geometry.corners()} == {
        (x, 0.0, z) for x in (0.0, 2.0) for z in (0.0, 3.0)
    }


def test_indices_of_another_grid_lead_to_the_same_place():
    here = Geometry.axial((5, 6, 7), (3.0, 1.0, 0.5))
    there = Geometry.axial((4, 9, 8), (2.0, 0.7, 0.9), (4.0, 5.0, -6.0))
    index = np.array([3.0, 2.0, 1.0, 1.0])

    assert here.affine @ (here.indices_from(there) @ index) == pytest.approx(there.affine @ index)


def test_grids_match_within_the_tolerance_only():
    affine = affine_of(((0, 1, 2), (1, 1, 1)))
    nudged = affine.copy()
    nudged[0, 3] += 5e-4
    far = affine.copy()
    far[0, 3] += 5e-3
    geometry = Geometry((4, 5, 6), affine)

    assert geometry.matches(Geometry((4, 5, 6), nudged))
    assert not geometry.matches(Geometry((4, 5, 6), far))
    assert not geometry.matches(Geometry((4, 5, 7), affine))
    assert geometry != Geometry((4, 5, 6), nudged)


def test_a_geometry_is_a_value_that_cannot_change():
    affine = affine_of(((0, 1, 2), (1, 1, 1)))
    geometry, twin = Geometry((4, 5, 6), affine), Geometry([4, 5, 6], affine.copy())
    affine[0, 0] = 99

    assert geometry == twin
    assert hash(geometry) == hash(twin)
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 5


def flat():
    affine = np.eye(4)
    affine[:3, 2] = affine[:3, 1]
    return affine


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((4, 5), np.eye(4)),
        ((4, 5, 0), np.eye(4)),
        ((4, 5, 6), np.eye(3)),
        ((4, 5, 6), np.full((4, 4), np.nan)),
        ((4, 5, 6), np.diag([1.0, 0.0, 1.0, 1.0])),
        ((4, 5, 6), flat()),
        ((4, 5, 6), np.diag([1.0, 1.0, 1.0, 2.0])),
    ],
)
def test_a_grid_that_cannot_be_is_refused(shape, affine):
    with pytest.raises(InputError):
        Geometry(shape, affine)


def test_arrays_of_another_shape_are_refused():
    geometry = Geometry.axial((2, 3, 4), (1.0, 1.0, 1.0))

    with pytest.raises(ValueError, match="shape"):
        geometry.to_slices(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="slices"):
        geometry.from_slices(np.zeros((4, 3, 2)))


def test_slices_lie_where_their_middle_voxels_do():
    turned = np.array([[0, 0, 2.0, 5], [-3.0, 0, 0, 60], [0, -4.0, 0, 7], [0, 0, 0, 1]])
    geometry = Geometry((3, 5, 7), turned)

    centres = geometry.slice_centres()

    # The slices run along the second axis of the file, which points down: the last comes first.
    assert centres.shape == (5, 3)
    np.testing.assert_allclose(centres[0], turned[:3] @ [1, 4, 3, 1])
    np.testing.assert_allclose(np.diff(centres, axis=0), [[0, 0, 4.0]] * 4)


def test_positions_of_oblique_slices_follow_their_slant():
    affine = np.diag([2.0, 2.0, 5.0, 1.0])
    affine[1, 2] = 1.5

    centres = Geometry((3, 3, 4), affine).slice_centres()

    np.testing.assert_allclose(centres[0], [2, 2, 0])
    np.testing.assert_allclose(np.diff(centres, axis=0), [[0, 1.5, 5]] * 3)
