import io
import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from omnisyn.errors import InputError, OmnisynError, ResourceError
from omnisyn.preparation.fetch import space
from omnisyn.preparation.fetch.unpack import unpack

FILES = {
    "data/MRI-Segments/001/T1WI/1.dcm": b"slice one " * 500,
    "data/MRI-Segments/001/ROI-T1.nii": b"\0" * 5000,
    "data/empty.txt": b"",
}
Edit = Callable[[zipfile.ZipInfo], None]


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Writes `data.zip`, with entries as they are given."""

    def write(files: Mapping[str, bytes] = FILES, method: int = zipfile.ZIP_DEFLATED) -> Path:
        path = tmp_path / "data.zip"
        path.write_bytes(packed(files, method))
        return path

    return write


def edited(path: Path, edit: Edit) -> Path:
    """The archive with its first entry described otherwise in the directory."""
    with zipfile.ZipFile(path, "a") as archive:
        edit(archive.infolist()[0])
        archive._didModify = True  # type: ignore[attr-defined]
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Files below a folder by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_come_as_they_were_packed(
    make: Callable[..., Path], tmp_path: Path, method: int
) -> None:
    heard: list[tuple[int, int, str]] = []
    out = tmp_path / "made" / "here"

    folder = unpack(make(method=method), out, progress=lambda *said: heard.append(said))

    assert folder == out
    assert tree(out) == FILES
    assert heard[-1] == (10_000, 10_000, "unpacking, bytes")


def test_only_what_is_wanted_comes_and_nothing_that_macos_adds(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    junk = {"__MACOSX/data/._1.dcm": b"x", "data/._2.dcm": b"x", "data/.DS_Store": b"x"}
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name.endswith(".nii")

    unpack(make(junk | FILES), tmp_path / "out", wanted=wanted)

    assert asked == list(FILES)
    assert list(tree(tmp_path / "out")) == ["data/MRI-Segments/001/ROI-T1.nii"]


def test_folders_dots_and_backslashes_are_one_form(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    names = {"./": b"", "./a/": b"", "./a/1": b"1", "b\\": b"", "b\\2": b"2", "c//3": b"3"}
    unpack(make(names), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a/1": b"1", "b/2": b"2", "c/3": b"3"}


def test_a_second_run_writes_only_what_is_missing_or_differs(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    archive, out = make(), tmp_path / "out"
    unpack(archive, out)
    kept, changed, gone = (out / name for name in FILES)
    os.utime(kept, ns=(5, 5))
    changed.write_bytes(b"\1" * 5000)
    gone.unlink()
    notes: list[str] = []

    unpack(archive, out, note=notes.append)

    assert tree(out) == FILES
    assert kept.stat().st_mtime_ns == 5
    assert notes == ["data.zip: 1 of 3 files are unpacked already"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../out.txt", "leaves the folder"),
        ("a/../../out.txt", "leaves the folder"),
        ("a\\..\\..\\out.txt", "leaves the folder"),
        ("../", "leaves the folder"),
        ("__MACOSX/../../out.txt", "leaves the folder"),
        ("/tmp/out.txt", "absolute"),
        ("//host/out.txt", "absolute"),
        ("\\\\host\\out.txt", "absolute"),
        ("C:\\out.txt", "absolute"),
        ("./c:out.txt", "absolute"),
        ("a\nb", "control characters"),
        ("a\x1b[2Jb", "control characters"),
    ],
)
def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(
    make: Callable[..., Path], tmp_path: Path, name: str, why: str
) -> None:
    archive = make(FILES | {name: b"out"})

    with pytest.raises(InputError, match=f"not safe to unpack.*{why}"):
        unpack(archive, tmp_path / "in" / "out")

    assert tree(tmp_path) == {"data.zip": archive.read_bytes()}


def test_a_name_that_ends_in_nothing_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    archive = make({"good.txt?hidden": b"x"})
    archive.write_bytes(archive.read_bytes().replace(b"?", b"\0"))
    with pytest.raises(InputError, match="control characters"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_are_refused(
    make: Callable[..., Path], tmp_path: Path, kind: int
) -> None:
    def edit(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o777) << 16

    with pytest.raises(InputError, match="is a link or a device"):
        unpack(edited(make(), edit), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encrypted_entries_and_other_methods_are_refused(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    def encrypt(info: zipfile.ZipInfo) -> None:
        info.flag_bits |= 1

    def method(info: zipfile.ZipInfo) -> None:
        info.compress_type = 9

    with pytest.raises(InputError, match="is encrypted"):
        unpack(edited(make(), encrypt), tmp_path / "out")
    with pytest.raises(InputError, match="packed by method 9"):
        unpack(edited(make(), method), tmp_path / "out")
    with pytest.raises(InputError, match="packed by method 12"):
        unpack(make(method=zipfile.ZIP_BZIP2), tmp_path / "out")


@pytest.mark.parametrize(
    "names", [("a/1", "a/1"), ("a/1", "A/1"), ("a/1", "./a//1"), ("a", "a/1"), ("a/1", "a")]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_place_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    with pytest.raises(InputError, match="has the place of another"):
        unpack(path, tmp_path / "out")


def test_entries_that_overlap_are_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    archive = make({"a": b"x" * 100, "b": b"x" * 100}, zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    second = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, second + 42, 0)  # where its local header is
    archive.write_bytes(content)

    with pytest.raises(InputError, match="overlaps another"):
        unpack(archive, tmp_path / "out")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    archive = make()
    with pytest.raises(InputError, match="to 10000 bytes, and 9999 are allowed"):
        unpack(archive, tmp_path / "out", limit=9999)
    unpack(archive, tmp_path / "out", limit=5000, wanted=lambda name: name.endswith(".nii"))


@pytest.mark.parametrize(("said", "why"), [(10, "Bad CRC-32"), (9_000_000, "expected 9000000")])
def test_an_entry_gives_neither_more_nor_less_than_the_directory_says(
    make: Callable[..., Path], tmp_path: Path, said: int, why: str
) -> None:
    def edit(info: zipfile.ZipInfo) -> None:
        info.file_size = said

    archive = edited(make({"bomb": b"\0" * 5_000_000}), edit)
    written: list[int] = []

    with pytest.raises(InputError, match=f"damaged.*{why}"):
        unpack(archive, tmp_path / "out", progress=lambda done, *_: written.append(done))

    assert written == []
    assert tree(tmp_path) == {"data.zip": archive.read_bytes()}


def test_a_damaged_entry_is_refused_and_the_others_stay_for_the_next_run(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    archive = make(method=zipfile.ZIP_STORED)
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"\0" * 5000, b"\0" * 4999 + b"\1"))
    with pytest.raises(InputError) as told:
        unpack(archive, tmp_path / "out")
    assert str(told.value) == (
        "data.zip: the archive is damaged, or no zip archive "
        "(Bad CRC-32 for file 'data/MRI-Segments/001/ROI-T1.nii'); fetch it again"
    )
    assert list(tree(tmp_path / "out")) == ["data/MRI-Segments/001/T1WI/1.dcm"]

    archive.write_bytes(whole)
    assert tree(unpack(archive, tmp_path / "out")) == FILES


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with pytest.raises(InputError, match="there is no such archive"):
        unpack(path, tmp_path / "out")
    for content in (b"", b"<html>log in</html>", packed(FILES)[:-30]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged, or no zip archive"):
            unpack(path, tmp_path / "out")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ResourceError, match="cannot read"):
        unpack(path, tmp_path / "out")


def test_a_file_in_the_way_is_refused(make: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(InputError, match="the output folder is a file"):
        unpack(make(), tmp_path / "out")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "data").write_bytes(b"")
    with pytest.raises(InputError, match="the output folder is a file"):
        unpack(make(), tmp_path / "two")


def test_a_disk_without_room_is_told_before_anything_is_written(
    make: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 9999

    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: Full)
    with pytest.raises(ResourceError, match="the disk has too little room"):
        unpack(make(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # What is there already takes no room again.
    out = tmp_path / "two"
    for name in list(FILES)[:2]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(FILES[name])
    unpack(make(), out)


def test_whatever_is_changed_in_an_archive_it_is_told_or_does_not_matter(tmp_path: Path) -> None:
    good, chance = packed(FILES), random.Random(0)
    path = tmp_path / "data.zip"
    refusals: list[str] = []
    for turn in range(100):
        bad = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 8])):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        if turn % 5 == 0:
            del bad[chance.randrange(len(bad)) :]
        path.write_bytes(bad)
        out = tmp_path / f"out{turn}"
        try:
            unpack(path, out, limit=100_000)
        except OmnisynError as error:
            refusals.append(str(error))
        # A name may have changed, a content never.
        assert set(tree(out).values()) <= set(FILES.values())
    assert len(refusals) > 60
    assert not any("\n" in refusal or str(tmp_path) in refusal for refusal in refusals)
