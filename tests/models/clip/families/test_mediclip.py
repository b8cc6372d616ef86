import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from omnisyn.errors import ModelError, UsageError
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.model import ClipSettings, build_clip
from omnisyn.models.clip.store import load_clip, save_clip
from tests.models.clip.tiny_clip import TINY, publish

LAYERS = (1, 2)


def adapters() -> nn.ModuleDict:
    """Named as models/Adapter.py of the published code does."""
    torch.manual_seed(9)
    return nn.ModuleDict(
        {f"{n}_adapter": nn.Sequential(nn.Conv2d(32, 16, 1)) for n in range(len(LAYERS))}
    )


def write(path: Path, width: int = 16) -> Path:
    """A checkpoint as train.py of the published code saves it."""
    prompts = nn.ParameterDict(
        {f"{kind}_end": torch.randn(10, 8, width) for kind in ("normal", "abnormal")}
    )
    learner = nn.Module()
    learner.ctx = prompts
    content = {
        "adapter_state_dict": adapters().state_dict(),
        "prompt_state_dict": learner.state_dict(),
    }
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("tiny-clip"))


def settings(folder: Path, path: Path, **changes: Any) -> ClipSettings:
    chosen: dict[str, Any] = {
        "architecture": "ViT-L-14",
        "weights": str(folder),
        "adapters": str(path),
        "adapter_layers": LAYERS,
    }
    return ClipSettings(**chosen | changes)


def test_image_vector_is_the_mean_of_the_adapted_patches(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "checkpoints_200.pkl")
    plain = build_clip(ClipSettings(architecture="ViT-L-14", weights=str(folder))).eval()
    model = build_clip(settings(folder, path)).eval()
    images = torch.rand(2, 1, 64, 64)
    tokens: list[torch.Tensor] = []
    for layer in LAYERS:
        block = plain.clip.visual.transformer.resblocks[layer - 1]
        block.register_forward_hook(lambda _, __, output: tokens.append(output))
    with torch.no_grad():
        plain.encode_image(images)
        means = []
        for own, adapter in zip(tokens, adapters().values(), strict=True):
            # Without the class token, in the grid of the patches.
            patches = own[:, 1:].reshape(2, 2, 2, 32).permute(0, 3, 1, 2)
            means.append(functional.normalize(adapter(patches), dim=1).mean(dim=(2, 3)))
        wanted = functional.normalize(torch.stack(means).mean(dim=0), dim=1)
        torch.testing.assert_close(model.encode_image(images), wanted, atol=1e-5, rtol=0)
        texts = ["fluid is bright"]
        assert torch.equal(model.encode_text(texts), plain.encode_text(texts))
    assert model.shape.mean == plain.shape.mean


def test_every_parameter_learns_and_the_model_comes_back(folder: Path, tmp_path: Path) -> None:
    model = build_clip(settings(folder, write(tmp_path / "adapters.pkl"))).eval()
    model.encode_image(torch.rand(1, 1, 64, 64))[0, 0].backward()
    assert all(weight.grad is not None for weight in model.image_tower())
    save_clip(tmp_path, "own", model)
    again = load_clip(tmp_path, "own")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert again.shape.adapters == LAYERS


def test_adapters_of_another_clip_are_refused(folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "adapters.pkl")
    for layers in ((2, 3), (2, 1), (12, 18, 24)):
        with pytest.raises(UsageError, match="do not fit the image tower"):
            build_clip(settings(folder, path, adapter_layers=layers))
    with pytest.raises(ModelError, match=r"2 are not the model's, first visual\.adapters\.1"):
        build_clip(settings(folder, path, adapter_layers=(2,)))
    with pytest.raises(ModelError, match="another text tower"):
        build_clip(settings(folder, write(tmp_path / "other.pkl", width=24)))
    torch.save({"state_dict": {"a": torch.ones(1)}}, path)
    with pytest.raises(ModelError, match="no tensors by name"):
        build_clip(settings(folder, path))


def test_tower_of_convolutions_takes_none(tmp_path: Path) -> None:
    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
    configuration = {**TINY, "vision_cfg": vision}
    clip = open_clip_module().CLIP(**configuration)
    publish(tmp_path)
    safetensors.torch.save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": configuration}))
    path = write(tmp_path / "adapters.pkl")
    with pytest.raises(UsageError, match="do not fit the image tower"):
        build_clip(settings(tmp_path, path))
