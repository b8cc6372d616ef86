import hashlib
import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip
from tests.models.clip.tiny_clip import TINY, publish


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as open_clip publishes them, with a tiny model in it."""
    return publish(tmp_path_factory.mktemp("tiny-clip"))


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
        ("clip.pt", b"PK\x03\x04", "cannot be read"),
        ("clip.safetensors", b"garbage", "no safetensors file"),
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


def test_weights_of_another_architecture_are_refused_with_the_difference(
    folder: Path, tmp_path: Path
) -> None:
    stored = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    del stored["text_projection"]
    stored["strange"] = torch.ones(1)
    stored["visual.proj"] = torch.ones(3, 3)
    safetensors.torch.save_file(stored, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    with pytest.raises(ModelError, match="belong to another model") as caught:
        build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path)))
    assert caught.value.why == (
        "1 tensors are missing, first text_projection; 1 are not the model's, first strange; "
        "1 have another shape, first visual.proj: [3, 3] for [32, 16]"
    )


def test_loading_draws_nothing_from_the_state_of_the_caller(folder: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    build_clip(ClipSettings(architecture="ViT-B-32", weights=str(folder)))
    assert torch.equal(torch.rand(1), wanted)


def test_adapters_alone_are_refused(tmp_path: Path) -> None:
    settings = ClipSettings(architecture="ViT-B-32", adapters=str(tmp_path / "adapters.pkl"))
    with pytest.raises(UsageError, match="without the CLIP that they sit on"):
        build_clip(settings)


def test_text_tower_of_another_family_is_refused(tmp_path: Path) -> None:
    foreign = {**TINY, "text_cfg": {"hf_model_name": "some-bert"}}
    publish(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": foreign}))
    with pytest.raises(ModelError, match="text tower or a vocabulary of another family"):
        build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path)))
