"""A bounded run of every fuzz target; `make fuzz` runs them for longer."""

from pathlib import Path

import pytest

from tests.fuzz import targets

CASES = {"nifti": 600, "dicom": 150, "weights": 200, "recipe": 400}


@pytest.mark.parametrize(("name", "cases"), CASES.items())
def test_damaged_files_are_refused_in_one_line_or_read_whole(
    tmp_path: Path, name: str, cases: int
) -> None:
    counts = targets.fuzz(name, tmp_path, cases, seed=5)

    assert counts["refused"] + counts["accepted"] == cases
    # Neither a reader that refuses everything nor one that looks at nothing would show a fault.
    assert counts["refused"] > cases // 20
    assert counts["accepted"] > 0


@pytest.mark.parametrize("name", CASES)
def test_the_seeds_themselves_are_accepted(tmp_path: Path, name: str) -> None:
    target = targets.TARGETS[name]()
    for seed in target.seeds(tmp_path):
        path = tmp_path / target.name
        path.write_bytes(seed)
        target.read(path)
