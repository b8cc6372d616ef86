"""Scans, weights and a small data root on disk, for commands that are run for real."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisyn.geometry import Geometry
from omnisyn.studies.site import SiteSettings, write_site
from omnisyn.volumes.write import write_volume
from tests.tiny_weights import save_tiny, save_worded

SHAPE = (20, 24, 4)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty folder, untouched by the variables of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "DEVICE", "WEIGHTS"):
        monkeypatch.delenv(f"OMNISYN_{name}", raising=False)
    monkeypatch.setenv("OMNISYN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a very narrow network, as a file with its card."""
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a text tower beside, so that they can be asked in words."""
    return save_worded(tmp_path_factory.mktemp("weights") / "worded.safetensors")


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., Path]:
    """Writes a scan below the test's folder: `scan("T1.nii.gz")`."""

    def write(name: str, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = np.random.default_rng(seed).uniform(20, 100, SHAPE).astype(np.float32)
        voxels[:3], voxels[:, :3] = 0, 0
        return write_volume(path, voxels, Geometry(SHAPE, np.diag([1.5, 1.5, 4, 1])))

    return write


@pytest.fixture
def data(tmp_path: Path, scan: Callable[..., Path]) -> Path:
    """A data root with one simulated site of two patients."""
    settings = SiteSettings(name="sim-small", role="external", simulated=True)
    rows = [{"participant_id": "001"}, {"participant_id": "002"}]
    for number, row in enumerate(rows):
        for place, name in enumerate(("T1", "T2")):
            scan(f"root/sim-small/{row['participant_id']}/{name}.nii.gz", 2 * number + place)
    write_site(tmp_path / "root", settings, rows)
    return tmp_path / "root"
