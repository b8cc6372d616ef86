import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.models.checkpoint_file import read_checkpoint


class Harmful:
    """A pickle of it would touch a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps(Harmful())])
def test_what_is_no_checkpoint_is_refused_and_nothing_in_it_runs(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)
    torch.save({"harm": Harmful()}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(path)
    assert not Path("harm").exists()


def test_a_file_that_is_missing_or_without_tensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "gone.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(tmp_path / "empty.pt")


def test_one_of_several_parts_is_taken(tmp_path: Path) -> None:
    parts = {"first": {"module.a": torch.ones(1)}, "second": {"b": torch.zeros(2)}}
    torch.save(parts, tmp_path / "parts.pkl")
    assert read_checkpoint(tmp_path / "parts.pkl", "first").keys() == {"a"}
    assert read_checkpoint(tmp_path / "parts.pkl", "second").keys() == {"b"}
    with pytest.raises(ModelError, match="no tensors by name"):
        read_checkpoint(tmp_path / "parts.pkl")
