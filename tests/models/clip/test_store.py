import json
from pathlib import Path

import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip
from omnisyn.models.clip.store import load_clip, save_clip


@pytest.fixture(scope="module")
def small() -> TextImageModel:
    return build_clip(ClipSettings(embed_size=32), seed=4).eval()


def test_model_comes_back_bit_equal(tmp_path: Path, small: TextImageModel) -> None:
    save_clip(tmp_path, "trained", small)
    loaded = load_clip(tmp_path, "trained")
    assert loaded.state_dict().keys() == small.state_dict().keys()
    for name, tensor in small.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])
    assert not loaded.training


def test_text_tower_ships_alone_and_small(tmp_path: Path, small: TextImageModel) -> None:
    save_clip(tmp_path, "small", small, precision="float16", with_image_tower=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small.clip.json",
        "small.text.safetensors",
    ]
    assert (tmp_path / "small.text.safetensors").stat().st_size <= 12_000_000
    loaded = load_clip(tmp_path, "small", with_image_tower=False)
    with torch.no_grad():
        near = loaded.encode_text(["fluid is bright"]) @ small.encode_text(["fluid is bright"]).T
    assert near.item() > 0.999


def test_missing_image_tower_is_noticed(tmp_path: Path, small: TextImageModel) -> None:
    save_clip(tmp_path, "small", small, with_image_tower=False)
    with pytest.raises(ModelError, match="without its image tower"):
        load_clip(tmp_path, "small")


@pytest.mark.parametrize("tower", ["text", "image"])
def test_damaged_tower_is_refused(tmp_path: Path, small: TextImageModel, tower: str) -> None:
    save_clip(tmp_path, "small", small)
    path = tmp_path / f"small.{tower}.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"small\.{tower}\.safetensors: .*SHA-256 is"):
        load_clip(tmp_path, "small")


def test_absent_model_says_which_command_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="omnisyn align"):
        load_clip(tmp_path, "small")


@pytest.mark.parametrize("content", ["{", "[]", "{}", "5"])
def test_broken_description_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "small.clip.json").write_text(content)
    with pytest.raises(ModelError, match=r"^small\.clip\.json: "):
        load_clip(tmp_path, "small")


def test_towers_of_another_shape_are_refused(tmp_path: Path, small: TextImageModel) -> None:
    save_clip(tmp_path, "small", small)
    path = tmp_path / "small.clip.json"
    record = json.loads(path.read_text())
    record["shape"]["model"]["embed_dim"] = 64
    path.write_text(json.dumps(record))
    with pytest.raises(ModelError, match="another shape"):
        load_clip(tmp_path, "small")
