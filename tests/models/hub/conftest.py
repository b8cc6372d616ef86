"""Small weights, as files and as a repository of the stand-in."""

from pathlib import Path

import pytest

from omnisyn.models.card import CardDescription
from omnisyn.models.weights import save_weights
from tests.hub_server import HubServer
from tests.tiny_weights import save_worded, tiny_generator


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a very narrow network, with their card."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    description = CardDescription(
        name="tiny",
        recipe="test",
        trained_on="nothing at all",
        simulated=True,
        figures={"sim-site": {"T1→T2": {"model": {"ssim": 0.51234567}}}, "steps": 3},
        credits=("nobody",),
    )
    save_weights(path, tiny_generator(), description)
    return path


@pytest.fixture(scope="session")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights with a text tower beside."""
    return save_worded(tmp_path_factory.mktemp("weights") / "worded.safetensors")


@pytest.fixture
def published(hub: HubServer, tiny: Path) -> str:
    """The commit of `org/tiny`, a public repository that holds the small weights."""
    hub.create("org/tiny")
    files = {path.name: path.read_bytes() for path in (tiny, tiny.with_suffix(".json"))}
    return hub.add("org/tiny", files | {"README.md": b"# tiny\n", "large.bin": b"0" * 1000})
