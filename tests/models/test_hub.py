import pytest

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.hub import fetch_from_hub, is_hub_address, parse_hub_address


def test_address_is_split_into_repository_and_revision() -> None:
    assert parse_hub_address("hf-hub:org/name") == ("org/name", None)
    assert parse_hub_address("hf-hub:org/na.me-1@v2/x") == ("org/na.me-1", "v2/x")


@pytest.mark.parametrize("address", ["hf-hub:name", "hf-hub:", "hf-hub:a/b/c", "hf-hub:a/b@"])
def test_malformed_address_is_refused(address: str) -> None:
    assert is_hub_address(address)
    with pytest.raises(UsageError, match="no address on the hub"):
        parse_hub_address(address)


def test_what_can_not_be_fetched_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(ModelError, match="ConnectionError: no route") as caught:
        fetch_from_hub("hf-hub:org/name", ["*.json"])
    assert "\n" not in str(caught.value)


def test_repository_revision_and_patterns_reach_the_hub(
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
