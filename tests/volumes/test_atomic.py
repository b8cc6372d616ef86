import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys

import pytest

from omnisyn.errors import InputError, ResourceError
from omnisyn.volumes import atomic
from omnisyn.volumes.atomic import (
    atomic_directory,
    atomic_file,
    output_folder,
    remove_directory,
    sha256_file,
    staged,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)
from omnisyn.volumes.locks import locked


def failing(number):
    """A function that fails with the given error number, whatever it is called with."""

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


def write_half(path, error):
    with atomic_file(path) as file:
        file.write(b"half of the n")
        raise error


def fill_half(path, error):
    with atomic_directory(path, overwrite=True) as partial:
        (partial / "b").write_text("new")
        raise error


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_text_is_written_as_utf8(tmp_path):
    path = write_text_atomic(tmp_path / "a.txt", "T1→T2\n")

    assert path.read_bytes() == "T1→T2\n".encode()
    assert names(tmp_path) == ["a.txt"]


def test_json_keeps_order_and_ends_in_a_newline(tmp_path):
    path = write_json_atomic(tmp_path / "a.json", {"b": 1, "a": [None, "ü"]})

    assert (
        path.read_text(encoding="utf-8")
        == json.dumps({"b": 1, "a": [None, "ü"]}, indent=2, ensure_ascii=False) + "\n"
    )


def test_json_that_no_reader_would_take_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomic(tmp_path / "a.json", {"psnr": float("inf")})
    assert names(tmp_path) == []


def test_a_write_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text_atomic(tmp_path / "a.txt", "old")

    with pytest.raises(RuntimeError, match="midway"):
        write_half(path, RuntimeError("midway"))

    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_interrupt_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_text_atomic(tmp_path / "a.txt", "old")

    with pytest.raises(KeyboardInterrupt):
        write_half(path, KeyboardInterrupt())

    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "read or write error"),
        (errno.ESTALE, "Stale"),
    ],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_fault_leaves_the_old_file_and_says_why(tmp_path, monkeypatch, number, reason, step):
    path = write_text_atomic(tmp_path / "a.txt", "old")
    monkeypatch.setattr(atomic.os, step, failing(number))

    with pytest.raises(ResourceError, match=rf"a\.txt: cannot write .*{reason}"):
        write_text_atomic(path, "new")

    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_device_is_reported_as_such():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as caught:  # noqa: PT011
        full.write(b"x")

    error = atomic.resource_error("cannot write", atomic.Path("a/b.txt"), caught.value)

    assert str(error).startswith("b.txt: cannot write (the disk is full)")


def test_a_missing_folder_is_a_fault_that_makes_nothing(tmp_path):
    with pytest.raises(ResourceError, match="its folder does not exist"):
        write_text_atomic(tmp_path / "gone" / "a.txt", "new")
    assert names(tmp_path) == []


def test_a_folder_without_write_permission_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "open", failing(errno.EACCES), raising=False)

    with pytest.raises(ResourceError, match="permission is denied"):
        write_text_atomic(tmp_path / "a.txt", "new")
    assert names(tmp_path) == []


def test_an_existing_file_is_kept_unless_overwriting_is_allowed(tmp_path):
    path = write_text_atomic(tmp_path / "a.txt", "old")

    with pytest.raises(InputError, match=r"exists already.*--overwrite"):
        write_text_atomic(path, "new", overwrite=False)
    assert path.read_text() == "old"
    write_text_atomic(path, "new")
    assert path.read_text() == "new"


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")

    with pytest.raises(InputError, match="exists already"):
        write_text_atomic(tmp_path / "a.txt", "new", overwrite=False)


def test_a_folder_at_the_output_is_refused_even_with_overwriting(tmp_path):
    (tmp_path / "a").mkdir()

    with pytest.raises(InputError, match="is a folder"):
        write_text_atomic(tmp_path / "a", "new", overwrite=True)


