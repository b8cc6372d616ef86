"""The commands as functions: typed, silent, reachable from the package itself."""

import inspect
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

import omnisyn
from omnisyn import api
from omnisyn.cli.verbs import VERBS
from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.write import write_volume
from tests.tiny_weights import save_tiny


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "tiny.safetensors")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    voxels = np.zeros((16, 20, 3), dtype=np.float32)
    voxels[2:14, 3:17] = np.random.default_rng(0).uniform(50, 90, (12, 14, 3))
    return write_volume(tmp_path / "T1.nii.gz", voxels, Geometry(voxels.shape, np.eye(4)))


def test_every_command_is_a_function_of_the_package() -> None:
    # `omnisyn.simulate` is the simulator's own folder; `models` and `sites` have several functions.
    of_models = {
        *("list_models", "list_backbones", "show_model", "verify_models"),
        *("pull_model", "push_model", "convert_model"),
    }
    of_sites = {"list_sites", "show_site"}
    for name in (set(VERBS) - {"models", "sites", "simulate"}) | of_models | of_sites:
        assert getattr(omnisyn, name) is getattr(api, name)
    assert inspect.isfunction(api.simulate)
    with pytest.raises(AttributeError):
        _ = omnisyn.diagnose


def test_every_function_is_documented() -> None:
    functions = [
        value
        for name, value in vars(api).items()
        if inspect.isfunction(value) and value.__module__ == api.__name__ and name[0] != "_"
    ]
    assert len(functions) >= len(VERBS)
    for function in functions:
        assert inspect.getdoc(function)
        assert "return" in inspect.get_annotations(function)
    assert set(get_type_hints(api.TrainingOptions)) >= {"recipe", "data", "out", "init", "seed"}


def test_synthesize_is_silent_and_returns_what_it_wrote(
    weights: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output,) = omnisyn.synthesize(
        [source], ["T2"], tmp_path / "out", weights=weights, device="cpu"
    )
    assert capsys.readouterr() == ("", "")
    volume = read_volume(output.volume)
    assert volume.contrast is not None
    assert volume.contrast.name == "T2"
    assert volume.geometry == read_volume(source).geometry
    assert volume.provenance.acquisition["Synthetic"] is True


def test_a_synthetic_source_is_warned_of(weights: Path, source: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    (first,) = omnisyn.synthesize([source], ["T2"], tmp_path / "a", weights=weights, device="cpu")
    omnisyn.synthesize(
        [first.volume], ["PD"], tmp_path / "b", weights=weights, device="cpu", note=heard.append
    )
    assert heard == ["desc-synth_T2w.nii.gz is itself a synthetic image"]


def test_equal_calls_give_equal_volumes(weights: Path, source: Path, tmp_path: Path) -> None:
    made = [
        omnisyn.synthesize([source], ["T2"], tmp_path / name, weights=weights, device="cpu")
        for name in "ab"
    ]
    first, second = (outputs[0].volume.read_bytes() for outputs in made)
    assert first == second


def test_refusals_are_exceptions(weights: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        omnisyn.synthesize([source], ["T9"], tmp_path / "out", weights=weights)
    with pytest.raises(InputError):
        omnisyn.synthesize([tmp_path / "gone.nii.gz"], ["T2"], tmp_path / "out", weights=weights)
    with pytest.raises(UsageError, match="objective"):
        omnisyn.align(objective="guess")
    with pytest.raises(UsageError, match="precision"):
        omnisyn.pretrain(precision="half")
