from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from omnisyn.errors import ModelError, ResourceError
from omnisyn.models.hub.address import HubAddress
from omnisyn.models.hub.fetch import fetch_from_hub
from tests.hub_server import WRITER, HubServer

TINY = HubAddress("org/tiny")
WEIGHTS = ["*.safetensors"]


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sleeps a second before each new try."""
    clock = SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr("huggingface_hub.file_download.time", clock)


def files_in(folder: Path) -> list[str]:
    """Names of the files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_matches_comes_into_a_folder_named_by_the_commit(
    hub: HubServer, published: str, tiny: Path, tmp_path: Path
) -> None:
    folder = fetch_from_hub(TINY, ["*.json", *WEIGHTS])
    assert folder.name == published
    assert folder.is_relative_to(tmp_path / "cache")  # OMNISYN_CACHE
    assert files_in(folder) == ["tiny.json", "tiny.safetensors"]
    assert (folder / "tiny.safetensors").read_bytes() == tiny.read_bytes()
    named = fetch_from_hub(TINY, WEIGHTS, tmp_path / "named")
    assert named.is_relative_to(tmp_path / "named")


def test_what_is_in_the_cache_is_not_fetched_anew(hub: HubServer, published: str) -> None:
    fetch_from_hub(TINY, WEIGHTS)
    hub.requests.clear()
    fetch_from_hub(TINY, WEIGHTS)
    assert hub.requests == ["GET /api/models/org/tiny/revision/main"]
    fetch_from_hub(TINY, WEIGHTS, again=True)
    assert any(request.startswith("GET /storage/") for request in hub.requests)


def test_branch_moves_and_commit_stays(hub: HubServer, published: str) -> None:
    assert fetch_from_hub(TINY, ["*.md"]).name == published
    moved = hub.add("org/tiny", {"README.md": b"# better\n"})
    assert (fetch_from_hub(TINY, ["*.md"]) / "README.md").read_bytes() == b"# better\n"
    old = fetch_from_hub(HubAddress("org/tiny", published), ["*.md"])
    assert moved != published
    assert (old / "README.md").read_bytes() == b"# tiny\n"


def test_private_repository_is_read_with_a_token_that_the_storage_never_sees(
    hub: HubServer, published: str, log_in: Callable[[str], None]
) -> None:
    hub.repositories["org/tiny"].private = True
    log_in(WRITER)
    # The stand-in's storage refuses whoever shows it the hub's token.
    assert files_in(fetch_from_hub(TINY, WEIGHTS)) == ["tiny.safetensors"]


def test_progress_hears_the_bytes(hub: HubServer, published: str, tiny: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    fetch_from_hub(TINY, WEIGHTS, progress=lambda *said: heard.append(said))
    size = tiny.stat().st_size
    assert heard[-1] == (size, size, "fetching, bytes")


@pytest.mark.usefixtures("_impatient")
def test_download_that_breaks_off_goes_on_where_it_was(
    hub: HubServer, published: str, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has come is counted in chunks of so many bytes.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    hub.break_off_after = [1000, 700]
    folder = fetch_from_hub(TINY, WEIGHTS)
    assert (folder / "tiny.safetensors").read_bytes() == tiny.read_bytes()
    assert hub.ranges == ["", "bytes=1000-", "bytes=1500-"]


@pytest.mark.usefixtures("_impatient")
def test_download_that_breaks_off_for_good_leaves_nothing_half_written(
    hub: HubServer, published: str, tmp_path: Path
) -> None:
    hub.break_off_after = [1000, *[0] * 20]
    with pytest.raises(ResourceError, match=r"^hf-hub:org/tiny: .*the connection broke off"):
        fetch_from_hub(TINY, WEIGHTS)
    left = files_in(tmp_path / "cache")
    assert not [name for name in left if name.endswith((".safetensors", ".incomplete"))]
    hub.break_off_after = []
    assert files_in(fetch_from_hub(TINY, WEIGHTS)) == ["tiny.safetensors"]


def test_object_that_the_storage_has_lost_is_told(
    hub: HubServer, published: str, tmp_path: Path
) -> None:
    hub.missing_objects.add(
        hub.repositories["org/tiny"].files[published]["tiny.safetensors"].sha256
    )
    with pytest.raises(ModelError, match=r"^hf-hub:org/tiny: the hub refuses \(NoSuchKey\)"):
        fetch_from_hub(TINY, WEIGHTS)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
