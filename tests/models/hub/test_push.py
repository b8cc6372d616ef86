import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.models.hub.pull import pull_weights
from omnisyn.models.hub.push import push_weights
from omnisyn.models.weights import load_weights, verify_weights
from tests.hub_server import READER, WRITER, HubServer

ADDRESS = "hf-hub:org/mine"


@pytest.fixture
def _writer(log_in: Callable[[str], None]) -> None:
    log_in(WRITER)


@pytest.fixture(params=["at once", "in parts", "by xet"])
def way(
    request: pytest.FixtureRequest,
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """How the stand-in takes large files."""
    if request.param == "in parts":
        hub.part_size = 1000
    if request.param == "by xet":
        pytest.importorskip("hf_xet")
        hub.xet = True
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    return str(request.param)


@pytest.mark.usefixtures("_writer")
def test_what_was_pushed_is_pulled_byte_for_byte(way: str, hub: HubServer, tiny: Path) -> None:
    pushed = push_weights(tiny, ADDRESS)
    assert pushed.sha256 == verify_weights(tiny).sha256
    assert pushed.address == f"{ADDRESS}@{pushed.commit}#sha256={pushed.sha256}"
    pulled = pull_weights(pushed.address)
    assert (pulled.commit, pulled.sha256) == (pushed.commit, pushed.sha256)
    assert pulled.weights.read_bytes() == tiny.read_bytes()
    assert pulled.card.read_bytes() == tiny.with_suffix(".json").read_bytes()
    put = [request for request in hub.requests if request.startswith("PUT")]
    parts = -(-tiny.stat().st_size // 1000)
    assert len(put) == {"at once": 1, "in parts": parts, "by xet": 0}[way]
    assert (hub.ranges == []) == (way == "by xet")


@pytest.mark.usefixtures("_writer")
def test_file_card_and_page_are_one_commit(hub: HubServer, tiny: Path) -> None:
    pushed = push_weights(tiny, ADDRESS, message="The first ones", tag="v1")
    repository = hub.repositories["org/mine"]
    assert list(repository.messages.values()) == ["initial commit", "The first ones"]
    assert repository.names == {"main": pushed.commit, "v1": pushed.commit}
    added = {".gitattributes", "tiny.safetensors", "tiny.json", "README.md"}
    assert set(repository.files[pushed.commit]) == added
    assert not repository.private
    page = hub.content("org/mine", "README.md").decode()
    assert f"--weights {ADDRESS}#sha256={pushed.sha256}" in page


@pytest.mark.usefixtures("_writer")
def test_same_weights_again_make_no_commit(hub: HubServer, tiny: Path) -> None:
    first = push_weights(tiny, ADDRESS)
    assert push_weights(tiny, ADDRESS) == first
    assert len(hub.repositories["org/mine"].messages) == 2


@pytest.mark.usefixtures("_writer")
def test_private_repository_is_made_and_a_public_one_is_refused(
    hub: HubServer, published: str, tiny: Path
) -> None:
    push_weights(tiny, ADDRESS, private=True)
    assert hub.repositories["org/mine"].private
    push_weights(tiny, ADDRESS, private=True)
    with pytest.raises(UsageError, match="the repository is public already"):
        push_weights(tiny, "hf-hub:org/tiny", private=True)
    assert hub.repositories["org/tiny"].names["main"] == published


@pytest.mark.usefixtures("_writer")
def test_tag_that_exists_is_refused_before_anything_is_uploaded(hub: HubServer, tiny: Path) -> None:
    push_weights(tiny, ADDRESS, tag="v1")
    before = dict(hub.repositories["org/mine"].names)
    with pytest.raises(ModelError, match="the revision 'v1' exists already; choose another tag"):
        push_weights(tiny, ADDRESS, tag="v1", message="again")
    assert hub.repositories["org/mine"].names == before


@pytest.mark.usefixtures("_writer")
def test_other_weights_in_the_repository_are_not_joined(
    hub: HubServer, tiny: Path, tmp_path: Path
) -> None:
    push_weights(tiny, ADDRESS)
    other = tmp_path / "other.safetensors"
    other.write_bytes(tiny.read_bytes())
    card = json.loads(tiny.with_suffix(".json").read_text()) | {"file": other.name}
    other.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"holds other weights \(tiny\.safetensors\)"):
        push_weights(other, ADDRESS)
    assert pull_weights(ADDRESS).sha256 == verify_weights(tiny).sha256


@pytest.mark.usefixtures("_writer")
def test_commit_of_somebody_else_in_between_is_not_overwritten(hub: HubServer, tiny: Path) -> None:
    hub.create("org/mine")

    def somebody(_: str) -> None:
        hub.add("org/mine", {"README.md": b"theirs"})

    with pytest.raises(ModelError, match="the repository has changed meanwhile"):
        push_weights(tiny, ADDRESS, note=somebody)
    assert hub.content("org/mine", "README.md") == b"theirs"


@pytest.mark.usefixtures("_writer")
def test_text_tower_goes_and_comes_along(hub: HubServer, worded: Path, tmp_path: Path) -> None:
    pushed = push_weights(worded, ADDRESS)
    added = {"worded.safetensors", "worded.json", "worded.clip.json", "worded.text.safetensors"}
    assert added < set(hub.repositories["org/mine"].files[pushed.commit])
    assert (
        "- Text tower: `worded.text.safetensors`" in hub.content("org/mine", "README.md").decode()
    )
    # The tower in the repository is that of these weights, and no other set's.
    assert push_weights(worded, ADDRESS) == pushed
    kept = pull_weights(pushed.address)
    copied = pull_weights(pushed.address, tmp_path / "mine.safetensors")
    assert copied.text == tmp_path / "mine.text.safetensors"
    for pulled in (kept, copied):
        assert pulled.text is not None
        tower = worded.with_name("worded.text.safetensors")
        assert pulled.text.read_bytes() == tower.read_bytes()
        said = load_weights(pulled.weights).text_tower().encode_text(["T2, TE 90 ms"])
        own = load_weights(worded).text_tower().encode_text(["T2, TE 90 ms"])
        assert torch.equal(said, own)


@pytest.mark.usefixtures("_writer")
def test_tower_that_is_damaged_stays_at_home_or_comes_anew(
    hub: HubServer, worded: Path, tmp_path: Path
) -> None:
    push_weights(worded, ADDRESS)
    pulled = pull_weights(ADDRESS)
    assert pulled.text is not None
    pulled.text.resolve().write_bytes(pulled.text.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"worded\.text\.safetensors: the weights are cut short"):
        push_weights(pulled.weights, "hf-hub:org/other")
    again = pull_weights(ADDRESS)
    assert again.text is not None
    assert verify_weights(again.weights).text is not None


def test_nobody_logged_in_is_told_before_the_network(hub: HubServer, tiny: Path) -> None:
    with pytest.raises(ResourceError, match=r"no token for the hub; log in \(`hf auth login`"):
        push_weights(tiny, ADDRESS)
    assert hub.requests == []


@pytest.mark.usefixtures("_writer")
def test_offline_mode_lets_nothing_out(
    hub: HubServer, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError, match="needs the network, which HF_HUB_OFFLINE forbids"):
        push_weights(tiny, ADDRESS)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "address", "words"),
    [
        (READER, "hf-hub:org/mine", r"does not allow this \(You don't have the rights"),
        (READER, "hf-hub:org/tiny", r"does not allow this \(Forbidden"),
        (WRITER, "hf-hub:elsewhere/mine", r"does not allow this \(You don't have the rights"),
        ("hf_expired", "hf-hub:org/mine", "does not know your token"),
    ],
)
def test_token_without_the_right_is_told(
    token: str,
    address: str,
    words: str,
    hub: HubServer,
    published: str,
    tiny: Path,
    log_in: Callable[[str], None],
) -> None:
    log_in(token)
    with pytest.raises(ResourceError, match=words):
        push_weights(tiny, address)
    assert hub.repositories["org/tiny"].names["main"] == published


@pytest.mark.usefixtures("_writer")
@pytest.mark.parametrize("end", ["@main", "#sha256=" + "0" * 64])
def test_push_goes_to_no_revision(hub: HubServer, tiny: Path, end: str) -> None:
    with pytest.raises(UsageError, match="a push makes a new commit; leave away"):
        push_weights(tiny, ADDRESS + end)


@pytest.mark.usefixtures("_writer")
def test_damaged_weights_stay_at_home(hub: HubServer, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(tiny.read_bytes()[:-1])
    path.with_suffix(".json").write_bytes(tiny.with_suffix(".json").read_bytes())
    with pytest.raises(ModelError, match="the weights are cut short"):
        push_weights(path, ADDRESS)
    assert hub.requests == []


@pytest.mark.usefixtures("_writer")
def test_licence_that_the_hub_does_not_know_is_told(
    hub: HubServer, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(tiny.read_bytes())
    card = json.loads(tiny.with_suffix(".json").read_text()) | {"licence": "Ours alone"}
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"the hub refuses \(\"license\" must be"):
        push_weights(path, ADDRESS)
    assert list(hub.repositories["org/mine"].messages.values()) == ["initial commit"]
