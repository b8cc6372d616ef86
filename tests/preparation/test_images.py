"""SimpleITK's images: an array and its places come back as they were."""

import numpy as np

from omnisyn.geometry import Geometry
from omnisyn.preparation.images import empty_image, moved_points, points, to_array, to_image
from omnisyn.preparation.registration_programs import affine_transform

OBLIQUE = Geometry(
    (5, 6, 7),
    [[0.0, -1.2, 0.0, 30.0], [0.8, 0.0, 0.6, -20.0], [-0.6, 0.0, 0.8, 4.0], [0, 0, 0, 1]],
)


def test_array_comes_back_and_lies_where_its_affine_says():
    voxels = np.random.default_rng(1).random(OBLIQUE.shape).astype(np.float32)
    image = to_image(voxels, OBLIQUE)
    np.testing.assert_array_equal(to_array(image), voxels)
    index = (3, 1, 5)
    assert image.GetPixel(index) == voxels[index]
    ras = OBLIQUE.affine @ [*index, 1]
    expected = ras[:3] * [-1, -1, 1]
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-9)
    np.testing.assert_allclose(points(np.array(index), OBLIQUE), expected, atol=1e-9)
    assert empty_image(OBLIQUE).GetSize() == OBLIQUE.shape


def test_points_are_moved_by_a_transform():
    matrix = np.eye(4)
    matrix[:3, 3] = [1, 2, 3]
    places = np.array([[0.0, 0, 0], [5, 5, 5]])
    moved = moved_points(affine_transform(matrix), places)
    np.testing.assert_allclose(moved - places, [[1, 2, 3]] * 2)
