import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.simulate.label_maps.maps import BONE, DURA, SOFT, UNNAMED, read_label_map
from omnisyn.simulate.tissues import tissue_index
from tests.simulate.label_maps.conftest import box_head, write_labels


def test_the_head_lies_upwards_to_the_back_and_to_the_left(boxes):
    # The unnamed block is on the left, at the front, low.
    places = np.argwhere(boxes.classes == UNNAMED).mean(axis=0)
    slices, rows, columns = boxes.classes.shape
    assert places[0] < slices / 2
    assert places[1] < rows / 2
    assert places[2] > columns / 2
    assert boxes.unnamed == (("muscle", "cartilage"),)
    assert boxes.spacing_mm == (3.0, 3.0, 3.0)


def test_only_the_head_is_kept_with_a_rim_of_air(boxes):
    assert boxes.classes.shape == (54, 66, 58)
    assert not boxes.classes[0].any()


def test_a_stated_orientation_overrules_the_file(tmp_path, key, boxes):
    labels = box_head()
    # Stored with axes to S, L, A, under an affine that claims RAS+.
    stored = np.transpose(labels, (2, 0, 1))[:, ::-1, :]
    path = write_labels(tmp_path / "box2.nii.gz", stored, np.diag([3.0, 3.0, 3.0, 1.0]))
    turned = read_label_map(path, key.model_copy(update={"orientation": "SLA"}))
    assert np.array_equal(turned.classes, boxes.classes)


def test_depth_counts_from_the_air_in_soft_tissue_and_from_the_surface_in_bone(boxes):
    middle = [size // 2 for size in boxes.classes.shape]
    line = boxes.classes[middle[0], :, middle[2]]
    depth = boxes.depth[middle[0], :, middle[2]]
    assert depth[line == SOFT][:4].tolist() == [1, 2, 3, 4]
    assert depth[line == BONE].max() <= 2


def test_bone_that_touches_the_inside_is_dura(boxes):
    middle = [size // 2 for size in boxes.classes.shape]
    line = boxes.classes[middle[0], :, middle[2]]
    first = int(np.flatnonzero(line == tissue_index("CSF"))[0])
    assert line[first - 1] == DURA
    assert line[first - 2] == BONE


def test_the_sella_below_the_chiasm_holds_a_pituitary(tmp_path, key):
    labels = box_head()
    # A sella of fluid in a block of bone, and above it the chiasm.
    labels[26:38, 30:42, 18:34] = 515
    labels[28:36, 32:40, 20:34] = 24
    labels[31:33, 35:37, 28] = 2
    path = write_labels(tmp_path / "box7.nii.gz", labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    without = read_label_map(path, key)
    # The white matter of the box head has its own label.
    labels[labels == 2] = 41
    labels[31:33, 35:37, 28] = 2
    path = write_labels(tmp_path / "box8.nii.gz", labels, np.diag([3.0, 3.0, 3.0, 1.0]))
    tissues = key.tissues | {"brainstem": (41,)}
    found = read_label_map(path, key.model_copy(update={"chiasm": (2,), "tissues": tissues}))
    pituitary = found.classes == tissue_index("pituitary_anterior")
    # An ellipsoid of 3.8, 5 and 6.5 mm.
    assert 0.7 < pituitary.sum() * 27 / 517 < 1.4
    assert not (without.classes == tissue_index("pituitary_anterior")).any()
    assert (without.classes[pituitary] == tissue_index("CSF")).all()
    chiasm = np.argwhere(found.classes == tissue_index("white_matter")).mean(axis=0)
    offset = (np.argwhere(pituitary).mean(axis=0) - chiasm) * 3
    assert offset == pytest.approx((-9, -2, 0), abs=1.6)


def test_the_origin_lies_inside_the_brain(boxes):
    place = tuple(round(value) for value in boxes.origin)
    assert boxes.brain[place] or boxes.ventricles[place]


def test_a_label_without_a_meaning_is_refused_by_name(tmp_path, key):
    labels = box_head()
    labels[0, 0, 0] = 77
    path = write_labels(tmp_path / "box3.nii.gz", labels, np.eye(4))
    with pytest.raises(InputError, match="label 77"):
        read_label_map(path, key)


def test_an_image_is_no_label_map(tmp_path, key):
    path = tmp_path / "box4.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((8, 8, 8), 2.5, np.float32), np.eye(4)), path)
    with pytest.raises(InputError, match="not a label map"):
        read_label_map(path, key)


def test_a_map_of_air_alone_is_refused(tmp_path, key):
    path = write_labels(tmp_path / "box6.nii.gz", 0 * box_head(), np.eye(4))
    with pytest.raises(InputError, match="no brain"):
        read_label_map(path, key)


def test_a_map_without_a_brain_is_refused(tmp_path, key):
    labels = np.where(np.isin(box_head(), (2, 3)), 507, box_head()).astype(np.uint16)
    path = write_labels(tmp_path / "box5.nii.gz", labels, np.eye(4))
    with pytest.raises(InputError, match="no brain"):
        read_label_map(path, key)