def test_a_written_file_has_the_usual_permissions(tmp_path):
    mask = os.umask(0o027)
    try:
        path = write_bytes_atomic(tmp_path / "a", b"")
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    with atomic_directory(tmp_path / "run") as partial:
        (partial / "a").write_text("1")
        assert not (tmp_path / "run").exists()

    assert (tmp_path / "run" / "a").read_text() == "1"
    assert names(tmp_path) == ["run"]


def test_a_folder_that_fails_midway_leaves_the_old_one_and_nothing_else(tmp_path):
    with atomic_directory(tmp_path / "run") as partial:
        (partial / "a").write_text("old")

    with pytest.raises(RuntimeError, match="midway"):
        fill_half(tmp_path / "run", RuntimeError("midway"))

    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["a"]


def test_a_replaced_folder_holds_nothing_of_the_old_one(tmp_path):
    for name in ("a", "b"):
        with atomic_directory(tmp_path / "run", overwrite=True) as partial:
            (partial / name).write_text(name)

    assert names(tmp_path / "run") == ["b"]
    assert names(tmp_path) == ["run"]


def test_an_existing_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "run").mkdir()
    entered = False

    with pytest.raises(InputError, match="exists already"), atomic_directory(tmp_path / "run"):
        entered = True

    assert not entered
    assert names(tmp_path) == ["run"]


def test_the_folder_of_a_faster_run_stays(tmp_path):
    def overtaken():
        with atomic_directory(tmp_path / "run") as slow:
            (slow / "a").write_text("slow")
            with atomic_directory(tmp_path / "run") as fast:
                (fast / "a").write_text("fast")

    with pytest.raises(InputError, match="exists already"):
        overtaken()

    assert (tmp_path / "run" / "a").read_text() == "fast"
    assert names(tmp_path) == ["run"]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    with atomic_directory(tmp_path / "run") as partial:
        (partial / "a").write_text("old")
    rename = os.rename

    def refuse_new(source, target):
        if str(source).endswith(".partial") and target == tmp_path / "run" and calls["new"] == 0:
            calls["new"] += 1
            raise OSError(errno.EIO, "broken")
        rename(source, target)

    calls = {"new": 0}
    # As on a system that cannot swap two paths in one step.
    monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    monkeypatch.setattr(atomic.os, "rename", refuse_new)
    with (
        pytest.raises(ResourceError, match="cannot put the folder in place"),
        atomic_directory(tmp_path / "run", overwrite=True) as partial,
    ):
        (partial / "a").write_text("new")

    assert (tmp_path / "run" / "a").read_text() == "old"
    assert names(tmp_path) == ["run"]


def test_a_folder_is_replaced_where_the_system_cannot_swap_two(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    for text in ("old", "new"):
        with atomic_directory(tmp_path / "run", overwrite=True) as partial:
            (partial / "a").write_text(text)

    assert (tmp_path / "run" / "a").read_text() == "new"
    assert names(tmp_path) == ["run"]


def test_an_error_inside_the_folder_block_is_passed_on_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_directory(tmp_path / "run"):
        (tmp_path / "not there").read_bytes()
    assert names(tmp_path) == []


def test_a_folder_is_gone_from_its_name_before_its_files_are_removed(tmp_path, monkeypatch):
    # Found by tests/kills: a run killed while it removed an old checkpoint left a part of it.
    with atomic_directory(tmp_path / "step") as partial:
        (partial / "a").write_text("a")
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda *_, **__: None)

    remove_directory(tmp_path / "step")

    (left,) = names(tmp_path)
    assert left.startswith(".")
    assert left.endswith(".partial")


def test_a_folder_that_cannot_be_removed_is_a_fault(tmp_path):
    with pytest.raises(ResourceError, match="absent: cannot remove the folder"):
        remove_directory(tmp_path / "absent")


