import json
from pathlib import Path

import numpy as np
import pytest

from omnisyn.cli import main
from omnisyn.simulate.label_maps.key import KEY_FILE
from omnisyn.studies.site import DataRoot
from tests.simulate.label_maps.conftest import KEY, box_head, write_labels

COHORT = """
name = "mine"
description = "SIMULATED"
seed = 3
[[sites]]
name = "sim-mine"
role = "external"
profile = "thin"
patients = 2
hospital = "mine"
"""
PROFILE = """
base = "anywhere-brain"
matrix = 40
field_of_view_mm = [230.0, 230.0]
slices = [8, 8]
slice_thickness_mm = [9.0, 9.0]
centre_mm = [0.0, 0.0]
brain_extracted = 0.0
"""


def test_any_folder_of_label_maps_with_its_key_becomes_patients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    write_labels(maps / "box1.nii.gz", box_head(), np.diag([3.0, 3.0, 3.0, 1.0]))
    (maps / KEY_FILE).write_text(KEY)
    (tmp_path / "mine.toml").write_text(COHORT)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "thin.toml").write_text(PROFILE)
    assert main(["simulate", "mine.toml", "--label-maps", "maps", "--out", "data"]) == 0
    assert capsys.readouterr().out.splitlines() == ["data/sim-mine"]
    patients = DataRoot(Path("data")).site("sim-mine").patients()
    assert [patient.identifier for patient in patients] == ["001", "002"]
    for patient in patients:
        assert set(patient.contrasts()) == {"T1", "T1c", "T2", "FLAIR"}
        assert not {"T", "N", "M"} & set(patient.tags)
        told = json.loads((patient.path / "T1.json").read_text())
        assert told["Simulated"] is True
    first, second = (patient.study().volumes["T1"].voxels for patient in patients)
    assert not np.array_equal(first, second)
    assert main(["simulate", "mine.toml", "--label-maps", "profiles", "--out", "other"]) == 3
    assert KEY_FILE in capsys.readouterr().err
