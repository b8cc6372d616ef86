import gzip
import os

import pytest

from omnisyn.errors import InputError, ResourceError
from omnisyn.volumes import file_bytes
from omnisyn.volumes.file_bytes import FileBytes, foreign_kind, peek, read_file, unpack

CONTENT = bytes(range(256)) * 500
PACKED = gzip.compress(CONTENT)


@pytest.fixture
def file_of(tmp_path):
    """Write bytes to a file and read it."""

    def make(content):
        path = tmp_path / "x.nii.gz"
        path.write_bytes(content)
        return read_file(path)

    return make


def test_a_good_gzip_file_is_unpacked(file_of):
    file = file_of(PACKED)

    assert file.packed
    assert peek(file, 10) == CONTENT[:10]
    assert unpack(file, len(CONTENT)).tobytes() == CONTENT


def test_a_plain_file_is_taken_as_it_is(file_of):
    file = file_of(CONTENT)

    assert not file.packed
    assert peek(file, 10) == CONTENT[:10]
    assert unpack(file, len(CONTENT)).tobytes() == CONTENT


def test_several_gzip_members_are_joined(file_of):
    members = [gzip.compress(CONTENT[i : i + 30_000]) for i in range(0, len(CONTENT), 30_000)]

    assert unpack(file_of(b"".join(members)), len(CONTENT)).tobytes() == CONTENT


def with_header(flag, extra):
    """PACKED with an optional header field, by RFC 1952."""
    return PACKED[:3] + bytes([flag]) + PACKED[4:10] + extra + PACKED[10:]


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"") + PACKED,
        gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]),
        with_header(4, b"\xff\xff" + bytes(65535)),
        with_header(8, b"n" * 300_000 + b"\0"),
        with_header(16, b"a comment\0"),
    ],
    ids=["empty member", "short member", "extra field", "long name", "comment"],
)
def test_legal_but_unusual_gzip_files_are_peeked_into_and_unpacked(file_of, packed):
    file = file_of(packed)

    assert peek(file, 540) == CONTENT[:540]
    assert unpack(file, len(CONTENT)).tobytes() == CONTENT


def test_a_file_of_thousands_of_members_is_unpacked(file_of):
    # bgzip writes such files; keeping the rest of the file for every member would take for ever.
    content = os.urandom(4_000_000)
    members = [gzip.compress(content[i : i + 1000], 1) for i in range(0, len(content), 1000)]

    assert unpack(file_of(b"".join(members)), len(content)).tobytes() == content


@pytest.mark.parametrize("keep", [30, 100, len(PACKED) - 9, len(PACKED) - 8, len(PACKED) - 4,
                                  len(PACKED) - 1])  # fmt: skip
def test_a_gzip_file_cut_anywhere_is_refused(file_of, keep):
    with pytest.raises(
        InputError, match=r"x\.nii\.gz: the (gzip file is cut short|file cannot hold)"
    ):
        unpack(file_of(PACKED[:keep]), len(CONTENT))


@pytest.mark.parametrize("place", range(10, len(PACKED), 37))
def test_a_flipped_bit_in_the_data_is_noticed(file_of, place):
    damaged = bytearray(PACKED)
    damaged[place] ^= 0x10

    with pytest.raises(InputError, match=r"gzip file|its header says|gzip stream"):
        unpack(file_of(bytes(damaged)), len(CONTENT))


@pytest.mark.parametrize("place", range(-8, 0))
def test_a_wrong_checksum_or_length_in_the_trailer_is_noticed(file_of, place):
    damaged = bytearray(PACKED)
    damaged[place] ^= 0x01

    with pytest.raises(InputError, match="the gzip file is damaged"):
        unpack(file_of(bytes(damaged)), len(CONTENT))


@pytest.mark.parametrize("tail", [b"\0", b"trailing bytes", b"\0" * 512])
def test_trailing_bytes_are_refused(file_of, tail):
    with pytest.raises(InputError, match=f"{len(tail)} trailing bytes"):
        unpack(file_of(PACKED + tail), len(CONTENT))


def test_a_second_member_cut_short_is_refused(file_of):
    with pytest.raises(InputError, match="cut short"):
        unpack(file_of(PACKED + PACKED[:-5]), 2 * len(CONTENT))


@pytest.mark.parametrize("content", [PACKED, CONTENT])
@pytest.mark.parametrize(("more", "word"), [(1, "shorter"), (-1, "longer"), (-1000, "longer")])
def test_another_byte_count_than_the_header_says_is_refused(file_of, content, more, word):
    with pytest.raises(InputError, match=f"{word} than its header says"):
        unpack(file_of(content), len(CONTENT) + more)


def test_a_promise_that_no_packing_could_hold_is_refused_before_unpacking(file_of, monkeypatch):
    file = file_of(PACKED)
    monkeypatch.setattr(file_bytes, "isal_zlib", None)

    with pytest.raises(InputError, match="cannot hold what its header promises"):
        unpack(file, 10**12)


def test_a_bomb_is_not_unpacked_beyond_what_is_due(file_of):
    bomb = gzip.compress(b"\0" * 50_000_000)

    with pytest.raises(InputError, match=r"1000 bytes are due, more are there"):
        unpack(file_of(bomb), 1000)


def test_peeking_into_a_damaged_start_is_refused(file_of):
    with pytest.raises(InputError, match="damaged"):
        peek(file_of(b"\x1f\x8b\x08\x00" + b"\xff" * 100), 10)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\n  <html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x89PNG\r\n", "PNG"),
        (b'{"a": 1}', "JSON"),
    ],
)
def test_other_kinds_of_files_are_named(start, kind):
    found = foreign_kind(start)

    assert found is not None
    assert kind in found[0]


def test_a_nifti_start_is_not_foreign():
    assert foreign_kind(b"\x5c\x01\x00\x00" + b"\0" * 340) is None


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "x.nii").touch()

    with pytest.raises(InputError, match=r"x\.nii: the file is empty"):
        read_file(tmp_path / "x.nii")


def test_a_missing_file_and_a_dangling_link_are_refused(tmp_path):
    (tmp_path / "link.nii").symlink_to(tmp_path / "gone.nii")

    for name in ("gone.nii", "link.nii"):
        with pytest.raises(InputError, match=f"{name}: no such file"):
            read_file(tmp_path / name)


def test_a_circle_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    with pytest.raises(InputError, match=r"a: (no such file|cannot reach)"):
        read_file(tmp_path / "a")


def test_a_name_that_no_file_system_takes_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot reach the file"):
        read_file(tmp_path / ("x" * 5000))


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InputError, match="a pipe, socket or device"):
        read_file(tmp_path / "pipe")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is a folder"):
        read_file(tmp_path)


def test_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.nii"
    path.write_bytes(b"x")

    def denied(self):
        raise PermissionError(13, "denied")

    monkeypatch.setattr(type(path), "read_bytes", denied)
    with pytest.raises(InputError, match="permission is denied"):
        read_file(path)


def test_a_disk_that_fails_in_mid_read_is_a_fault_of_the_machine(tmp_path, monkeypatch):
    path = tmp_path / "x.nii"
    path.write_bytes(b"x")

    def broken(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(path), "read_bytes", broken)
    with pytest.raises(ResourceError, match="read or write error"):
        read_file(path)


def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "x.nii"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(file_bytes, "MAXIMUM_FILE_BYTES", 99)

    with pytest.raises(InputError, match="too large"):
        read_file(path)


def test_the_name_is_the_basename(tmp_path):
    assert FileBytes(tmp_path / "a.nii", b"", packed=False).name == "a.nii"
