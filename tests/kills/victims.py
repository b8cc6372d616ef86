"""Forks victims, kills them at random moments, and holds what they leave to be whole.

python -m tests.kills.victims KIND FOLDER KILLS SEED

KIND is writer, directory, synthesize or training.

A victim is a forked child that does its work again and again or once; the parent kills it with
SIGKILL and then reads every file that is there. Prints one JSON object: how many kills landed while
the victim was at work, and in which states they left it. A torn state is an AssertionError.
"""

import contextlib
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from omnisyn.geometry import Geometry
from omnisyn.volumes.atomic import atomic_directory, write_text_atomic
from omnisyn.volumes.nifti import read_nifti
from omnisyn.volumes.write import finished, sidecar_path, write_volume

SHAPE = (24, 20, 12)
GEOMETRY = Geometry(SHAPE, np.diag([1.0, 2.0, 3.0, 1.0]))


class Writer:
    """Overwrites one volume and its sidecar; the content tells the number of the write."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "T1.nii.gz"
        self.last = self.told = -1

    def wait(self, moments: random.Random) -> None:
        """Until the kill."""
        time.sleep(moments.uniform(0, 0.03))

    def work(self) -> None:
        for number in itertools.count(self.last + 1):
            sidecar = {"Number": number, "Padding": "x" * (number % 50)}
            write_volume(self.path, content(number), GEOMETRY, sidecar=sidecar, overwrite=True)

    def check(self) -> str:
        partial = "leftover " if list(self.path.parent.glob(".*.partial")) else ""
        for leftover in self.path.parent.glob(".*.partial"):
            leftover.unlink()
        if not self.path.exists():
            assert not sidecar_path(self.path).exists()
            assert self.last < 0
            return partial + "nothing yet"
        voxels = read_nifti(self.path).voxels
        number = int(voxels[0, 0, 0])
        assert np.array_equal(voxels, content(number))
        assert number >= self.last
        self.last = number
        if not sidecar_path(self.path).exists():
            return partial + "volume without sidecar"
        told = json.loads(sidecar_path(self.path).read_text())["Number"]
        assert told >= self.told
        self.told = told
        if finished(self.path) is None:
            # Killed between the two renames: the hash says so, and both files are whole.
            assert told < number
            return partial + "between the renames"
        assert told == number
        return partial + "finished"


def content(number: int) -> np.ndarray:
    """A volume of which any part tells its number."""
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 251 + number).astype(np.float32)


class Directory:
    """Replaces a folder of five files, all of one number."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "series"
        self.last = -1

    def wait(self, moments: random.Random) -> None:
        """Until the kill."""
        time.sleep(moments.uniform(0, 0.03))

    def work(self) -> None:
        for number in itertools.count(self.last + 1):
            with atomic_directory(self.path, overwrite=True) as partial:
                for file in range(5):
                    write_text_atomic(partial / f"{file}.txt", f"{number}\n" * 100)

    def check(self) -> str:
        leftovers = list(self.path.parent.glob(".*.partial"))
        for leftover in leftovers:
            shutil.rmtree(leftover)
        partial = "leftover " if leftovers else ""
        if not self.path.exists():
            # Systems that can swap two folders never show the moment between two renames.
            assert self.last < 0
            return partial + "nothing yet"
        files = sorted(self.path.iterdir())
        assert [file.name for file in files] == [f"{file}.txt" for file in range(5)]
        (text,) = {file.read_text() for file in files}
        number = int(text.splitlines()[0])
        assert text == f"{number}\n" * 100
        assert number >= self.last
        self.last = number
        return partial + "finished"


