"""`omnisyn synthesize` as a user calls it, cold, and the loaded Synthesizer, warm."""

import resource
import tempfile
import time
from pathlib import Path

from benchmarks.machine import best_seconds, run_omnisyn
from benchmarks.table import Row
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.read import read_volume


def rows() -> list[Row]:
    """The simulated example patient, T1 → T2, with the shipped weights on the CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_omnisyn("simulate", "example", "--out", folder / "patient")
        source = folder / "patient" / "T1.nii.gz"
        start = time.perf_counter()
        arguments = ["--src", str(source), "--target", "T2", "--output", str(folder / "out")]
        run_omnisyn("synthesize", *arguments, "--device", "cpu")
        cold = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        volume = read_volume(source)
        slices = volume.geometry.slices_shape[0]
        synthesizer = Synthesizer.load(device="cpu")
        warm = best_seconds(lambda: synthesizer.synthesize({"T1": volume}, ["T2"]), repeats=3)
    shape = " × ".join(str(size) for size in volume.geometry.slices_shape)
    return [
        Row("volume, cold process", cold, "s", f"{shape}, reading, imports and writing included"),
        Row("volume, warm", warm, "s", "the network and the scaling"),
        Row("slice, warm", warm / slices, "s", "of that volume"),
        Row("peak memory of the commands", peak, "MiB", "the larger of simulate and synthesize"),
    ]
