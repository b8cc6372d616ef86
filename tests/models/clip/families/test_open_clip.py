import json
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch

from omnisyn.errors import ModelError
from omnisyn.models.clip.families import open_clip
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip
from tests.models.clip.tiny_clip import TINY, tiny_state


@pytest.fixture
def tiny_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let open_clip take the tiny layout for every architecture."""
    known = open_clip.open_clip_module()
    monkeypatch.setattr(known, "get_model_config", lambda name: json.loads(json.dumps(TINY)))


def activations(model: TextImageModel) -> set[str]:
    return {type(module).__name__ for module in model.modules()} & {"GELU", "QuickGELU"}


@pytest.mark.usefixtures("tiny_architectures")
def test_mr_clip_is_read_from_the_checkpoint_of_open_clips_training(tmp_path: Path) -> None:
    # As open_clip_train/main.py of MR-CLIP writes it, with its 98 tokens.
    text = {**TINY["text_cfg"], "context_length": 98}
    state = tiny_state(text_cfg=text)
    parameter = torch.nn.Parameter(torch.ones(2))
    checkpoint = {
        "epoch": 20,
        "name": "mr_clip",
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "optimizer": torch.optim.AdamW([parameter]).state_dict(),
    }
    torch.save(checkpoint, tmp_path / "epoch_latest.pt")
    settings = ClipSettings(architecture="mr-clip", weights=str(tmp_path / "epoch_latest.pt"))
    model = build_clip(settings).eval()
    theirs = open_clip.open_clip_module().CLIP(**TINY | {"text_cfg": text}).eval()
    theirs.load_state_dict(state)
    images, texts = torch.rand(2, 1, 64, 64), ["a brain MRI, plane axial " * 14]
    tokens = model.tokenizer(texts)
    assert tokens.shape == (1, 98)
    with torch.no_grad():
        assert torch.equal(model.encode_text(texts), theirs.encode_text(tokens, normalize=True))
        scaled = (images.expand(-1, 3, -1, -1) - model.mean) / model.deviation
        assert torch.equal(model.encode_image(images), theirs.encode_image(scaled, normalize=True))
    assert activations(model) == {"GELU"}
    assert model.shape.mean == (0.48145466, 0.4578275, 0.40821073)


def test_mr_clip_untrained_is_a_vit_b_16_with_98_tokens() -> None:
    shape = open_clip.named_shape("mr-clip")
    assert shape.model["vision_cfg"]["patch_size"] == 16
    assert shape.model["text_cfg"]["context_length"] == 98
    assert not shape.model.get("quick_gelu")


@pytest.mark.usefixtures("tiny_architectures")
def test_bare_file_has_the_quick_gelu_and_its_own_number_of_tokens(tmp_path: Path) -> None:
    state = tiny_state(text_cfg={**TINY["text_cfg"], "context_length": 40})
    safetensors.torch.save_file(state, tmp_path / "clip.safetensors")
    settings = ClipSettings(architecture="ViT-B-16", weights=str(tmp_path / "clip.safetensors"))
    model = build_clip(settings)
    assert activations(model) == {"QuickGELU"}
    assert model.tokenizer(["bright"]).shape == (1, 40)


@pytest.mark.parametrize("older", [False, True])
def test_text_tower_that_stands_apart_is_loaded_from_both_ways_to_name_it(
    tmp_path: Path, older: bool
) -> None:
    torch.manual_seed(7)
    theirs = open_clip.open_clip_module().CustomTextCLIP(**TINY).eval()
    state = {
        name.removeprefix("text.") if older else name: value
        for name, value in theirs.state_dict().items()
    }
    safetensors.torch.save_file(state, tmp_path / "open_clip_model.safetensors")
    configuration = {"model_cfg": {**TINY, "custom_text": True}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(configuration))
    model = build_clip(ClipSettings(architecture="ViT-B-32", weights=str(tmp_path))).eval()
    texts = ["fluid is bright"]
    with torch.no_grad():
        wanted = theirs.encode_text(model.tokenizer(texts), normalize=True)
        assert torch.equal(model.encode_text(texts), wanted)
    towers = len(list(model.image_tower())) + len(list(model.text_tower()))
    assert towers + 1 == len(list(model.parameters()))


def test_most_published_weights_are_of_models_that_can_be_built() -> None:
    fit = 0
    listed = open_clip.open_clip_module().list_pretrained()
    for architecture, tag in listed:
        published = open_clip.published_tag(architecture, tag)
        assert published
        assert published["hf_hub"].count("/") >= 2
        with suppress(ModelError):
            open_clip.named_shape(architecture, published)
            fit += 1
    assert fit > 0.7 * len(listed)