def test_the_hash_is_that_of_the_bytes(tmp_path):
    path = write_bytes_atomic(tmp_path / "a", b"omnisyn" * 100_000)

    assert sha256_file(path) == hashlib.sha256(b"omnisyn" * 100_000).hexdigest()
    with pytest.raises(ResourceError, match="gone: cannot read"):
        sha256_file(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ResourceError, match="pipe: cannot read"):
        sha256_file(tmp_path / "pipe")


def test_files_that_belong_together_come_together_or_not_at_all(tmp_path):
    def half_done():
        with staged() as staging:
            staging.file(tmp_path / "a").write(b"a")
            (staging.folder(tmp_path / "b") / "c").write_text("c")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        half_done()
    assert names(tmp_path) == []

    with staged() as staging:
        staging.file(tmp_path / "a").write(b"a")
        (staging.folder(tmp_path / "b") / "c").write_text("c")
        assert all(name.startswith(".") for name in names(tmp_path))
    assert names(tmp_path) == ["a", "b"]


def test_nothing_is_put_in_place_when_another_run_was_faster_in_one_of_the_places(tmp_path):
    def overtaken():
        with staged(overwrite=False) as staging:
            staging.file(tmp_path / "a").write(b"slow")
            staging.file(tmp_path / "b").write(b"slow")
            (tmp_path / "b").write_text("fast")

    with pytest.raises(InputError, match="b: the output exists already"):
        overtaken()

    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_text() == "fast"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_two_renames_waits_for_the_last(tmp_path, monkeypatch, kind):
    replace, heard = os.replace, []

    def with_a_signal(*paths):
        signal.raise_signal(kind)
        replace(*paths)

    before = signal.signal(kind, lambda *_: heard.append(names(tmp_path)))
    try:
        monkeypatch.setattr(atomic.os, "replace", with_a_signal)
        with staged() as staging:
            for name in ("a", "b"):
                staging.file(tmp_path / name).write(b"x")
    finally:
        signal.signal(kind, before)

    assert heard[0] == ["a", "b"]


def test_two_runs_on_one_pair_of_files_never_mix_them(tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from omnisyn.volumes.atomic import staged\n"
        "folder, run = Path(sys.argv[1]), sys.argv[2].encode()\n"
        "for number in range(150):\n"
        "    with staged() as staging:\n"
        "        for name in 'ab':\n"
        "            staging.file(folder / name).write(run + b'%d' % number)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), run]) for run in ("x", "y")
    ]
    pairs = 0
    while any(run.poll() is None for run in runs):
        with locked(tmp_path):
            if len(names(tmp_path)) >= 2 and (tmp_path / "b").exists():
                pairs += 1
                assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    assert [run.wait() for run in runs] == [0, 0]
    assert pairs > 0


def test_of_two_runs_without_overwriting_one_is_refused(tmp_path):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from omnisyn.errors import InputError\n"
        "from omnisyn.volumes.atomic import write_text_atomic\n"
        "done = 0\n"
        "for number in range(200):\n"
        "    try:\n"
        "        write_text_atomic(Path(sys.argv[1]) / str(number), 'x', overwrite=False)\n"
        "        done += 1\n"
        "    except InputError:\n"
        "        pass\n"
        "print(done)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]

    assert sum(int(run.communicate()[0]) for run in runs) == 200


def test_a_name_may_be_as_long_as_the_system_takes(tmp_path):
    name = "脑" * 78 + ".json"

    write_text_atomic(tmp_path / name, "x")

    assert names(tmp_path) == [name]


def test_folders_made_for_an_output_go_when_nothing_came_into_them(tmp_path):
    def fail(*others):
        with output_folder(tmp_path / "a" / "b"):
            for other in others:
                other.write_text("somebody else's")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(tmp_path) == []

    with pytest.raises(RuntimeError):
        fail(tmp_path / "a" / "x")
    assert names(tmp_path / "a") == ["x"]

    with output_folder(tmp_path / "c" / "d"):
        pass
    assert (tmp_path / "c" / "d").is_dir()


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")

    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(InputError, match="the output folder is a file"), output_folder(folder):
            pass
