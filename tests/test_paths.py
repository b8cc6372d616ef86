import os
from pathlib import Path

import pytest

from omnisyn.paths import (
    cache_dir,
    chosen_cache,
    data_root,
    name_of,
    named,
    open_regular,
    read_json,
)


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


def test_a_place_is_called_by_its_name_however_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "outer" / "inner")
    assert [name_of(Path(text)) for text in (".", "..", "../..", "/", "/a/b.nii.gz")] == [
        "inner", "outer", tmp_path.name, "/", "b.nii.gz",
    ]  # fmt: skip
    assert named(Path("..")).samefile("..")
    assert named(Path("a/b")) == Path("a/b")


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with open_regular(tmp_path / "file") as file:
        assert file.read() == b"content"
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "gone")


def test_json_is_read_from_regular_files_and_at_any_depth_it_is_a_value_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"name": "T1→T2"}', encoding="utf-8")
    assert read_json(path) == {"name": "T1→T2"}
    for content in (b"{", b"\xff\xfe", b"[" * 200_000):
        path.write_bytes(content)
        with pytest.raises(ValueError):  # noqa: PT011 - which words json finds is its own affair
            read_json(path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(OSError, match="not a regular file"):
        read_json(tmp_path / "pipe.json")
