from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.settings import parse
from omnisyn.simulate.label_maps.key import KEY_FILE, LabelKey, keyed_files, shipped_keys
from tests.simulate.label_maps.conftest import KEY

SHARED = Path(__file__).parents[4] / "shared/data/anatomy"
LEAST = {"name": "x", "credit": "x", "files": ["*"], "tissues": {"air": [0], "CSF": [24]}}


def test_a_folder_is_read_by_the_key_beside_its_maps(folder):
    ((path, key),) = keyed_files(folder)
    assert path.name == "box1.nii.gz"
    assert key.name == "boxes"


def test_known_sets_are_recognised_by_their_file_names(tmp_path):
    for name in ("training_seg_02.nii.gz", "DCA.nii.gz", "notes.nii.gz"):
        (tmp_path / name).touch()
    found = {path.name: key.name for path, key in keyed_files(tmp_path)}
    assert set(found) == {"training_seg_02.nii.gz", "DCA.nii.gz"}
    assert "SynthSeg" in found["training_seg_02.nii.gz"]


def test_a_folder_without_a_known_map_says_what_to_write(tmp_path):
    (tmp_path / "head.nii.gz").touch()
    with pytest.raises(InputError) as caught:
        keyed_files(tmp_path)
    assert KEY_FILE in caught.value.remedy


def test_a_missing_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError):
        keyed_files(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"soft": [24]}, "label 24 has two meanings"),
        ({"ventricles": [4]}, "ventricle 4"),
        ({"chiasm": [85]}, "chiasm 85"),
        ({"orientation": "RRS"}, "one letter each"),
        ({"orientation": "XYZ"}, "one letter each"),
        ({"tissues": {"cheese": [1]}}, "no tissue 'cheese'"),
    ],
)
def test_what_contradicts_itself_is_refused(change, told):
    with pytest.raises(InputError) as caught:
        parse(LabelKey, LEAST | change)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "synthseg/training_seg_01.nii.gz",
        "synthseg/training_seg_13.nii.gz",
        "martinos/DCA.nii.gz",
        "martinos/Angel001.nii.gz",
    ],
)
def test_the_shipped_keys_know_every_label_of_the_public_maps(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip("the shared label maps are not here")
    key = dict(keyed_files(path.parent))[path]
    named = {label for labels in key.tissues.values() for label in labels}
    unnamed = {label for group in key.unnamed for label in group.labels}
    found = set(np.unique(np.asarray(nibabel.load(path).dataobj)).tolist())
    assert found <= named | unnamed | {*key.soft, *key.bone}
    assert all(len(group.tissues) > 1 for group in key.unnamed)


def test_every_shipped_key_names_whom_to_thank():
    keys = shipped_keys()
    assert len(keys) >= 3
    assert all(len(key.credit) > 20 for key in keys)


def test_a_misspelt_word_is_met_with_the_right_one(tmp_path):
    (tmp_path / KEY_FILE).write_text(KEY.replace("files", "fils"))
    with pytest.raises(InputError) as caught:
        keyed_files(tmp_path)
    assert "did you mean 'files'" in caught.value.remedy
