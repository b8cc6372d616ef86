"""Small sites on disk, whose contrasts are known functions of one smooth tissue map."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from omnisyn.geometry import Geometry
from omnisyn.studies.site import Site, SiteSettings, write_site
from omnisyn.volumes.write import write_volume

SHAPE = (4, 44, 40)
GEOMETRY = Geometry.axial(SHAPE, (4.0, 1.0, 1.0))
CONTRASTS = {
    "T1": lambda tissue: 900 * tissue,
    "T1c": lambda tissue: 500 * np.sqrt(tissue),
    "T2": lambda tissue: 700 * (1.1 - tissue),
}


def make_tissue(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(tissue in [0.1, 1], head), both (slices, rows, columns)."""
    rows, columns = np.mgrid[: SHAPE[1], : SHAPE[2]]
    head = np.broadcast_to(((rows - 22) / 17) ** 2 + ((columns - 20) / 14) ** 2 < 1, SHAPE)
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    smooth = ndimage.gaussian_filter(noise, (0.5, 1.5, 1.5))
    return np.clip(0.5 + 1.5 * smooth, 0.1, 1), head


@pytest.fixture(scope="session")
def site_writer():
    """Write a site under a root, its patients with the given contrasts: (root, name, …) → Site."""

    def write(
        root: Path,
        name: str = "sim-one",
        *,
        patients: dict[str, tuple[str, ...]] | int = 3,
        role: str = "external",
        tags: dict[str, dict[str, str]] | None = None,
        tumour: bool = True,
    ) -> Site:
        if isinstance(patients, int):
            patients = {f"sub-{number:02d}": tuple(CONTRASTS) for number in range(patients)}
        settings = SiteSettings(
            name=name, role=role, simulated=name.startswith("sim-"), scanner="Example 3 T"
        )
        rows = [
            {"participant_id": patient, **(tags or {}).get(patient, {})} for patient in patients
        ]
        site = write_site(root, settings, rows)
        for number, (patient, contrasts) in enumerate(patients.items()):
            folder = Path(site.path) / patient
            folder.mkdir()
            tissue, head = make_tissue(100 + number)
            for contrast in contrasts:
                slices = (CONTRASTS[contrast](tissue) * head).astype(np.float32)
                write_volume(folder / f"{contrast}.nii.gz", GEOMETRY.from_slices(slices), GEOMETRY)
            if tumour:
                mask = np.zeros(SHAPE, np.uint8)
                mask[2, 18:26, 16:24] = 1
                voxels = GEOMETRY.from_slices(mask)
                write_volume(folder / "tumour.nii.gz", voxels, GEOMETRY, dtype="uint8")
        return site

    return write


@pytest.fixture
def make_site(tmp_path, site_writer):
    """The same, under a root of the test's own: (name, …) → Site."""
    return partial(site_writer, tmp_path / "root")
