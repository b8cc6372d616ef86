import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.inference.regrid import onto_first_grid, overlap_fraction, resample
from omnisyn.volumes.volume import Provenance, Volume

GRID = Geometry((20, 24, 6), np.diag([1.5, 1.5, 4.0, 1.0]))


def shifted(grid: Geometry, millimetres: tuple[float, float, float]) -> Geometry:
    """The same grid somewhere else."""
    affine = grid.affine.copy()
    affine[:3, 3] += millimetres
    return Geometry(grid.shape, affine)


def flipped(volume: Volume) -> Volume:
    """The same scan, stored with its first axis the other way round."""
    affine = volume.geometry.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.geometry.shape[0] - 1)
    affine[:3, 0] *= -1
    voxels = np.ascontiguousarray(volume.voxels[::-1])
    return Volume(voxels, Geometry(voxels.shape, affine))


def test_volumes_on_one_grid_are_left_alone(head: np.ndarray) -> None:
    volumes = {"T1": Volume(head, GRID), "T2": Volume(2 * head, GRID)}
    regridded = onto_first_grid(volumes)
    assert regridded.notes == ()
    assert all(regridded.volumes[name] is volumes[name] for name in volumes)


def test_another_axis_order_comes_back_voxel_for_voxel(head: np.ndarray) -> None:
    first = Volume(head, GRID)
    regridded = onto_first_grid({"T1": first, "T2": flipped(first)})
    np.testing.assert_allclose(regridded.volumes["T2"].voxels, head, atol=1e-3)
    assert regridded.volumes["T2"].geometry == GRID


def test_a_note_names_what_was_resampled(head: np.ndarray) -> None:
    moved = Volume(head, shifted(GRID, (3, 0, 0)), provenance=Provenance(name="t2.nii.gz"))
    regridded = onto_first_grid({"T1": Volume(head, GRID), "T2": moved})
    (note,) = regridded.notes
    assert "T2 (t2.nii.gz) was resampled" in note
    assert "90% of which it covers" in note
    np.testing.assert_allclose(regridded.volumes["T2"].voxels[2:], head[:-2], atol=1e-3)


def test_scans_that_do_not_overlap_are_refused(head: np.ndarray) -> None:
    far = Volume(head, shifted(GRID, (0, 0, 500)), provenance=Provenance(name="far.nii.gz"))
    with pytest.raises(InputError, match=r"far\.nii\.gz: does not overlap"):
        onto_first_grid({"T1": Volume(head, GRID), "T2": far})


def test_overlap_counts_voxel_centres() -> None:
    assert overlap_fraction(GRID, GRID) == 1.0
    assert overlap_fraction(shifted(GRID, (15, 0, 0)), GRID) == pytest.approx(0.5)


def test_outside_the_other_scan_there_is_nothing(head: np.ndarray) -> None:
    moved = resample(head + 5, GRID, shifted(GRID, (15, 0, 0)))
    assert (moved[11:] == 0).all()
    assert (moved[:9] > 0).all()
