from pathlib import Path

import pytest

from omnisyn.paths import cache_dir, chosen_cache, data_root


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMNISYN_CACHE", "OMNISYN_DATA", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_cache_is_the_first_of_argument_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == Path.home() / ".cache" / "omnisyn"
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert cache_dir() == Path("xdg/omnisyn")
    monkeypatch.setenv("HF_HOME", "hub")
    assert cache_dir() == Path("hub/omnisyn")
    monkeypatch.setenv("OMNISYN_CACHE", "own")
    assert cache_dir() == Path("own")
    assert cache_dir(Path("given")) == Path("given")


def test_a_cache_is_chosen_by_argument_or_our_own_variable_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HOME", "hub")
    assert chosen_cache() is None
    monkeypatch.setenv("OMNISYN_CACHE", "own")
    assert chosen_cache() == Path("own")
    assert chosen_cache(Path("given")) == Path("given")


def test_without_argument_and_variable_there_is_no_data_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert data_root() is None
    monkeypatch.setenv("OMNISYN_DATA", "")
    assert data_root() is None
    monkeypatch.setenv("OMNISYN_DATA", "data")
    assert data_root() == Path("data")
    assert data_root(Path("given")) == Path("given")
