import pytest
import torch

from omnisyn.errors import UsageError
from omnisyn.models.device import choose_device, choose_precision


def test_only_auto_falls_back_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    heard: list[str] = []
    assert choose_device("auto", heard.append).type == "cpu"
    assert len(heard) == 1
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(UsageError, match="not on this machine"):
            choose_device(name, heard.append)
    assert len(heard) == 1


def test_auto_takes_a_gpu_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    heard: list[str] = []
    assert choose_device("auto", heard.append).type == "cuda"
    assert heard == []


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "mps:0", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="unknown device"):
        choose_device(name, print)


def test_a_gpu_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1", print) == torch.device("cuda:1")
    with pytest.raises(UsageError, match="2 CUDA devices"):
        choose_device("cuda:2", print)


def test_an_unknown_precision_is_refused() -> None:
    assert choose_precision("bfloat16") is torch.bfloat16
    with pytest.raises(UsageError, match="float16"):
        choose_precision("half")
