"""A head of nested boxes in FreeSurfer-like labels, written as a file with its key beside it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from omnisyn.simulate.label_maps.key import KEY_FILE, LabelKey, keyed_files
from omnisyn.simulate.label_maps.maps import LabelMap, read_label_map

KEY = """
name = "boxes"
credit = "the tests"
files = ["box*.nii.gz"]
ventricles = [4]
soft = [507]
bone = [515]

[tissues]
air = [0]
white_matter = [2]
grey_matter = [3]
CSF = [4, 24]

[[unnamed]]
labels = [530]
tissues = ["muscle", "cartilage"]
"""


def box_head() -> NDArray[np.uint16]:
    """Labels (x, y, z) of 3 mm voxels, RAS+: soft tissue, skull, fluid, grey, white, ventricle.

    One unnamed block lies in the soft tissue on the patient's left, at the front.
    """
    labels = np.zeros((64, 72, 60), dtype=np.uint16)
    for margin, label in ((4, 507), (8, 515), (11, 24), (13, 3), (17, 2), (26, 4)):
        labels[margin:-margin, margin:-margin, margin:-margin] = label
    labels[5:8, 60:66, 20:30] = 530
    return labels


def write_labels(path: Path, labels: NDArray[np.uint16], affine: NDArray[np.float64]) -> Path:
    """As a NIfTI file."""
    nibabel.save(nibabel.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one map and its key."""
    write_labels(tmp_path / "box1.nii.gz", box_head(), np.diag([3.0, 3.0, 3.0, 1.0]))
    (tmp_path / KEY_FILE).write_text(KEY)
    return tmp_path


@pytest.fixture
def key(folder: Path) -> LabelKey:
    """The key of the boxes."""
    return keyed_files(folder)[0][1]


@pytest.fixture
def boxes(folder: Path, key: LabelKey) -> LabelMap:
    """The boxes as they lie in memory."""
    return read_label_map(folder / "box1.nii.gz", key)
