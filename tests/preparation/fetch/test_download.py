import hashlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn.errors import InputError, ResourceError
from omnisyn.preparation.fetch import space
from omnisyn.preparation.fetch.download import download
from tests.file_server import FileServer

SIZE = 300_000
Fetch = Callable[..., Path]

CHILD = """
import sys
from pathlib import Path
from omnisyn.preparation.fetch.download import download
download(sys.argv[1], Path(sys.argv[2]), size=300_000, sha256=sys.argv[3])
"""


@pytest.fixture
def waits() -> list[float]:
    """Seconds that were waited for, without waiting."""
    return []


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def fetch(
    server: FileServer, tmp_path: Path, waits: list[float], notes: list[str], sha256: str
) -> Fetch:
    """Downloads the server's file to `here/data.zip`, or so much as comes."""
    (tmp_path / "here").mkdir()

    def run(address: str = f"{server.address}/data.zip", **options: object) -> Path:
        given = {"size": SIZE, "sha256": sha256, "wait": waits.append, "note": notes.append}
        return download(address, tmp_path / "here" / "data.zip", **(given | options))

    return run


def left(folder: Path) -> list[str]:
    """What is in the folder, without the lock."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_nothing_is_left_beside_it(
    fetch: Fetch, server: FileServer, content: bytes
) -> None:
    heard: list[tuple[int, int, str]] = []
    path = fetch(
        md5=hashlib.md5(content).hexdigest().upper(), progress=lambda *said: heard.append(said)
    )

    assert path.read_bytes() == content
    assert left(path.parent) == ["data.zip"]
    assert server.ranges == [""]
    assert (SIZE, SIZE, "fetching, bytes") in heard
    assert heard[-1] == (SIZE, SIZE, "checking, bytes")


def test_what_is_there_is_left_and_no_socket_opened(
    fetch: Fetch, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here" / "data.zip"
    place.write_bytes(content)
    before = place.stat()
    monkeypatch.setattr(socket, "socket", None)

    fetch()

    assert place.stat().st_mtime_ns == before.st_mtime_ns
    assert left(place.parent) == ["data.zip"]


@pytest.mark.parametrize("there", [b"short", b"\0" * SIZE])
def test_another_file_in_its_place_is_replaced(
    fetch: Fetch, content: bytes, tmp_path: Path, notes: list[str], there: bytes
) -> None:
    (tmp_path / "here" / "data.zip").write_bytes(there)

    assert fetch().read_bytes() == content
    assert "what is there is another file" in notes[0]


def test_a_folder_in_its_place_is_refused(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "here" / "data.zip").mkdir()
    with pytest.raises(InputError, match="the output is a folder"):
        fetch()


def test_a_broken_download_goes_on_where_it_was_and_counts_afresh(
    fetch: Fetch, server: FileServer, content: bytes, waits: list[float]
) -> None:
    server.break_off_after = [100_000, 50_000, 0, 70_000]

    assert fetch(attempts=3).read_bytes() == content
    assert server.ranges == ["", *(f"bytes={n}-" for n in (100_000, 150_000, 150_000, 220_000))]
    assert waits == [3, 3, 9, 3]


def test_a_range_survives_a_redirect(fetch: Fetch, server: FileServer, content: bytes) -> None:
    server.break_off_after = [100_000]
    assert fetch(f"{server.address}/moved/data.zip").read_bytes() == content
    assert server.ranges == ["", "bytes=100000-"]


def test_a_server_that_never_gets_further_is_given_up_and_the_part_kept(
    fetch: Fetch, server: FileServer, content: bytes, tmp_path: Path, waits: list[float]
) -> None:
    server.gives_ranges, server.always_break_off_after = False, 100_000

    with pytest.raises(ResourceError, match=r"3 times in a row \(the connection broke off after"):
        fetch(attempts=3)

    assert waits == [3, 9]
    assert (tmp_path / "here" / ".data.zip.part").read_bytes() == content[:100_000]
    assert not (tmp_path / "here" / "data.zip").exists()
    server.gives_ranges, server.always_break_off_after = True, None
    assert fetch().read_bytes() == content
    assert server.ranges[-1] == "bytes=100000-"


def test_a_server_without_ranges_begins_anew(
    fetch: Fetch, server: FileServer, content: bytes, notes: list[str]
) -> None:
    server.gives_ranges = False
    server.break_off_after = [100_000]

    assert fetch().read_bytes() == content
    assert server.ranges == ["", "bytes=100000-"]
    assert "begun anew" in notes[-1]


def test_a_stalled_connection_is_left(
    fetch: Fetch, server: FileServer, content: bytes, notes: list[str]
) -> None:
    server.stall_after = [100_000]

    assert fetch(timeout=0.3).read_bytes() == content
    assert server.ranges == ["", "bytes=100000-"]
    assert "does not answer" in notes[0]


def test_a_busy_server_is_asked_again_when_it_says(
    fetch: Fetch, server: FileServer, content: bytes, waits: list[float]
) -> None:
    server.refusals = [(503, {"Retry-After": "5"}), (429, {"Retry-After": "100000"}), (500, {})]

    assert fetch().read_bytes() == content
    assert waits == [5, 300, 27]


def test_a_server_that_is_gone_is_given_up(fetch: Fetch, waits: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/data.zip"

    with pytest.raises(ResourceError, match=r"5 times in a row .*--from FILE"):
        fetch(address)
    assert waits == [3, 9, 27, 81]


def test_a_missing_file_is_not_asked_for_twice(
    fetch: Fetch, server: FileServer, waits: list[float], tmp_path: Path
) -> None:
    with pytest.raises(ResourceError, match=r"the server does not give it .*404"):
        fetch(f"{server.address}/other.zip")
    assert (len(server.requests), waits) == (1, [])
    assert left(tmp_path / "here") == []


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_file_that_changes_on_the_server_is_never_mixed(
    fetch: Fetch, server: FileServer, content: bytes, notes: list[str], size: int | None
) -> None:
    server.break_off_after = [100_000]
    changed = content[::-1]
    first = server.content

    def changing(name: str) -> bytes | None:
        found = first(name)
        (server.folder / "data.zip").write_bytes(changed)
        return found

    server.content = changing  # type: ignore[method-assign]

    path = fetch(size=size, sha256=None)

    assert path.read_bytes() == changed
    assert server.ranges == ["", "bytes=100000-"]
    assert "begun anew" in notes[-1]


def test_without_a_validator_only_a_hash_allows_to_go_on(
    fetch: Fetch, server: FileServer, content: bytes, tmp_path: Path
) -> None:
    server.gives_validators = False
    for options, second in (({}, "bytes=100000-"), ({"sha256": None}, "")):
        server.ranges.clear()
        server.break_off_after = [100_000]
        with pytest.raises(ResourceError, match="could not be fetched"):
            fetch(attempts=1, **options)

        path = fetch(**options)

        assert path.read_bytes() == content
        assert server.ranges == ["", second]
        path.unlink()


def test_a_part_of_another_address_is_not_gone_on_with(
    fetch: Fetch, server: FileServer, content: bytes
) -> None:
    (server.folder / "old.zip").write_bytes(content[::-1])
    server.break_off_after = [100_000]
    with pytest.raises(ResourceError, match="could not be fetched"):
        fetch(f"{server.address}/old.zip", attempts=1)

    assert fetch().read_bytes() == content
    assert server.ranges == ["", ""]


@pytest.mark.parametrize("record", [b"", b"{}", b"[1", b'{"address": 5}'])
def test_a_part_of_which_nothing_is_known_is_not_gone_on_with(
    fetch: Fetch, server: FileServer, content: bytes, tmp_path: Path, record: bytes
) -> None:
    (tmp_path / "here" / ".data.zip.part").write_bytes(b"whatever")
    (tmp_path / "here" / ".data.zip.part.json").write_bytes(record)

    assert fetch().read_bytes() == content
    assert server.ranges == [""]


def test_a_part_that_the_server_cannot_go_on_with_is_fetched_anew(
    fetch: Fetch, server: FileServer, content: bytes
) -> None:
    server.break_off_after = [100_000]
    with pytest.raises(ResourceError, match="could not be fetched"):
        fetch(attempts=1)
    server.refusals = [(416, {"Content-Range": "bytes */300000"})]

    assert fetch().read_bytes() == content
    assert server.ranges == ["", ""]


@pytest.mark.parametrize("said", ["bytes 5-299999/300000", "bytes 100000-299999/400000", "", "x"])
def test_another_part_than_was_asked_for_is_not_taken(
    fetch: Fetch, server: FileServer, content: bytes, said: str
) -> None:
    server.break_off_after = [100_000]
    with pytest.raises(ResourceError, match="could not be fetched"):
        fetch(attempts=1)
    server.refusals = [(206, {"Content-Range": said})]

    assert fetch().read_bytes() == content
    assert server.ranges == ["", ""]


@pytest.mark.parametrize("name", ["sha256", "md5"])
def test_a_wrong_hash_is_refused_and_nothing_kept(
    fetch: Fetch, server: FileServer, tmp_path: Path, name: str
) -> None:
    wrong = "0" * (64 if name == "sha256" else 32)
    with pytest.raises(ResourceError, match=f"expected {'SHA-256' if name == 'sha256' else 'MD5'}"):
        fetch(**{name: wrong})
    assert left(tmp_path / "here") == []


def test_a_resumed_part_is_hashed_too(
    fetch: Fetch, server: FileServer, content: bytes, tmp_path: Path
) -> None:
    server.break_off_after = [100_000]
    with pytest.raises(ResourceError, match="could not be fetched"):
        fetch(attempts=1)
    part = tmp_path / "here" / ".data.zip.part"
    part.write_bytes(b"\0" + content[1:100_000])

    with pytest.raises(ResourceError, match="expected SHA-256"):
        fetch()
    assert left(part.parent) == []


def test_another_length_is_refused_before_it_comes(
    fetch: Fetch, server: FileServer, tmp_path: Path
) -> None:
    server.announced = 4000
    with pytest.raises(ResourceError, match=r"expected 300000 bytes, it offers 4000\).*login page"):
        fetch()
    assert left(tmp_path / "here") == []


def test_fewer_bytes_than_the_server_announces_are_a_break(
    fetch: Fetch, server: FileServer
) -> None:
    server.announced = 400_000
    with pytest.raises(ResourceError, match="broke off after 300000 of 400000 bytes"):
        fetch(size=None, attempts=1)


@pytest.mark.parametrize("known", [True, False])
def test_a_server_that_tells_no_length(
    fetch: Fetch, server: FileServer, content: bytes, known: bool
) -> None:
    server.tells_length = False
    path = fetch(size=SIZE if known else None)
    assert path.read_bytes() == content
    assert left(path.parent) == ["data.zip"]


def test_a_whole_part_is_checked_without_asking_again(
    fetch: Fetch, server: FileServer, content: bytes
) -> None:
    def stop(done: int, total: int, what: str) -> None:
        if what == "checking, bytes":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(progress=stop)

    assert fetch().read_bytes() == content
    assert server.ranges == [""]


def test_an_empty_file(fetch: Fetch, server: FileServer) -> None:
    (server.folder / "data.zip").write_bytes(b"")
    assert fetch(size=0, sha256=None).read_bytes() == b""


def test_a_disk_without_room_is_told_before_anything_is_asked(
    fetch: Fetch, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = SIZE - 1

    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: Full)
    with pytest.raises(ResourceError, match="the disk has too little room"):
        fetch()
    assert server.requests == []


def test_a_folder_that_is_missing_is_told(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="its folder does not exist"):
        download(f"{server.address}/data.zip", tmp_path / "none" / "data.zip", size=SIZE)


def start(server: FileServer, path: Path, sha256: str) -> subprocess.Popen[bytes]:
    """Another process that downloads the file."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{server.address}/data.zip", str(path), sha256]
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_a_kill_only_the_rest_is_fetched(
    fetch: Fetch, server: FileServer, content: bytes, tmp_path: Path, sha256: str
) -> None:
    server.stall_after = [123_456]
    part = tmp_path / "here" / ".data.zip.part"
    child = start(server, tmp_path / "here" / "data.zip", sha256)
    wait_for(lambda: part.exists() and part.stat().st_size == 123_456)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "here" / "data.zip").exists()

    path = fetch()

    assert path.read_bytes() == content
    assert server.ranges == ["", "bytes=123456-"]
    assert left(path.parent) == ["data.zip"]


def test_a_second_run_waits_for_the_first_and_takes_its_file(
    fetch: Fetch,
    server: FileServer,
    content: bytes,
    tmp_path: Path,
    sha256: str,
    notes: list[str],
) -> None:
    server.stall_after = [123_456]
    part = tmp_path / "here" / ".data.zip.part"
    child = start(server, tmp_path / "here" / "data.zip", sha256)
    wait_for(lambda: part.exists() and part.stat().st_size == 123_456)
    killer = threading.Timer(0.5, child.kill)
    killer.start()

    path = fetch()

    killer.join()
    child.wait()
    assert "another run is fetching it" in notes[0]
    assert path.read_bytes() == content
    assert server.ranges == ["", "bytes=123456-"]