class Synthesize:
    """The whole command, overwriting a result; the source changes, so that results differ."""

    def __init__(self, folder: Path) -> None:
        import torch

        from tests.tiny_weights import save_tiny

        torch.set_num_threads(1)
        self.folder = folder
        self.weights = save_tiny(folder / "tiny.safetensors")
        self.volume = folder / "omnisyn-out" / "desc-synth_T2w.nii.gz"
        self.turn, self.pair = 0, (1, 1)
        self.known: dict[str, int] = {}
        for turn in (0, 1):
            voxels = np.zeros((32, 32, 8), np.float32)
            noise = np.random.default_rng(turn).uniform(50, 90, (26, 26, 8))
            voxels[3:-3, 3:-3] = noise
            (folder / f"source{turn}").mkdir()
            geometry = Geometry(voxels.shape, np.eye(4))
            write_volume(folder / f"source{turn}" / "T1.nii.gz", voxels, geometry)
            self.run(turn)
            self.known[hashlib.sha256(self.volume.read_bytes()).hexdigest()] = turn
        assert len(self.known) == 2
        # A run takes longer in a fork, whose memory is still shared.
        start = time.monotonic()
        child = spawn(self.work)
        assert os.waitpid(child, 0)[1] == 0
        self.duration = time.monotonic() - start
        self.pair, self.turn = (0, 0), 1

    def wait(self, moments: random.Random) -> None:
        """Any moment of the run; mostly one soon after the writing has begun."""
        if moments.random() < 0.3:
            time.sleep(moments.uniform(0, 1.3 * self.duration))
            return
        end = time.monotonic() + 2 * self.duration
        while not list(self.volume.parent.glob(".*.partial")) and time.monotonic() < end:
            time.sleep(0.0005)
        time.sleep(moments.uniform(0, 0.035))

    def run(self, turn: int) -> None:
        from omnisyn.cli import main

        os.chdir(self.folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = main(
                ["synthesize", "--src", f"source{turn}/T1.nii.gz", "--target", "T2", "--overwrite",
                 "--preview", "--device", "cpu", "--weights", str(self.weights)]
            )  # fmt: skip
        assert code == 0

    def work(self) -> None:
        self.run(self.turn)

    def check(self) -> str:
        leftovers = list(self.volume.parent.glob(".*.partial"))
        for leftover in leftovers:
            leftover.unlink()
        partial = "leftover " if leftovers else ""
        shown = self.known[hashlib.sha256(self.volume.read_bytes()).hexdigest()]
        sidecar = json.loads(sidecar_path(self.volume).read_text())
        picture = self.volume.with_name("desc-synth_T2w.png").read_bytes()
        assert picture.endswith(b"IEND\xaeB`\x82")
        told = self.known[sidecar["VolumeSHA256"]]
        before, self.pair = self.pair, (shown, told)
        self.turn = 1 - shown
        if self.pair == before:
            return partial + "old"
        if finished(self.volume) is None:
            assert told != shown
            return partial + "between the renames"
        assert told == shown
        return partial + "new"


class Training:
    """A tiny finetune run that is resumed after every kill; when done, it is begun anew."""

    def __init__(self, folder: Path) -> None:
        import torch

        from tests.training.stand_in import train

        torch.set_num_threads(1)
        self.train = train
        self.folder, self.rounds = folder, 0
        self.whole = self.product(folder / "unbroken")
        assert self.whole

    def wait(self, moments: random.Random) -> None:
        """Until the kill."""
        time.sleep(moments.uniform(0, 0.6))

    def product(self, out: Path) -> bytes:
        with contextlib.redirect_stderr(io.StringIO()):
            self.train("pretrain", out)
        return b"".join(file.read_bytes() for file in sorted((out / "final").glob("*.safetensors")))

    def work(self) -> None:
        self.product(self.folder / f"run{self.rounds}")

    def check(self) -> str:
        from safetensors.numpy import load_file

        out = self.folder / f"run{self.rounds}"
        for checkpoint in sorted((out / "checkpoints").glob("step-*")):
            json.loads((checkpoint / "state.json").read_text())
            for file in checkpoint.glob("*.safetensors"):
                load_file(file)
        record = out / "run.json"
        if not (out / "final").is_dir():
            return "unfinished" if (out / "checkpoints").is_dir() else "not begun"
        assert not record.exists() or json.loads(record.read_text())
        # Goes on where it was killed, and must end as a run that nobody touched.
        assert self.product(out) == self.whole
        shutil.rmtree(out)
        self.rounds += 1
        return "finished"

    def end(self) -> None:
        """The run that the last kill left ends as an unbroken one."""
        assert self.product(self.folder / f"run{self.rounds}") == self.whole


KINDS: dict[str, Callable[[Path], Writer | Directory | Synthesize | Training]] = {
    "writer": Writer,
    "directory": Directory,
    "synthesize": Synthesize,
    "training": Training,
}


def spawn(work: Callable[[], None]) -> int:
    """Fork a child that works and leaves; its process number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def main() -> None:
    """Kill until so many victims died at work."""
    kind, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    victim, moments = KINDS[kind](folder), random.Random(seed)
    states: Counter[str] = Counter()
    killed = 0
    while killed < kills:
        child = spawn(victim.work)
        victim.wait(moments)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        died = os.WIFSIGNALED(status)
        assert died or os.WEXITSTATUS(status) == 0, f"the victim failed by itself: {status}"
        state = victim.check()
        if died:
            killed += 1
            states[state] += 1
    if isinstance(victim, Training):
        victim.end()
    print(json.dumps({"kills": killed, "states": dict(states)}))


if __name__ == "__main__":
    main()
