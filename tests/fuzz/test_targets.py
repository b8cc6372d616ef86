"""A bounded run of every fuzz target; `make fuzz` runs them for longer."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

CASES = {"nifti": 600, "dicom": 150, "weights": 200, "recipe": 400}


@pytest.fixture(scope="module")
def targets() -> ModuleType:
    path = Path(__file__).with_name("targets.py")
    specification = importlib.util.spec_from_file_location("omnisyn_fuzz_targets", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "cases"), CASES.items())
def test_damaged_files_are_refused_in_one_line_or_read_whole(
    targets: ModuleType, tmp_path: Path, name: str, cases: int
) -> None:
    counts = targets.fuzz(name, tmp_path, cases, seed=5)

    assert counts["refused"] + counts["accepted"] == cases
    # Neither a reader that refuses everything nor one that looks at nothing would show a fault.
    assert counts["refused"] > cases // 20
    assert counts["accepted"] > 0


@pytest.mark.parametrize("name", CASES)
def test_the_seeds_themselves_are_accepted(targets: ModuleType, tmp_path: Path, name: str) -> None:
    target = targets.TARGETS[name]()
    for seed in target.seeds(tmp_path):
        path = tmp_path / target.name
        path.write_bytes(seed)
        target.read(path)
