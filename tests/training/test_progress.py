import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from omnisyn.errors import ResourceError
from omnisyn.training.progress import Board, MetricsLog
from omnisyn.training.run import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run")
    run.make()
    return run


def say_nothing(_: str) -> None:
    pass


def full() -> OSError:
    return OSError(28, os.strerror(28))


def test_board_shows_what_metrics_say_and_hides_what_a_killed_session_wrote(
    run: RunFolder,
) -> None:
    for done, steps in ((0, (2, 4, 6)), (4, (6, 8))):
        with MetricsLog(run, done, True, say_nothing) as log:
            for step in steps:
                log.write(step, "train", {"loss": step + done / 8})
    board = EventAccumulator(str(run.path / "tensorboard")).Reload()
    shown = [(event.step, event.value) for event in board.Scalars("train/loss")]
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert shown == [(line["step"], line["loss"]) for line in lines]
    assert shown == [(2, 2.0), (4, 4.0), (6, 6.5), (8, 8.5)]


def test_board_that_cannot_be_written_is_given_up_with_one_note(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Board, step: int, kind: str, figures: Mapping[str, float]) -> None:
        raise full()

    monkeypatch.setattr(Board, "write", fail)
    heard: list[str] = []
    with MetricsLog(run, 0, True, heard.append) as log:
        for step in (1, 2):
            log.write(step, "train", {"loss": 1.0})
    assert heard == ["tensorboard: cannot write (the disk is full); training goes on without it"]
    assert len(run.metrics.read_text().splitlines()) == 2


def test_place_without_room_for_a_board_does_not_stop_the_training(run: RunFolder) -> None:
    (run.path / "tensorboard").touch()
    heard: list[str] = []
    with MetricsLog(run, 0, True, heard.append) as log:
        log.write(1, "train", {"loss": 1.0})
    assert len(heard) == 1
    assert run.metrics.is_file()


def test_metrics_that_cannot_be_written_are_named_with_the_remedy(run: RunFolder) -> None:
    with MetricsLog(run, 0, True, say_nothing) as log:
        run.metrics.symlink_to("/dev/full")
        with pytest.raises(ResourceError) as refused:
            log.write(1, "train", {"loss": 1.0})
    assert str(refused.value) == (
        "metrics.jsonl: cannot write (the disk is full); "
        "free some space or choose another output folder"
    )


def test_nothing_is_kept_by_the_processes_that_are_not_the_first(run: RunFolder) -> None:
    with MetricsLog(run, 0, False, say_nothing) as log:
        log.write(1, "train", {"loss": 1.0})
    assert list(run.path.iterdir()) == []
