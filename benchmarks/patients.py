"""Patients with known truth, for the benchmarks that look at what a model makes of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.inference.patients import find_patients
from omnisyn.simulate.embedded import embedded_root
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.read import read_volume

Slices = NDArray[np.float32]


def scaled_patients(data: Path | None) -> Iterator[dict[str, Slices]]:
    """By contrast the scaled slices of each patient, who is read when asked for.

    Args:
        data: a folder of patients; by default the first external site of the embedded simulation.
    """
    root = data or embedded_root(["external"]).select("external")[0].path
    for patient in find_patients([root]):
        volumes = {
            source.contrast.name: read_volume(source.path, source.contrast)
            for source in patient.sources
            if source.contrast is not None
        }
        yield {name: each.geometry.to_slices(scale(each.voxels)) for name, each in volumes.items()}
