"""A disk that is really full, out of inodes or read-only: the old result stays whole, exit code 5.

The disks are small ones in memory, which only root can mount; elsewhere these tests are skipped.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import RLELossless

from omnisyn.cli import main
from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume
from tests.hub_server import HubServer
from tests.tiny_weights import save_tiny

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a disk in memory with the given options, or again with others."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def make(options: str, again: bool = False) -> Path:
        how = f"remount,{options}" if again else options
        command = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(disk)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this system does not let us mount a disk")
        return disk

    yield make
    subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a very narrow network."""
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def source(tmp_path: Path, dicom_series, kind: str) -> Path:
    """A scan of 32 × 32 × 8 voxels, as NIfTI or DICOM."""
    noise = np.random.default_rng(0).uniform(50, 900, (32, 32, 8)).astype(np.float32)
    if kind == "nifti":
        return write_volume(tmp_path / "T1.nii.gz", noise, Geometry(noise.shape, np.eye(4)))
    return dicom_series(shape=(8, 32, 32)).save(tmp_path / "T1")


@pytest.fixture
def synthesize(weights: Path, source: Path, kind: str, capsys) -> Callable[..., tuple[int, str]]:
    """Runs the command into a folder: exit code and what it said."""

    def run(output: Path, *words: str) -> tuple[int, str]:
        code = main(
            ["synthesize", "--src", f"T1={source}", "--target", "T2", "--preview", "--quiet",
             "--format", kind, "--device", "cpu", "--weights", str(weights),
             "--output", str(output), *words]
        )  # fmt: skip
        return code, capsys.readouterr().err

    return run


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, and the hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def used(disk: Path) -> int:
    """Bytes in use."""
    figures = os.statvfs(disk)
    return (figures.f_blocks - figures.f_bfree) * figures.f_frsize


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_full_disk_leaves_nothing_or_the_old_result(mount: Mount, synthesize) -> None:
    disk = mount("size=16m")
    assert synthesize(disk / "whole")[0] == 0
    need = used(disk)
    old = contents(disk / "whole")
    codes = []
    # From no room at all to all but enough: the fault meets every file of the result.
    for room in range(0, need, max(4096, need // 12 // 4096 * 4096)):
        mount(f"size={need + room}", again=True)
        code, said = synthesize(disk / "out")
        codes.append(code)
        if code == 0:
            break
        assert code == 5
        (line,) = said.splitlines()
        assert "the disk is full" in line
        assert contents(disk / "out") == {}
        code, said = synthesize(disk / "whole", "--overwrite")
        assert code in (0, 5), said
        assert code == 0 or contents(disk / "whole") == old
        old = contents(disk / "whole")
        assert not list(disk.rglob("*.partial"))
    assert codes.count(5) >= 4


def test_a_full_cache_is_told_and_holds_no_half_model(
    mount: Mount, hub: HubServer, weights: Path, capsys
) -> None:
    hub.create("org/tiny")
    files = {path.name: path.read_bytes() for path in (weights, weights.with_suffix(".json"))}
    hub.add("org/tiny", files)
    disk = mount("size=512k")
    words = ["models", "pull", "hf-hub:org/tiny", "--cache-dir", str(disk)]
    assert main(words) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert "the cache cannot be written (No space left on device); free some space" in line
    assert not [path for path in disk.rglob("*") if path.suffix in (".safetensors", ".incomplete")]
    mount("size=16m", again=True)
    assert main(words) == 0


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_disk_without_inodes_leaves_nothing(mount: Mount, synthesize) -> None:
    disk = mount("size=16m,nr_inodes=4")

    code, said = synthesize(disk / "out")

    assert code == 5
    assert "the disk is full" in said
    assert [path.name for path in disk.rglob("*")] == []


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_read_only_disk_is_told_before_the_work(mount: Mount, synthesize) -> None:
    disk = mount("ro,size=1m")

    code, said = synthesize(disk / "out")

    assert code == 5
    assert "the file system is read-only" in said


@pytest.mark.parametrize("kind", ["dicom"])
def test_no_room_to_unpack_in_is_no_damaged_image(
    mount: Mount, synthesize, dicom_series, source: Path, tmp_path: Path, monkeypatch
) -> None:
    series = dicom_series(shape=(8, 32, 32))
    for path, dataset in zip(sorted(source.iterdir()), series.files, strict=True):
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
    disk = mount("size=16m")
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    codes = set()
    for kilobytes in range(8, 96, 8):
        mount(f"size={kilobytes}k", again=True)
        code, said = synthesize(tmp_path / "out", "--overwrite")
        codes.add(code)
        assert code in (0, 5), said
        assert list(disk.iterdir()) == []
    assert codes == {0, 5}
