"""The brain of a small head, found with the label map of another one."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.preparation.brain import brain_mask, read_atlas
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import write_volume

GRID = Geometry((38, 44, 36), np.diag([4.0, 4.0, 4.0, 1.0]))
WHITE, GREY, CSF, AROUND = 2, 3, 24, 507


def labels(centre: list[float], size: float) -> NDArray[np.uint16]:
    """A head of shells: white and grey matter, fluid, and what is around; radii in mm."""
    indices = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), axis=-1) * 4.0
    distance = np.linalg.norm((indices - centre) / [1.0, 1.2, 0.95], axis=-1) / size
    head = np.zeros(GRID.shape, dtype=np.uint16)
    for radius, label in ((62.0, AROUND), (48.0, CSF), (44.0, GREY), (32.0, WHITE)):
        head[distance < radius] = label
    return head


def scan(head: NDArray[np.uint16]) -> Volume:
    voxels = np.zeros(GRID.shape, dtype=np.float32)
    for label, brightness in ((WHITE, 400.0), (GREY, 300.0), (CSF, 100.0), (AROUND, 350.0)):
        voxels[head == label] = brightness
    return Volume(voxels, GRID)


def write_atlas(path: Path, head: NDArray[np.uint16]) -> Path:
    return write_volume(path, head, GRID, dtype="uint16")


def test_brain_of_another_head_is_found(tmp_path: Path):
    atlas = read_atlas(write_atlas(tmp_path / "atlas.nii.gz", labels([76.0, 88.0, 72.0], 1.0)))
    head = labels([69.0, 92.0, 75.0], 0.93)
    mask = brain_mask(scan(head), [atlas])
    brain = np.isin(head, [WHITE, GREY])
    assert mask[brain].mean() > 0.98
    assert not mask[head == 0].any()
    assert mask[head == AROUND].mean() < 0.06


def test_scan_that_no_atlas_fits_is_refused(tmp_path: Path):
    atlas = read_atlas(write_atlas(tmp_path / "atlas.nii.gz", labels([76.0, 88.0, 72.0], 1.0)))
    blank = Volume(np.ones(GRID.shape, np.float32), GRID)
    with pytest.raises(InputError, match="no brain was found"):
        brain_mask(blank, [atlas])


@pytest.mark.parametrize("label", [WHITE, AROUND])
def test_atlas_without_brain_or_surroundings_is_refused(tmp_path: Path, label: int):
    head = np.where(labels([76.0, 88.0, 72.0], 1.0) > 0, label, 0).astype(np.uint16)
    with pytest.raises(InputError, match=r"atlas\.nii\.gz: the atlas is no label map"):
        read_atlas(write_atlas(tmp_path / "atlas.nii.gz", head))
