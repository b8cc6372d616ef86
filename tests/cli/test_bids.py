"""A BIDS dataset from the outside: filters, and what the official validators say of the result."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn.cli import main
from tests.bids_dataset import raw_dataset
from tests.cli.lines import error_line

Synthesize = Callable[..., tuple[int, list[str], str]]

VALIDATORS = {
    "npm": ("OMNISYN_BIDS_VALIDATOR", "bids-validator"),
    "schema": ("OMNISYN_BIDS_SCHEMA_VALIDATOR", "bids-validator-deno"),
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A small raw dataset."""
    return raw_dataset(tmp_path / "raw")


@pytest.fixture
def synthesize(weights: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> Synthesize:
    """Runs the command on the dataset: exit code, names of the volumes made, stderr."""

    def run(*words: str | Path) -> tuple[int, list[str], str]:
        given = ["--src", dataset, "--weights", weights, "--device", "cpu", *words]
        code = main(["synthesize", *map(str, given)])
        captured = capsys.readouterr()
        return code, [Path(line).name for line in captured.out.splitlines()], captured.err

    return run


def test_subjects_and_sessions_are_chosen(synthesize: Synthesize) -> None:
    code, made, _ = synthesize("-t", "T2", "--subject", "01", "--session", "ses-pre")
    assert (code, made) == (0, ["sub-01_ses-pre_run-2_desc-synth_T2w.nii.gz"])
    code, made, _ = synthesize("-t", "PD", "--subject", "sub-02", "--subject", "01", "-o", "b")
    assert code == 0
    assert [name.split("_desc")[0] for name in made] == [
        "sub-01_ses-post_acq-FLAIRlike", "sub-01_ses-pre_run-2", "sub-02_acq-axial",
    ]  # fmt: skip


def test_an_unknown_label_exits_with_2_and_names_the_nearest(synthesize: Synthesize) -> None:
    code, made, err = synthesize("-t", "T2", "--subject", "03")
    assert (code, made) == (2, [])
    assert "there is no subject '03'; the nearest are 02, 01" in error_line(err)
    code, _, err = synthesize("-t", "T2", "--session", "pos")
    assert code == 2
    assert "there is no session 'pos'; the nearest are post" in error_line(err)
    assert not Path("omnisyn-out").exists()


@pytest.mark.parametrize("which", VALIDATORS)
def test_the_official_validator_accepts_dataset_and_derivative(
    synthesize: Synthesize, dataset: Path, tmp_path: Path, which: str
) -> None:
    variable, command = VALIDATORS[which]
    validator = os.environ.get(variable) or shutil.which(command)
    if validator is None:
        pytest.skip(f"{command} is not on PATH, and {variable} does not name it")
    inside, outside = dataset / "derivatives" / "omnisyn", tmp_path / "outside"
    for output in (inside, outside):
        assert synthesize("-t", "T2", "-t", "T1c", "-t", "MRA", "--preview", "-o", output)[0] == 0
    for folder in (dataset, inside, outside):
        run = subprocess.run(
            [validator, str(folder), "--json"], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout
    # It does not accept everything: one goes by the description, the other by the names.
    if which == "npm":
        description = inside / "dataset_description.json"
        told = json.loads(description.read_text())
        del told["Name"]
        description.write_text(json.dumps(told))
    else:
        (inside / ".bidsignore").unlink()
    assert subprocess.run([validator, str(inside)], capture_output=True, check=False).returncode
