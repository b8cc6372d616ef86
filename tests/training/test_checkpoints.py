import json
from pathlib import Path

import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.training.checkpoints import (
    Checkpoint,
    checkpoint_folders,
    load_checkpoint,
    load_newest_checkpoint,
    optimizer_tensors,
    remove_leftovers,
    restore_optimizer,
    save_checkpoint,
)


def checkpoint(step: int) -> Checkpoint:
    weights = {"a.weight": torch.full((2, 3), float(step)), "a.count": torch.tensor(step)}
    return Checkpoint(step, {"weights": weights}, {"best": 0.1 + 0.2, "note": None})


def test_checkpoint_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint(5), keep=2)
    found = load_checkpoint(path)
    assert found.step == 5
    assert found.state == {"best": 0.1 + 0.2, "note": None}
    assert torch.equal(found.tensors["weights"]["a.weight"], torch.full((2, 3), 5.0))
    assert found.tensors["weights"]["a.count"].dtype == torch.int64


def test_newest_are_kept_and_a_step_may_be_written_again(tmp_path: Path) -> None:
    for step in (1, 2, 3, 3):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert [path.name for path in checkpoint_folders(tmp_path)] == [
        "step-00000003",
        "step-00000002",
    ]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_newest_checkpoint(tmp_path / "missing", print) is None


@pytest.mark.parametrize(
    "fault", ["cut", "changed", "missing", "state", "number", "entry", "format"]
)
def test_damaged_checkpoint_is_passed_over_aloud(tmp_path: Path, fault: str) -> None:
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    newest = save_checkpoint(tmp_path, checkpoint(2), keep=2)
    weights, state = newest / "weights.safetensors", newest / "state.json"
    content = weights.read_bytes()
    if fault == "cut":
        weights.write_bytes(content[:-1])
    elif fault == "changed":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif fault == "missing":
        weights.unlink()
    elif fault == "state":
        state.write_text(state.read_text()[:-5])
    elif fault == "number":
        state.write_text(state.read_text().replace("0.30000000000000004", "0.31"))
    elif fault == "entry":
        record = json.loads(state.read_text())
        del record["state"]["best"]
        state.write_text(json.dumps(record))
    else:
        state.write_text(json.dumps({**json.loads(state.read_text()), "format": 99}))
    heard: list[str] = []
    found = load_newest_checkpoint(tmp_path, heard.append)
    assert found is not None
    assert found.step == 1
    assert len(heard) == 1
    assert "falling back" in heard[0]
    assert "step-00000002" in heard[0]


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    for step in (1, 2):
        path = save_checkpoint(tmp_path / "run/checkpoints", checkpoint(step), keep=2)
        (path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="no checkpoint of the run can be read"):
        load_newest_checkpoint(tmp_path / "run/checkpoints", lambda _: None)


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    (tmp_path / ".step-00000002.abc.partial").mkdir()
    (tmp_path / ".step-00000002.abc.partial/weights.safetensors").write_bytes(b"half")
    (tmp_path / ".best.safetensors.abc.partial").write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_weight_that_is_not_finite_is_not_checkpointed(tmp_path: Path) -> None:
    broken = Checkpoint(1, {"weights": {"a": torch.tensor([float("nan")])}}, {})
    with pytest.raises(ModelError):
        save_checkpoint(tmp_path, broken, keep=1)
    assert list(tmp_path.iterdir()) == []


def test_optimizer_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    def network() -> torch.nn.Linear:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return torch.nn.Linear(3, 2)

    def step(module: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()

    unbroken = network()
    optimizer = torch.optim.AdamW(unbroken.parameters(), lr=0.1)
    step(unbroken, optimizer)
    resumed = network()
    resumed.load_state_dict(unbroken.state_dict())
    save_checkpoint(
        tmp_path, Checkpoint(1, {"optimizer": optimizer_tensors(optimizer)}, {}), keep=1
    )
    again = torch.optim.AdamW(resumed.parameters(), lr=0.1)
    restore_optimizer(again, load_checkpoint(tmp_path / "step-00000001").tensors["optimizer"])
    step(unbroken, optimizer)
    step(resumed, again)
    assert torch.equal(unbroken.weight, resumed.weight)
    assert torch.equal(unbroken.bias, resumed.bias)
