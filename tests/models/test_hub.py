import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from omnisyn.errors import ModelError, OmnisynError, ResourceError, UsageError
from omnisyn.models.hub import fetch_from_hub, is_hub_address, parse_hub_address


def test_address_is_split_into_repository_and_revision() -> None:
    assert parse_hub_address("hf-hub:org/name") == ("org/name", None)
    assert parse_hub_address("hf-hub:org/na.me-1@v2/x") == ("org/na.me-1", "v2/x")


@pytest.mark.parametrize("address", ["hf-hub:name", "hf-hub:", "hf-hub:a/b/c", "hf-hub:a/b@"])
def test_malformed_address_is_refused(address: str) -> None:
    assert is_hub_address(address)
    with pytest.raises(UsageError, match="no address on the hub"):
        parse_hub_address(address)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (ConnectionError("no route\nto host"), ResourceError),
        (LocalEntryNotFoundError("no route\nto host"), ResourceError),
        (ValueError("no route\nin this model"), ModelError),
    ],
)
def test_what_can_not_be_fetched_is_one_clear_error(
    fault: Exception, kind: type[OmnisynError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise fault

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(kind, match=f"{type(fault).__name__}: no route") as caught:
        fetch_from_hub("hf-hub:org/name", ["*.json"])
    assert "\n" not in str(caught.value)


def test_repository_revision_patterns_and_cache_reach_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    asked = {}

    def stand_in(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", stand_in)
    assert fetch_from_hub("hf-hub:org/name@abc", ["*.json"], tmp_path / "cache") == tmp_path
    assert asked == {
        "repository": "org/name",
        "revision": "abc",
        "allow_patterns": ["*.json"],
        "cache_dir": tmp_path / "cache",
    }
    monkeypatch.setenv("OMNISYN_CACHE", str(tmp_path / "own"))
    fetch_from_hub("hf-hub:org/name", ["*.json"])
    assert asked["cache_dir"] == tmp_path / "own"
