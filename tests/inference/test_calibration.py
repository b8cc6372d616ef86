import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from omnisyn.errors import InputError, ModelError
from omnisyn.inference.calibrate import calibrate
from omnisyn.inference.calibration import (
    Calibration,
    calibration_path,
    read_calibration,
    write_calibration,
)
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.listeners import Note, unheard
from omnisyn.models.weights import find_weights, list_weights
from tests.hub_server import HubServer
from tests.inference.ellipses import ellipses


@pytest.fixture
def synthesizer(tiny_weights: Path) -> Synthesizer:
    return Synthesizer.load(tiny_weights, "cpu")


@pytest.fixture
def calibration(synthesizer: Synthesizer) -> Calibration:
    return calibrate(synthesizer, ellipses(4), "ellipses", simulated=True)


def read(weights: Path, sha256: str, note: Note = unheard) -> Calibration | None:
    return read_calibration(find_weights(weights), sha256, note)


def test_what_is_written_is_read_again_and_loaded_with_the_weights(
    tiny_weights: Path, synthesizer: Synthesizer, calibration: Calibration
) -> None:
    assert synthesizer.calibration is None
    path = calibration_path(find_weights(tiny_weights))
    try:
        write_calibration(path, calibration)
        found = Synthesizer.load(tiny_weights, "cpu").calibration
        assert found is not None
        assert found.errors == calibration.errors
        assert found.measured_on == "ellipses"
        assert found.patients == 4
        assert found.familiarity.contrasts == calibration.familiarity.contrasts
        assert found.familiarity.limit == calibration.familiarity.limit
        np.testing.assert_allclose(
            found.familiarity.descriptions, calibration.familiarity.descriptions, rtol=1e-3
        )
        with pytest.raises(InputError, match="exists already"):
            write_calibration(path, calibration)
        heard: list[str] = []
        assert read(tiny_weights, "0" * 64, note=heard.append) is None
        assert "measured on other weights" in heard[0]
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(ModelError, match=r"tiny\.calibration"):
            Synthesizer.load(tiny_weights, "cpu")
    finally:
        path.unlink()


def test_weights_are_no_calibration(tiny_weights: Path, synthesizer: Synthesizer) -> None:
    path = calibration_path(find_weights(tiny_weights))
    path.write_bytes(tiny_weights.read_bytes())
    try:
        with pytest.raises(ModelError, match="no calibration of weights"):
            read(tiny_weights, synthesizer.identity.sha256)
    finally:
        path.unlink()


def test_damage_inside_is_no_calibration(
    tmp_path: Path, synthesizer: Synthesizer, calibration: Calibration
) -> None:
    card = tmp_path / "tiny.json"
    path = calibration_path(card)
    write_calibration(path, calibration)
    sha256 = synthesizer.identity.sha256
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        facts = file.metadata()
    damaged = [
        (tensors, {"calibration": "[" * 100_000}),
        *(
            (tensors | {name: torch.full_like(tensors[name], value)}, facts)
            for name, value in (("descriptions", torch.nan), ("spread", torch.nan), ("spread", 0))
        ),
    ]
    for content in damaged:
        safetensors.torch.save_file(content[0], path, content[1])
        with pytest.raises(ModelError, match="no calibration of weights"):
            read_calibration(card, sha256, unheard)
    safetensors.torch.save_file(tensors, path, facts)
    assert read_calibration(card, sha256, unheard) is not None


def test_weights_on_the_hub_are_asked_for_once(hub: HubServer, tiny_weights: Path) -> None:
    """Else a branch that moves in between would bring other weights just for their name."""
    hub.create("org/tiny")
    files = (tiny_weights, find_weights(tiny_weights))
    hub.add("org/tiny", {path.name: path.read_bytes() for path in files})
    Synthesizer.load("hf-hub:org/tiny", "cpu")
    assert hub.requests.count("GET /api/models/org/tiny/revision/main") == 1


def test_the_shipped_calibration_belongs_to_the_shipped_weights() -> None:
    for card in list_weights():
        found = read_calibration(find_weights(card.name), card.sha256, pytest.fail)
        assert found is not None, f"run: omnisyn models calibrate {card.name}"
        weights = find_weights(card.name).with_name(card.file)
        assert found.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
        assert len(set(found.familiarity.contrasts)) == len(card.contrasts)
