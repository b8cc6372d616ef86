"""A folder of files on a server that stands in for Zenodo."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.file_server import FileServer


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between a test and its own server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def content() -> bytes:
    """A file of 300,000 bytes of which no two parts are alike."""
    return np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def server(tmp_path: Path, content: bytes) -> Iterator[FileServer]:
    """Gives `data.zip`."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "data.zip").write_bytes(content)
    with FileServer(folder) as running:
        yield running
