"""Checkpoints: safetensors and JSON in one folder that appears whole or not at all.

A checkpoint `step-00001200/` holds one `.safetensors` file per group of tensors (the weights, the
moving average, the optimizer, the best weights so far) and `state.json`, which says the step, the
numbers that a resumed run needs, the size and SHA-256 of every file beside it, and the SHA-256 of
all that. Nothing is pickled.
"""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omnisyn.errors import ModelError
from omnisyn.listeners import Note
from omnisyn.models.tensor_file import FileSeal, parse_tensors, read_sealed, write_tensors
from omnisyn.paths import read_json
from omnisyn.volumes.atomic import (
    atomic_directory,
    json_bytes,
    remove_directory,
    resource_error,
    write_json_atomic,
)

FORMAT = 2
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        step: optimizer steps done.
        tensors: group ("weights", "average", "optimizer", "best") to named tensors.
        state: what fits into JSON.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


def read_tensors(path: Path, seal: FileSeal) -> dict[str, Tensor]:
    """The tensors of a file that this package wrote, on the CPU.

    Raises:
        ModelError: the file is missing, or not the one that `seal` describes.
        ResourceError: it cannot be read.
    """
    return parse_tensors(read_sealed(path, seal), place_of(path))


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `checkpoint` below `folder` and remove all but the newest `keep`.

    A checkpoint of the same step is replaced. Returns the checkpoint's folder.

    Raises:
        ResourceError: the disk is full or gone; older checkpoints are untouched.
        ModelError: a weight is not finite.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise resource_error("cannot make the folder", folder, error) from error
    path = folder / f"step-{checkpoint.step:08d}"
    with atomic_directory(path, overwrite=True) as partial:
        seals = {
            group: write_tensors(partial / f"{group}.safetensors", tensors, "float32")
            for group, tensors in checkpoint.tensors.items()
        }
        record = {
            "format": FORMAT,
            "step": checkpoint.step,
            "seals": {group: seal._asdict() for group, seal in seals.items()},
            "state": dict(checkpoint.state),
        }
        write_json_atomic(partial / "state.json", {**record, "sha256": _digest(record)})
    for old in checkpoint_folders(folder)[keep:]:
        remove_directory(old)
    return path


def checkpoint_folders(folder: Path) -> list[Path]:
    """Checkpoints below `folder`, newest (most steps) first."""
    if not folder.is_dir():
        return []
    found = [each for each in folder.iterdir() if each.is_dir() and _NAME.fullmatch(each.name)]
    return sorted(found, key=lambda each: int(each.name[5:]), reverse=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint and check every digest, that of `state.json` too: which weights lie
    beside it, and under which step they are handed on, is said there alone.

    Raises:
        ModelError: it is incomplete, damaged, or of another format.
    """
    try:
        record = read_json(path / "state.json")
        digest = record.pop("sha256", None)
        written_as, step, state = (record[key] for key in ("format", "step", "state"))
        whole = written_as != FORMAT or digest == _digest(record)
        seals = {group: FileSeal(**seal) for group, seal in record["seals"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ModelError(
            "a checkpoint cannot be read", where=place_of(path), why="its state.json is damaged"
        )
    if written_as != FORMAT:
        raise ModelError(
            "a checkpoint cannot be read",
            where=place_of(path),
            why=f"it has format {written_as}, this version reads {FORMAT}",
            remedy="start a new run, or continue with the version that wrote it",
        )
    tensors = {
        group: read_tensors(path / f"{group}.safetensors", seal) for group, seal in seals.items()
    }
    return Checkpoint(int(step), tensors, state)


def load_newest_checkpoint(folder: Path, say: Note) -> Checkpoint | None:
    """The newest readable checkpoint below `folder`, or None where there is none at all.

    A damaged one is passed over, and `say` hears of it.

    Raises:
        ModelError: there are checkpoints, and every one is damaged.
    """
    damaged = []
    for path in checkpoint_folders(folder):
        try:
            return load_checkpoint(path)
        except ModelError as error:
            damaged.append(path.name)
            say(f"{path.name}: {error.what}; falling back to the checkpoint before it")
    if damaged:
        raise ModelError(
            "no checkpoint of the run can be read",
            where=folder.parent.name,
            why=f"{', '.join(damaged)} are damaged",
            remedy="start anew with --resume never and another --out",
        )
    return None


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written folders that a killed run left below `folder`."""
    if folder.is_dir():
        for path in folder.glob(".*.partial"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as flat named tensors `INDEX.NAME` (`12.exp_avg`)."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave; the settings stay those of `optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_bytes(record)).hexdigest()


def place_of(path: Path) -> str:
    """What a file or folder of a run is called in messages: its name with its folder's."""
    return "/".join(path.parts[-2:])
