"""Small scans on disk, and models whose output can be foretold."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.geometry import Geometry
from omnisyn.inference.sidecar import ModelIdentity
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.write import write_volume
from tests.tiny_weights import listening_generator, save_tiny, save_worded

Scan = Callable[..., Path]


class Echo(torch.nn.Module):
    """Gives back its first source, whatever the target: every voxel can be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[tuple[int, ...]] = []
        self.decoded: list[str] = []

    def encode_sources(
        self, images: torch.Tensor, present: torch.Tensor, contrasts: torch.Tensor
    ) -> list[torch.Tensor]:
        """Counts what it is given."""
        assert bool(present.all())
        self.encoded.append(tuple(images.shape))
        return [images]

    def condition(
        self, names: Sequence[str], fat_suppressed: Sequence[bool] | None = None
    ) -> torch.Tensor:
        """Remembers the targets."""
        self.decoded += names
        return torch.zeros(len(names), 2)

    def decode(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """The first source, as it came in."""
        assert len(condition) == len(features[0])
        return features[0][:, :1]


@pytest.fixture
def echo() -> Synthesizer:
    """A Synthesizer around `Echo`."""
    return Synthesizer(
        generator=Echo(),  # type: ignore[arg-type]
        contrasts=NAMES,
        identity=ModelIdentity("echo", "0" * 64, "cpu", "float32"),
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a very narrow `small` network, as a file with its card."""
    folder = tmp_path_factory.mktemp("weights")
    return save_tiny(folder / "tiny.safetensors", listening_generator())


@pytest.fixture(scope="session")
def worded_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a text tower beside."""
    return save_worded(tmp_path_factory.mktemp("weights") / "worded.safetensors")


@pytest.fixture
def head() -> np.ndarray:
    """A lopsided head (x, y, z) = (20, 24, 6): an ellipsoid with one bright corner marker."""
    return lopsided_head((20, 24, 6))


def lopsided_head(shape: tuple[int, int, int]) -> np.ndarray:
    """Values up to 100, brighter along every axis, so that no flip or swap goes unseen."""
    axes = [np.linspace(-1, 1, extent) for extent in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    inside = (x / 0.9) ** 2 + (y / 0.9) ** 2 + (z / 1.3) ** 2 < 1
    voxels = np.where(inside, 60 + 10 * x + 8 * y + 6 * z, 0).astype(np.float32)
    voxels[tuple(extent * 2 // 3 for extent in shape)] = 100
    return voxels


@pytest.fixture
def scan(tmp_path: Path, head: np.ndarray) -> Scan:
    """Writes a scan: `scan("sub-01_T1w.nii.gz")`, on a grid of its own choice."""

    def write(
        name: str,
        voxels: np.ndarray | None = None,
        geometry: Geometry | None = None,
        sidecar: Mapping[str, Any] | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = head if voxels is None else voxels
        grid = geometry or Geometry(values.shape, np.diag([1.5, 1.5, 4.0, 1.0]))
        return write_volume(path, values, grid, sidecar=sidecar)

    return write
