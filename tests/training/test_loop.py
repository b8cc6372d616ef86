import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.errors import InputError, ModelError
from omnisyn.studies.slices import SliceBatch, SourceClosed
from omnisyn.training.loop import Loop
from omnisyn.training.pretrain import Pretraining, pretrain
from omnisyn.training.run import RunFolder, RunOptions
from omnisyn.training.stage import Row, Validation

PROGRAM = Path(__file__).with_name("stand_in.py")
ALL_STATES = ("weights", "average", "optimizer", "best")


def start(stage: str, out: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), stage, str(out), str(pause)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_first_loss(process: subprocess.Popen[str], out: Path, lines: int) -> None:
    """Until metrics.jsonl has grown beyond `lines`, so that training is under way."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        metrics = out / "metrics.jsonl"
        if metrics.is_file() and len(metrics.read_text().splitlines()) > lines:
            return
        time.sleep(0.01)
    process.kill()
    pytest.fail(f"no training within three minutes: {process.communicate()[1]}")


def same_bytes(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def last_checkpoint(out: Path) -> Path:
    return max((out / "checkpoints").glob("step-*"))


def test_run_killed_at_random_moments_ends_as_an_unbroken_one(
    runs: Path, stand_in: ModuleType
) -> None:
    out = runs / "killed"
    moments = random.Random()
    kills = 0
    for _ in range(2):
        process = start("finetune", out, 0.1)
        metrics = out / "metrics.jsonl"
        before = len(metrics.read_text().splitlines()) if metrics.is_file() else 0
        wait_for_first_loss(process, out, min(before, 1))
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1
    stand_in.train("finetune", out)
    unbroken = runs / "finetune"
    assert same_bytes(out / "final/model.safetensors", unbroken / "final/model.safetensors")
    assert last_checkpoint(out).name == last_checkpoint(unbroken).name
    for name in ALL_STATES:
        file = f"{name}.safetensors"
        assert same_bytes(last_checkpoint(out) / file, last_checkpoint(unbroken) / file)


def test_sigterm_writes_a_checkpoint_and_exits_143(runs: Path, stand_in: ModuleType) -> None:
    out = runs / "terminated"
    process = start("pretrain", out, 0.3)
    wait_for_first_loss(process, out, 0)
    process.terminate()
    notes = process.communicate()[1]
    assert process.returncode == 143
    assert "--resume auto goes on" in notes
    step = json.loads((last_checkpoint(out) / "state.json").read_text())["step"]
    assert 2 <= step < 6
    assert RunFolder(out).record()["finished"] is False
    result = stand_in.train("pretrain", out)
    assert (result.step, result.stopped_by) == (6, "steps")
    assert same_bytes(
        out / "final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


@pytest.mark.parametrize("slow", ["batch", "validation"])
def test_stop_does_not_wait_for_a_source_that_takes_long(
    runs: Path, stand_in: ModuleType, tmp_path: Path, slow: str
) -> None:
    class Slow(stand_in.Discs):  # type: ignore[misc, name-defined]
        closed = threading.Event()

        def wait(self, kind: str) -> None:
            if kind == slow:
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
                self.closed.wait(60)
                raise SourceClosed

        def batch(self, step: int) -> SliceBatch:
            if step == 3:
                self.wait("batch")
            return super().batch(step)

        def validation(self) -> tuple[SliceBatch, ...]:
            self.wait("validation")
            return super().validation()

        def close(self) -> None:
            self.closed.set()

    out = tmp_path / "stopped"
    begun = time.monotonic()
    with pytest.raises(SystemExit) as left:
        pretrain(RunOptions(recipe=stand_in.RECIPE, out=out, device="cpu"), source=Slow())
    assert left.value.code == 143
    assert time.monotonic() - begun < 20
    assert last_checkpoint(out).name == f"step-0000000{3 if slow == 'batch' else 0}"
    stand_in.train("pretrain", out)
    assert same_bytes(
        out / "final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


def test_second_process_is_kept_out_of_a_run_and_its_half_written_files(
    runs: Path, stand_in: ModuleType
) -> None:
    out = runs / "alone"
    process = start("pretrain", out, 0.4)
    wait_for_first_loss(process, out, 0)
    (out / ".half.partial").touch()
    with pytest.raises(InputError, match="alone: the run is in use by another process"):
        stand_in.train("pretrain", out)
    assert (out / ".half.partial").exists()
    notes = process.communicate()[1]
    assert process.returncode == 0, notes
    assert same_bytes(
        out / "final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


def test_damaged_newest_checkpoint_falls_back_to_the_one_before(
    runs: Path, tmp_path: Path, stand_in: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "damaged"
    shutil.copytree(runs / "pretrain", out)
    weights = last_checkpoint(out) / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    stand_in.train("pretrain", out)
    notes = capsys.readouterr().err
    assert "falling back" in notes
    assert "goes on from step 4" in notes
    assert same_bytes(
        out / "final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_best_weights_that_are_damaged_are_never_exported(
    runs: Path, tmp_path: Path, stand_in: ModuleType, damage: str
) -> None:
    out = tmp_path / "damaged"
    shutil.copytree(runs / "pretrain", out)
    shutil.rmtree(out / "final")
    best = last_checkpoint(out) / "best.safetensors"
    content = best.read_bytes()
    best.write_bytes(content[:-1] + bytes([content[-1] ^ (damage == "changed")]))
    if damage == "cut":
        best.write_bytes(content[:-50])
    elif damage == "missing":
        best.unlink()
    stand_in.train("pretrain", out)
    assert same_bytes(
        out / "final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


def test_weights_of_a_validation_that_no_checkpoint_knows_are_not_exported(
    tmp_path: Path, stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the validation of step 6, resumed from step 4 and ended there."""
    out = tmp_path / "run"
    scores = iter([0.0, 1.0])
    summarize, save = Pretraining.summarize, Loop._save

    def rising(self: Pretraining, rows: Sequence[Row]) -> Validation:
        return dataclasses.replace(summarize(self, rows), score=next(scores))

    def killed(self: Loop) -> None:
        if self.standing.validated == 6:
            raise InterruptedError
        save(self)

    monkeypatch.setattr(Pretraining, "summarize", rising)
    monkeypatch.setattr(Loop, "_save", killed)
    with pytest.raises(InterruptedError):
        stand_in.train("pretrain", out)
    monkeypatch.undo()
    stand_in.train("pretrain", out, max_time=0.0)
    assert RunFolder(out).record()["best_step"] == 4
    assert same_bytes(
        out / "final/encoder.safetensors", out / "checkpoints/step-00000004/weights.safetensors"
    )


