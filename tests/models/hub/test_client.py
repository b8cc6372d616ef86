"""What the hub's client raises when the stand-in refuses, told in our words."""

import errno
import os
from collections.abc import Callable

import pytest

from omnisyn.errors import ModelError, OmnisynError, ResourceError, UsageError
from omnisyn.models.hub.address import HubAddress
from omnisyn.models.hub.client import hub_client
from omnisyn.models.hub.fetch import fetch_from_hub
from tests.hub_server import READER, HubServer

PATTERNS = ["*.safetensors", "*.json"]


@pytest.mark.parametrize("token", [None, READER])
@pytest.mark.parametrize("name", ["org/nothing", "org/secret"])
def test_missing_and_private_repositories_are_told_alike(
    token: str | None, name: str, hub: HubServer, log_in: Callable[[str], None]
) -> None:
    hub.create("org/secret", private=True)
    if token:
        log_in(token)
    with pytest.raises(ModelError, match=f"^hf-hub:{name}: there is no such repository, or it is"):
        fetch_from_hub(HubAddress(name), PATTERNS)


@pytest.mark.parametrize("token", [None, READER])
def test_gated_repository_needs_somebody_who_was_let_in(
    token: str | None, hub: HubServer, published: str, log_in: Callable[[str], None]
) -> None:
    hub.repositories["org/tiny"].gated = True
    if token:
        log_in(token)
    with pytest.raises(ResourceError, match=r"the repository is gated \(Access to model org/tiny"):
        fetch_from_hub(HubAddress("org/tiny"), PATTERNS)


def test_token_that_is_none_is_told(hub: HubServer, log_in: Callable[[str], None]) -> None:
    log_in("hf_expired")
    with pytest.raises(ResourceError, match="the hub does not know your token; log in"):
        fetch_from_hub(HubAddress("org/tiny"), PATTERNS)


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_missing_revision_is_told(hub: HubServer, published: str, revision: str) -> None:
    with pytest.raises(ModelError, match=f"^hf-hub:org/tiny@{revision}: .* no such revision"):
        fetch_from_hub(HubAddress("org/tiny", revision), PATTERNS)


def test_name_that_the_hub_can_not_have_is_a_fault_of_usage(hub: HubServer) -> None:
    with pytest.raises(UsageError, match="the hub has no such names"):
        fetch_from_hub(HubAddress("org/a--b"), PATTERNS)
    assert hub.requests == []


def test_hub_that_is_down_is_no_fault_of_the_model(hub: HubServer, published: str) -> None:
    hub.unavailable = True
    with pytest.raises(ResourceError, match=r"not answering as it should \(the hub is being rep"):
        fetch_from_hub(HubAddress("org/tiny"), PATTERNS)


def test_network_that_is_off_is_told(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match=r"cannot be reached.*Connection refused"):
        fetch_from_hub(HubAddress("org/tiny"), PATTERNS)


def test_offline_mode_says_how_to_fill_the_cache(
    hub: HubServer, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError, match=r"HF_HUB_OFFLINE forbids; .*omnisyn models pull"):
        fetch_from_hub(HubAddress("org/tiny"), PATTERNS)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/somebody/blob"),
            ResourceError,
            r"the cache cannot be written \(No space left on device\)",
        ),
        (OSError("Consistency check failed\nlong story"), ResourceError, "was cut short"),
        (RuntimeError("what is\nthis"), ModelError, r"client failed \(RuntimeError: what is\)"),
        (ModelError("our own"), ModelError, "^our own$"),
    ],
)
def test_faults_of_disk_and_client_become_one_line(
    fault: Exception, kind: type[OmnisynError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught, hub_client(HubAddress("org/name")):
        raise fault
    assert "\n" not in str(caught.value)
    assert "somebody" not in str(caught.value)


def test_fault_that_is_wrapped_is_found() -> None:
    with (
        pytest.raises(ResourceError, match=r"cannot be written \(denied\)") as caught,
        hub_client(HubAddress("org/name")),
    ):
        raise RuntimeError("while uploading") from PermissionError(errno.EACCES, "denied")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_client_is_as_loud_as_before_afterwards() -> None:
    from huggingface_hub.utils import are_progress_bars_disabled, logging

    before = logging.get_verbosity(), are_progress_bars_disabled()
    with hub_client(HubAddress("org/name")):
        assert logging.get_verbosity() == logging.ERROR
        assert are_progress_bars_disabled()
    with pytest.raises(ResourceError), hub_client(HubAddress("org/name")):
        raise TimeoutError
    assert (logging.get_verbosity(), are_progress_bars_disabled()) == before
