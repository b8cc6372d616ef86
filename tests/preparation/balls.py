"""Heads of three tissues, about 7 cm wide, for the tests of registration."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.geometry import Geometry
from omnisyn.volumes.volume import Volume

FIXED = Geometry((44, 52, 20), np.diag([-1.75, -1.75, 3.5, 1.0]))
MOVING = Geometry(
    (60, 64, 24), [[1.4, 0, 0, -79.0], [0, 1.4, 0, -86.0], [0, 0, 3.25, 0], [0, 0, 0, 1]]
)
MIDDLE = np.array([-37.5, -45.0, 32.5])
T1_LIKE, T2_LIKE = (300.0, 500.0, 150.0), (80.0, 200.0, 600.0)


def head(geometry: Geometry, motion: NDArray[np.float64], brightness: Sequence[float]) -> Volume:
    """A head; `motion` takes the fixed world (RAS+) to the geometry's."""
    indices = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    world = indices @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    back = np.linalg.inv(motion)
    place = world @ back[:3, :3].T + back[:3, 3] - MIDDLE

    def ball(centre: Sequence[float], radii: Sequence[float]) -> NDArray[np.float64]:
        distance = np.linalg.norm((place - np.array(centre)) / radii, axis=-1)
        return np.asarray(1 / (1 + np.exp((distance - 1) * 12)))

    voxels = brightness[0] * ball([0, 0, 0], [31, 37, 27])
    voxels += (brightness[1] - brightness[0]) * ball([0, 2, 2], [24, 30, 20])
    for centre in ([10, 5, 2], [-9, -12, 6], [-5, 15, -4]):
        voxels += (brightness[2] - brightness[1]) * ball(centre, [7, 9, 8])
    return Volume(voxels.astype(np.float32), geometry)


def turned(about_x: float, about_z: float, shift: Sequence[float]) -> NDArray[np.float64]:
    """Degrees about the head's middle, first about z, and a shift: 4×4 in RAS+."""
    (cx, sx), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([about_x, about_z]))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, cx, -sx], [0, sx, cx]]
    )
    matrix[:3, 3] = MIDDLE - matrix[:3, :3] @ MIDDLE + shift
    return matrix
