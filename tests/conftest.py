"""What the tests of several folders make."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dicom_series import DicomSeries
from tests.hub_server import HubServer


@pytest.fixture
def dicom_series():
    """The class of small DICOM series, to make as many as a test needs."""
    return DicomSeries


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running stand-in of the Hugging Face hub, and its client turned to it: nobody logged in,
    an empty cache, no xet (the test of xet turns it on)."""
    from huggingface_hub import close_session, constants

    server = HubServer(tmp_path / "hub")
    server.start()
    # The client reads the variables HF_… when it is imported.
    url = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    monkeypatch.setattr(constants, "HF_URL_HOSTS", frozenset({"127.0.0.1"}))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNISYN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))  # where hf_xet writes its log
    close_session()
    yield server
    close_session()
    server.stop()


@pytest.fixture
def log_in(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the hub's client a token."""
    return lambda token: monkeypatch.setenv("HF_TOKEN", token)
