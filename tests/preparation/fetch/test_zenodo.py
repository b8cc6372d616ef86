import hashlib
import json
from pathlib import Path

import pytest

from omnisyn.errors import ResourceError, UsageError
from omnisyn.preparation.fetch.download import download
from omnisyn.preparation.fetch.zenodo import RecordFile, find_file, list_files
from tests.file_server import EXTERNAL2, FileServer


def test_files_of_a_record_have_name_size_md5_and_the_address_that_takes_ranges(
    server: FileServer, content: bytes
) -> None:
    (server.folder / "a table.xlsx").write_bytes(b"table")
    place = f"{server.address}/records/{EXTERNAL2}/files"

    assert list_files(EXTERNAL2, address=server.address) == (
        RecordFile("a table.xlsx", f"{place}/a%20table.xlsx", 5, hashlib.md5(b"table").hexdigest()),
        RecordFile("data.zip", f"{place}/data.zip", 300_000, hashlib.md5(content).hexdigest()),
    )
    assert server.requests == [f"/api/records/{EXTERNAL2}"]
    assert server.clients[0].startswith("omnisyn/")


def test_a_file_is_found_and_its_broken_download_resumed(
    server: FileServer, content: bytes, tmp_path: Path
) -> None:
    file = find_file(EXTERNAL2, "data.zip", address=server.address)
    server.break_off_after = [100_000]

    path = download(
        file.address,
        tmp_path / file.name,
        size=file.size,
        md5=file.md5,
        wait=lambda _: None,
    )

    assert path.read_bytes() == content
    assert server.ranges == ["", "bytes=100000-"]


def test_a_file_that_the_record_has_not_is_refused_with_those_it_has(server: FileServer) -> None:
    with pytest.raises(ResourceError, match=r"no file other\.zip \(it has data\.zip\).*--from"):
        find_file(EXTERNAL2, "other.zip", address=server.address)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>log in</html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"files": {"enabled": true}}',
        b'{"files": [{"key": "a", "size": "5", "checksum": "md5:%s"}]}' % (b"0" * 32),
        b'{"files": [{"key": "a", "size": -5, "checksum": "md5:%s"}]}' % (b"0" * 32),
        b'{"files": [{"key": "a", "size": 5, "checksum": "crc:0"}]}',
        b'{"files": [{"key": "a", "size": 5, "checksum": null}]}',
        b'{"files": [{"key": "a", "size": 5}]}',
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_not_understood_is_refused(server: FileServer, answer: bytes) -> None:
    server.record_answer = answer

    with pytest.raises(ResourceError, match="the answer is not understood"):
        list_files(EXTERNAL2, address=server.address)


def test_a_record_without_public_files_has_none(server: FileServer) -> None:
    server.record_answer = json.dumps({"files": []}).encode()

    assert list_files(EXTERNAL2, address=server.address) == ()
    with pytest.raises(ResourceError, match="none that is public"):
        find_file(EXTERNAL2, "data.zip", address=server.address)


def test_a_server_that_asks_for_patience_is_asked_again(server: FileServer) -> None:
    server.refusals = [(429, {"Retry-After": "7"}), (503, {})]
    waits: list[float] = []

    assert len(list_files(EXTERNAL2, address=server.address, wait=waits.append)) == 1
    assert waits == [7, 9]


def test_no_such_record_and_no_such_number(server: FileServer) -> None:
    with pytest.raises(ResourceError, match="answers 404"):
        list_files("1", address=server.address)
    with pytest.raises(UsageError, match="no record of Zenodo"):
        list_files("../../admin", address=server.address)
    assert server.requests == ["/api/records/1"]
