import hashlib
import json
from pathlib import Path

import pytest

from omnisyn.errors import InputError, ModelError, UsageError
from omnisyn.models.hub.pull import pull_weights
from omnisyn.models.weights import load_weights, verify_weights
from tests.hub_server import HubServer

ADDRESS = "hf-hub:org/tiny"


@pytest.fixture
def pinned(tiny: Path) -> str:
    """The address with the hash of the small weights."""
    return f"{ADDRESS}#sha256={verify_weights(tiny).sha256}"


def damage(path: Path) -> None:
    """Change the last byte of a file."""
    content = path.read_bytes()
    path.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_weights_and_card_come_whole_and_are_told(
    published: str, tiny: Path, pinned: str, tmp_path: Path
) -> None:
    pulled = pull_weights(pinned)
    assert pulled.weights.is_relative_to(tmp_path / "cache")
    assert pulled.weights.read_bytes() == tiny.read_bytes()
    assert pulled.card.read_bytes() == tiny.with_suffix(".json").read_bytes()
    assert pulled.sha256 == verify_weights(tiny).sha256
    assert pulled.commit == published


def test_copy_has_the_name_that_was_asked_for(published: str, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    pulled = pull_weights(ADDRESS, out)
    assert (pulled.weights, pulled.card) == (out, tmp_path / "mine.json")
    assert out.read_bytes() == tiny.read_bytes()
    assert not out.is_symlink()
    assert verify_weights(out).sha256 == pulled.sha256
    same = tmp_path / "tiny.safetensors"
    pull_weights(ADDRESS, same)
    assert same.with_suffix(".json").read_bytes() == tiny.with_suffix(".json").read_bytes()


@pytest.mark.parametrize("taken", ["mine.safetensors", "mine.json"])
def test_existing_copy_is_refused_before_the_network(
    hub: HubServer, published: str, tmp_path: Path, taken: str
) -> None:
    out = tmp_path / "mine.safetensors"
    (tmp_path / taken).write_text("mine")
    with pytest.raises(InputError, match=f"^{taken}: the output exists already"):
        pull_weights(ADDRESS, out)
    assert hub.requests == []
    assert (tmp_path / taken).read_text() == "mine"
    pull_weights(ADDRESS, out, overwrite=True)
    assert verify_weights(out)


def test_copy_of_another_kind_is_refused(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^mine\.bin: weights are written as \.safetensors"):
        pull_weights(ADDRESS, tmp_path / "mine.bin")


def test_other_hash_is_refused_before_the_weights_are_fetched_and_after(
    hub: HubServer, published: str, pinned: str, tmp_path: Path
) -> None:
    wrong = f"{ADDRESS}@{published}#sha256={'0' * 64}"
    out = tmp_path / "mine.safetensors"
    for fetched in (0, 1):
        with pytest.raises(ModelError, match=r"not the pinned weights .*pinned is 000000000000"):
            pull_weights(wrong, out)
        assert not out.exists()
        assert len(hub.ranges) == fetched
        pull_weights(pinned)
    with pytest.raises(ModelError, match="not the pinned weights"):
        load_weights(wrong)


def test_pin_holds_when_the_branch_has_moved_to_other_weights(
    hub: HubServer, published: str, pinned: str, tiny: Path
) -> None:
    pull_weights(pinned)
    content = tiny.read_bytes()[:-1] + b"!"
    card = json.loads(tiny.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(content).hexdigest()
    files = {"tiny.safetensors": content, "tiny.json": json.dumps(card).encode()}
    hub.add("org/tiny", files)
    assert pull_weights(ADDRESS).sha256 == card["sha256"]
    with pytest.raises(ModelError, match="not the pinned weights"):
        pull_weights(pinned)
    assert pull_weights(pinned.replace("#", f"@{published}#")).commit == published


def test_cache_is_enough_without_the_network(
    hub: HubServer, published: str, pinned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = pull_weights(pinned)
    hub.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert pull_weights(pinned) == pulled
    assert load_weights(f"{ADDRESS}@{published}").sha256 == pulled.sha256
    assert hub.requests == []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    hub.unavailable = True
    assert pull_weights(pinned) == pulled


def test_download_that_was_damaged_on_the_way_comes_again(
    hub: HubServer, published: str, tiny: Path
) -> None:
    hub.damaged = 1
    assert pull_weights(ADDRESS).weights.read_bytes() == tiny.read_bytes()
    assert len(hub.ranges) == 2


def test_damage_in_the_cache_is_mended_from_the_hub_only(
    hub: HubServer, published: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled = pull_weights(ADDRESS)
    for path, words in ((pulled.weights, "are damaged"), (pulled.card, "holds no weights")):
        damage(path)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match=words):
            pull_weights(ADDRESS)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        with pytest.raises(ModelError, match=words):
            load_weights(ADDRESS)
        pull_weights(ADDRESS)
        assert load_weights(ADDRESS).sha256 == pulled.sha256


def test_what_is_damaged_on_the_hub_is_refused(
    hub: HubServer, published: str, tiny: Path, tmp_path: Path
) -> None:
    hub.add("org/tiny", {"tiny.safetensors": tiny.read_bytes()[:-1]})
    with pytest.raises(ModelError, match=r"^tiny\.safetensors: the weights are cut short"):
        pull_weights(ADDRESS, tmp_path / "mine.safetensors")
    assert not (tmp_path / "mine.safetensors").exists()


def test_repository_without_weights_or_with_several_is_refused(
    hub: HubServer, published: str, tiny: Path
) -> None:
    hub.create("org/empty")
    with pytest.raises(ModelError, match="hf-hub:org/empty: the repository holds no weights"):
        pull_weights("hf-hub:org/empty")
    hub.add("org/empty", {"tiny.safetensors": tiny.read_bytes(), "config.json": b"{}"})
    with pytest.raises(ModelError, match=r"holds no weights \(no JSON file in it is a card\)"):
        pull_weights("hf-hub:org/empty")
    assert hub.ranges == []
    hub.add("org/empty", {"tiny.json": tiny.with_suffix(".json").read_bytes()})
    assert pull_weights("hf-hub:org/empty").sha256 == verify_weights(tiny).sha256
    card = tiny.with_suffix(".json").read_bytes()
    hub.add("org/tiny", {"other.safetensors": tiny.read_bytes(), "other.json": card})
    with pytest.raises(ModelError, match=r"holds several sets of weights \(other, tiny\)"):
        pull_weights(ADDRESS)
