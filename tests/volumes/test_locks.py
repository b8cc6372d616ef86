import subprocess
import sys
import threading
import time

import pytest

from omnisyn.volumes.locks import held_if_free, locked

HOLD = """
import sys
from pathlib import Path
from omnisyn.volumes.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder until it ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"held\n"
    yield child
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


def test_a_folder_that_another_run_holds_is_not_free(tmp_path, holder):
    with held_if_free(tmp_path) as free:
        assert not free


def test_a_lock_goes_with_its_holder_however_that_ends(tmp_path, holder):
    holder.kill()
    holder.wait()

    with held_if_free(tmp_path) as free:
        assert free


def test_waiting_ends_when_the_other_run_lets_go(tmp_path, holder):
    threading.Timer(0.2, holder.kill).start()
    start = time.monotonic()

    with locked(tmp_path):
        waited = time.monotonic() - start

    assert waited >= 0.1


def test_a_folder_is_free_again_after_use(tmp_path):
    for _ in range(2):
        with held_if_free(tmp_path) as free:
            assert free


def test_a_file_that_is_missing_is_made_to_be_held(tmp_path):
    with locked(tmp_path / ".lock"), held_if_free(tmp_path / ".lock") as free:
        assert not free
    assert (tmp_path / ".lock").is_file()


def test_without_a_folder_there_is_nothing_to_hold(tmp_path):
    with locked(tmp_path / "gone" / "a"), held_if_free(tmp_path / "gone" / "a") as free:
        assert free