def test_bytes_that_are_no_text_at_the_end_of_the_metrics_do_not_hinder_a_resumption(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    out = tmp_path / "run"
    shutil.copytree(runs / "pretrain", out)
    whole = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(whole + b"\xff\0\0")
    stand_in.train("pretrain", out)
    assert (out / "metrics.jsonl").read_bytes() == whole


def test_metrics_of_a_resumed_run_hold_every_step_once(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    out = tmp_path / "again"
    shutil.copytree(runs / "pretrain", out)
    shutil.rmtree(last_checkpoint(out))
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "ki')
    stand_in.train("pretrain", out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["kind"]) for line in lines] == [
        (2, "train"),
        (4, "train"),
        (4, "validation"),
        (6, "train"),
        (6, "validation"),
    ]


def test_run_stopped_by_time_has_a_product_and_goes_on_later(
    runs: Path, tmp_path: Path, stand_in: ModuleType
) -> None:
    out = tmp_path / "short"
    first = stand_in.train("pretrain", out, pause=0.2, max_time=0.3)
    assert first.stopped_by == "time"
    assert first.step < 6
    assert (out / "final/encoder.safetensors").is_file()
    second = stand_in.train("pretrain", out)
    assert (second.step, second.stopped_by) == (6, "steps")
    assert same_bytes(
        last_checkpoint(out) / "weights.safetensors",
        last_checkpoint(runs / "pretrain") / "weights.safetensors",
    )


def test_other_seed_gives_other_weights(runs: Path, tmp_path: Path, stand_in: ModuleType) -> None:
    stand_in.train("pretrain", tmp_path / "other", seed=1)
    assert not same_bytes(
        tmp_path / "other/final/encoder.safetensors", runs / "pretrain/final/encoder.safetensors"
    )


def test_only_the_newest_checkpoints_are_kept(runs: Path) -> None:
    names = sorted(path.name for path in (runs / "finetune/checkpoints").glob("step-*"))
    assert names == ["step-00000006", "step-00000008"]


def test_tensorboard_and_metrics_say_the_same(runs: Path) -> None:
    lines = [
        json.loads(line) for line in (runs / "finetune/metrics.jsonl").read_text().splitlines()
    ]
    assert {"loss", "l1", "ssim", "text", "learning_rate"} <= lines[0].keys()
    assert {"ssim", "psnr"} <= lines[-1].keys()
    assert list((runs / "finetune/tensorboard").glob("events.*"))


def test_loss_that_is_no_number_ends_the_run(tmp_path: Path, stand_in: ModuleType) -> None:
    class Broken(stand_in.Discs):  # type: ignore[misc, name-defined]
        def batch(self, step: int) -> SliceBatch:
            whole = super().batch(step)
            return dataclasses.replace(whole, images=whole.images * torch.nan)

    options = RunOptions(recipe=stand_in.RECIPE, out=tmp_path / "nan", device="cpu")
    with pytest.raises(ModelError, match="no longer a number"):
        pretrain(options, source=Broken())
    assert list((tmp_path / "nan/checkpoints").glob("step-*")) == []


def test_no_finite_validation_figure_means_no_product(tmp_path: Path, stand_in: ModuleType) -> None:
    options = RunOptions(recipe=stand_in.RECIPE, out=tmp_path / "blind", device="cpu")
    with pytest.raises(ModelError, match="no weights to export"):
        pretrain(options, source=stand_in.Discs(patients=0))


def test_resumption_with_other_settings_is_refused(runs: Path, stand_in: ModuleType) -> None:
    with pytest.raises(InputError, match="seed is 0 there and 5 here"):
        stand_in.train("pretrain", runs / "pretrain", seed=5)
