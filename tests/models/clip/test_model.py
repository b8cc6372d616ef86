import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.clip import model as model_module
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip
from omnisyn.models.clip.text_image import open_clip_module
from omnisyn.models.hub.address import HubAddress

# ViT-B-32's layout with every figure made small; only CLIP's own vocabulary keeps its size.
TINY = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 64,
        "layers": 2,
        "width": 32,
        "head_width": 16,
        "patch_size": 32,
    },
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 2,
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as open_clip publishes them, with a tiny model in it."""
    place = tmp_path_factory.mktemp("tiny-clip")
    torch.manual_seed(7)
    clip = open_clip_module().CLIP(**TINY, quick_gelu=True)
    safetensors.torch.save_file(clip.state_dict(), place / "open_clip_model.safetensors")
    configuration = {
        "model_cfg": {**TINY, "quick_gelu": True},
        "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]},
    }
    (place / "open_clip_config.json").write_text(json.dumps(configuration))
    return place


@pytest.fixture
def tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let open_clip take the tiny layout for its ViT-B-32."""
    known = open_clip_module()
    monkeypatch.setattr(known, "get_model_config", lambda name: json.loads(json.dumps(TINY)))


def test_folder_gives_its_own_weights_and_mean_and_deviation(folder: Path) -> None:
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights=str(folder))).eval()
    stored = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    for name, tensor in stored.items():
        assert torch.equal(model.clip.state_dict()[name], tensor)
    assert model.embed_size == 16
    white = model.preprocess(torch.ones(1, 1, 64, 64))[0, :, 0, 0]
    torch.testing.assert_close(white, torch.tensor([0.6 / 0.1, 0.5 / 0.2, 0.4 / 0.3]))
    assert model.encode_text(["a T1 slice"]).shape == (1, 16)
    assert model.encode_image(torch.rand(2, 1, 40, 50)).shape == (2, 16)


def test_activation_of_the_folder_is_kept(folder: Path) -> None:
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights=str(folder)))
    assert any(type(module).__name__ == "QuickGELU" for module in model.modules())


@pytest.mark.usefixtures("tiny_architecture")
def test_file_is_loaded_with_openai_mean_and_activation(folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    from_file = build_clip(ClipSettings(architecture="ViT-B-32", weights=str(file))).eval()
    from_folder = build_clip(ClipSettings(architecture="ViT-B-32", weights=str(folder))).eval()
    texts = ["fluid is bright", "fluid is dark"]
    assert torch.equal(from_file.encode_text(texts), from_folder.encode_text(texts))
    torch.testing.assert_close(
        from_file.mean.flatten(), torch.tensor([0.48145466, 0.4578275, 0.40821073])
    )


@pytest.mark.usefixtures("tiny_architecture")
def test_openai_weights_come_from_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def stand_in(address: HubAddress, *_: object) -> Path:
        asked.append(str(address))
        return folder

    monkeypatch.setattr(model_module, "fetch_from_hub", stand_in)
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights="openai"))
    assert asked == ["hf-hub:timm/vit_base_patch32_clip_224.openai"]
    stored = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    assert torch.equal(model.clip.text_projection, stored["text_projection"])


def test_hub_model_brings_its_own_shape(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "fetch_from_hub", lambda *_: folder)
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights="hf-hub:org/name@v1"))
    assert model.embed_size == 16


def test_hash_in_a_hub_address_is_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "fetch_from_hub", lambda *_: folder)
    right, wrong = (
        hashlib.sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest(),
        "0" * 64,
    )
    build_clip(ClipSettings(architecture="ViT-B-32", weights=f"hf-hub:org/name#sha256={right}"))
    with pytest.raises(ModelError, match="not the pinned CLIP weights"):
        build_clip(ClipSettings(architecture="ViT-B-32", weights=f"hf-hub:org/name#sha256={wrong}"))


def test_untrained_vit_b_32_has_the_published_shape() -> None:
    with torch.device("meta"):
        model = build_clip(ClipSettings(architecture="ViT-B-32"))
    assert sum(weight.numel() for weight in model.parameters()) == 151_277_313
    assert (model.embed_size, model.image_size) == (512, 224)


def test_pinned_hash_is_checked(folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    settings = ClipSettings(architecture="ViT-B-32", weights=str(folder), sha256=right)
    assert isinstance(build_clip(settings), TextImageModel)
    with pytest.raises(ModelError, match="not the pinned CLIP weights"):
        build_clip(settings.model_copy(update={"sha256": "0" * 64}))


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown CLIP architecture 'ViT-Z'"):
        build_clip(ClipSettings(architecture="ViT-Z"))


def test_small_takes_no_foreign_weights() -> None:
    with pytest.raises(UsageError, match="takes no foreign weights"):
        build_clip(ClipSettings(weights="openai"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent", None, "there are no such CLIP weights"),
        ("clip.pt", b"PK\x03\x04", "safetensors files only"),
        ("clip.safetensors", b"garbage", "cannot be loaded"),
    ],
)
@pytest.mark.usefixtures("tiny_architecture")
def test_unfit_file_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path / name)))
    assert "\n" not in str(caught.value)


def test_weights_of_another_architecture_are_refused(folder: Path, tmp_path: Path) -> None:
    stored = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    del stored["text_projection"]
    safetensors.torch.save_file(stored, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(ModelError, match="cannot be loaded"):
        build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path)))


def test_folder_without_safetensors_or_configuration_is_refused(tmp_path: Path) -> None:
    settings = ClipSettings(architecture="ViT-B-32", weights=str(tmp_path))
    with pytest.raises(ModelError, match=r"no valid open_clip_config\.json"):
        build_clip(settings)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    with pytest.raises(ModelError, match="safetensors files only"):
        build_clip(settings)


def test_text_tower_of_another_family_is_refused(tmp_path: Path) -> None:
    foreign = {**TINY, "text_cfg": {"hf_model_name": "some-bert"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": foreign}))
    with pytest.raises(ModelError, match="text tower of another family"):
        build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path)))
