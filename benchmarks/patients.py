"""Patients with known truth, for the benchmarks that look at what a model makes of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnisyn.inference.patients import find_patients
from omnisyn.simulate.embedded import embedded_root
from omnisyn.volumes.normalize import scale
from omnisyn.volumes.read import read_volume

Slices = NDArray[np.float32]


@dataclass(frozen=True)
class ScaledPatient:
    """By contrast the scaled slices of a patient, and the size of the first one's pixels."""

    slices: Mapping[str, Slices]
    pixel_mm: tuple[float, float]


def scaled_patients(data: Path | None) -> Iterator[ScaledPatient]:
    """Each patient, read when asked for.

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
        _, rows_mm, columns_mm = next(iter(volumes.values())).geometry.slice_spacing
        slices = {
            name: each.geometry.to_slices(scale(each.voxels)) for name, each in volumes.items()
        }
        yield ScaledPatient(slices, (rows_mm, columns_mm))
