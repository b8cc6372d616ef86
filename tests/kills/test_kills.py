"""Killed at any moment, a writer, a command and a training run leave the old state or the new one.

OMNISYN_KILLS sets the number of kills of each kind (`make soak`: 1,000).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# The seconds that a thousand kills may take, whatever the machine.
LIMIT = 6 * 3600


def kill(kind: str, folder: Path, kills: int) -> dict[str, int]:
    """The states that so many kills left, counted; fails if one was torn."""
    kills = int(os.environ.get("OMNISYN_KILLS", kills))
    finished = subprocess.run(
        [sys.executable, "-m", "tests.kills.victims", kind, str(folder), str(kills), "11"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    report = json.loads(finished.stdout)
    print(kind, report)
    assert report["kills"] == kills
    states: dict[str, int] = report["states"]
    return states


def in_mid_write(states: dict[str, int]) -> int:
    """How many kills met an open file or a finished one; else they missed what matters."""
    telling = ("leftover", "between", "new")
    return sum(count for state, count in states.items() if any(word in state for word in telling))


@pytest.mark.parametrize("kind", ["writer", "directory"])
def test_a_writer_killed_200_times_leaves_the_old_state_or_the_new(
    kind: str, tmp_path: Path
) -> None:
    assert in_mid_write(kill(kind, tmp_path, 200)) >= 20


def test_synthesize_killed_20_times_leaves_the_old_result_or_the_new(tmp_path: Path) -> None:
    assert in_mid_write(kill("synthesize", tmp_path, 20)) >= 1


def test_training_killed_20_times_ends_as_an_unbroken_run(tmp_path: Path) -> None:
    states = kill("training", tmp_path, 20)

    assert states.get("unfinished", 0) >= 5
