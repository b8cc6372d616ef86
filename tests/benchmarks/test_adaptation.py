import numpy as np
import pytest

from benchmarks.adaptation import copy_without, main
from omnisyn.geometry import Geometry
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.cache_files import build_cache
from omnisyn.studies.site import DataRoot, SiteSettings, write_site
from omnisyn.volumes.write import write_volume

SHAPE = (6, 48, 48)
GEOMETRY = Geometry.axial(SHAPE, (1.0, 1.0, 1.0))
STUDIES = {"one_study1": "one", "one_study2": "one", "two": "two", "three": "three"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A site of three subjects, one of them scanned twice; T2 = 1.2 - T1."""
    root = tmp_path_factory.mktemp("root")
    rows, columns = np.mgrid[:48, :48]
    head = np.broadcast_to((rows - 24) ** 2 + (columns - 24) ** 2 < 18**2, SHAPE)
    for number, study in enumerate(STUDIES):
        tissue = np.random.default_rng(number).uniform(0.3, 1, SHAPE)
        (root / "clinic" / study).mkdir(parents=True)
        for name, image in {"T1": tissue, "T2": 1.2 - tissue}.items():
            voxels = GEOMETRY.from_slices((1000 * image * head).astype(np.float32))
            write_volume(root / "clinic" / study / f"{name}.nii.gz", voxels, GEOMETRY)
    settings = SiteSettings(name="clinic", role="train")
    table = [{"participant_id": study, "subject": subject} for study, subject in STUDIES.items()]
    build_cache(write_site(root, settings, table))
    return root


@pytest.mark.parametrize("subject", ["one", "two", "three"])
def test_no_study_of_the_subject_left_out_is_seen(root, tmp_path, subject):
    copy = copy_without(DataRoot(root).site("clinic"), subject, tmp_path)
    source = CachedSlices([copy], batch_size=2, crop=32, seed=1)
    seen = {*source.training_patients, *source.validation_patients}
    assert seen == {f"clinic/{study}" for study, who in STUDIES.items() if who != subject}
    assert source.training_patients
    assert source.validation_patients


def test_table_has_a_line_for_each_subject_left_out(root, capsys):
    options = ["--data", str(root), "--also", str(root), "--max-steps", "1", "--skip-slices", "4"]
    main([*options, "--device", "cpu"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| one")]
    assert len(table) == 2
    left_out, also = (line.strip("| ").split(" | ") for line in table)
    assert left_out[:2] == ["one", "clinic"]
    assert also[:2] == ["one", "clinic (also)"]
    # One step changes a little, and the controls not at all.
    assert left_out[2] != left_out[3]
