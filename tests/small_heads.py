"""Small heads on disk: an ellipsoid in noise-free air, a bright marker on the patient's right."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnisyn.geometry import Geometry
from omnisyn.studies.augment import AugmentationSettings
from omnisyn.studies.site import Site, SiteSettings, write_site
from omnisyn.volumes.write import write_volume

SHAPE = (10, 32, 28)
SPACING = (4.0, 1.0, 1.0)
BRIGHTNESS = {"T1": 400.0, "T1c": 700.0, "T2": 250.0, "FLAIR": 90.0, "PD": 500.0, "MRA": 60.0}

NO_AUGMENTATION = AugmentationSettings(flip=0, resampled=0)

WriteHead = Callable[..., Path]
MakeSite = Callable[..., Site]


def head_slices(seed: int = 0, brightness: float = 400.0) -> NDArray[np.float32]:
    """(slices, rows, columns): the outermost two slices are air, a marker lies anterior right."""
    slices, rows, columns = np.meshgrid(
        *(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij"
    )
    inside = (slices / 0.9) ** 2 + (rows / 0.8) ** 2 + (columns / 0.75) ** 2 < 1
    texture = np.random.default_rng(seed).uniform(0.5, 1.0, SHAPE)
    voxels = np.where(inside, texture * brightness, 0.0)
    voxels[4:6, 8:11, 6:9] = 2 * brightness
    return voxels.astype(np.float32)


@pytest.fixture
def write_head() -> WriteHead:
    """Writes one head: path, contrast name, seed, geometry, sidecar."""

    def write(
        path: Path,
        name: str = "T1",
        *,
        seed: int = 0,
        geometry: Geometry | None = None,
        sidecar: Mapping[str, Any] | None = None,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        geometry = geometry or Geometry.axial(SHAPE, SPACING)
        voxels = geometry.from_slices(head_slices(seed, BRIGHTNESS[name]))
        return write_volume(path, voxels, geometry, sidecar=sidecar, overwrite=True)

    return write


@pytest.fixture
def make_site(tmp_path: Path, write_head: WriteHead) -> MakeSite:
    """Writes a site of simulated heads in our own form below ``tmp_path/root``."""

    def make(
        name: str = "sim-site",
        patients: Mapping[str, Sequence[str]] | None = None,
        *,
        role: str = "train",
        rows: Sequence[Mapping[str, object]] | None = None,
        sidecars: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Site:
        patients = patients or {f"p{number}": ("T1", "T2") for number in range(1, 5)}
        root = tmp_path / "root"
        for number, (patient, contrasts) in enumerate(patients.items()):
            for contrast in contrasts:
                write_head(
                    root / name / patient / f"{contrast}.nii.gz",
                    contrast,
                    seed=number,
                    sidecar={"Simulated": True, **(sidecars or {}).get(contrast, {})},
                )
        settings = SiteSettings.model_validate({"name": name, "role": role, "simulated": True})
        if rows is None:
            rows = [{"participant_id": patient} for patient in patients]
        return write_site(root, settings, rows)

    return make
