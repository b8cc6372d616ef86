import json
from pathlib import Path
from typing import Any

import pytest
import torch

from omnisyn.errors import ModelError
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.model import ClipSettings, build_clip
from omnisyn.models.clip.store import load_clip, save_clip
from tests.hub_server import HubServer

TEXTS = ["a T1 slice, fat is bright", "fluid"]


def theirs(**changes: Any) -> Any:
    """A tiny CLIPModel of transformers, of heads 16 wide unless told otherwise."""
    open_clip_module()  # torchvision must be mended before transformers looks for it
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(5)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, **changes}
    configuration = CLIPConfig(
        text_config={**sizes, "intermediate_size": 128},
        vision_config={**sizes, "intermediate_size": 192, "image_size": 64, "patch_size": 16},
        projection_dim=24,
    )
    model = CLIPModel(configuration).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Fresh biases are zero, and what is zero cannot be found in the wrong place.
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def settings(path: Path) -> ClipSettings:
    return ClipSettings(architecture="ViT-L-14", weights=str(path))


def check_same(model: Any, reference: Any) -> None:
    images = torch.rand(2, 1, 64, 64)
    tokens = model.tokenizer(TEXTS)
    scaled = (images.expand(-1, 3, -1, -1) - model.mean) / model.deviation
    with torch.no_grad():
        answer = reference(input_ids=tokens, pixel_values=scaled)
        for own, foreign in (
            (model.encode_text(TEXTS), answer.text_embeds),
            (model.encode_image(images), answer.image_embeds),
        ):
            torch.testing.assert_close(own, foreign, atol=1e-5, rtol=0)
        torch.testing.assert_close(model.logit_scale, reference.logit_scale.exp())


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_folder_gives_the_features_of_transformers(tmp_path: Path, activation: str) -> None:
    reference = theirs(hidden_act=activation)
    reference.save_pretrained(tmp_path)
    check_same(build_clip(settings(tmp_path)).eval(), reference)


def test_pickled_file_alone_gives_the_same_with_heads_of_openais_width(tmp_path: Path) -> None:
    # As RadCLIP's: the state of a CLIPModel, of a release that still stored position numbers.
    reference = theirs(num_attention_heads=1)
    state = reference.state_dict()
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    torch.save(state, tmp_path / "RadCLIP.pth")
    model = build_clip(settings(tmp_path / "RadCLIP.pth")).eval()
    check_same(model, reference)
    assert model.shape.deviation == (0.26862954, 0.26130258, 0.27577711)
    assert model.shape.interpolation == "bicubic"


def test_hub_repository_without_configuration_is_read(hub: HubServer, tmp_path: Path) -> None:
    reference = theirs(num_attention_heads=1)
    torch.save(reference.state_dict(), tmp_path / "RadCLIP.pth")
    hub.create("zluvolyote/RadCLIP")
    hub.add("zluvolyote/RadCLIP", {"RadCLIP.pth": (tmp_path / "RadCLIP.pth").read_bytes()})
    named = ClipSettings(architecture="ViT-L-14", weights="hf-hub:zluvolyote/RadCLIP")
    check_same(build_clip(named).eval(), reference)


def test_scaling_is_that_of_the_preprocessor(tmp_path: Path) -> None:
    theirs().save_pretrained(tmp_path)
    content = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.1, 0.2, 0.3], "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    model = build_clip(settings(tmp_path))
    white = model.preprocess(torch.ones(1, 1, 64, 64))[0, :, 0, 0]
    torch.testing.assert_close(white, torch.tensor([0.6 / 0.1, 0.5 / 0.2, 0.4 / 0.3]))
    assert model.shape.interpolation == "bilinear"


def test_it_comes_back_from_the_disk(tmp_path: Path) -> None:
    reference = theirs()
    reference.save_pretrained(tmp_path / "theirs")
    save_clip(tmp_path, "own", build_clip(settings(tmp_path / "theirs")))
    check_same(load_clip(tmp_path, "own"), reference)


def test_other_tensors_words_and_activations_are_refused(tmp_path: Path) -> None:
    state = theirs().state_dict()
    file = tmp_path / "clip.pth"
    for changes, message in (
        ({"vision_model.post_layernorm.bias": None}, r"missing, first visual\.ln_post\.bias"),
        ({"text_projection.weight": None}, r"not whole \(text_projection\.weight is missing"),
        ({"strange": torch.ones(1)}, "1 are not the model's, first strange"),
        (
            {"text_model.embeddings.token_embedding.weight": torch.ones(50, 64)},
            "another vocabulary than OpenAI's",
        ),
    ):
        changed = {**state, **changes}
        torch.save({name: value for name, value in changed.items() if value is not None}, file)
        with pytest.raises(ModelError, match=message):
            build_clip(settings(file))
    theirs(hidden_act="relu").save_pretrained(tmp_path / "relu")
    with pytest.raises(ModelError, match="activation that is not known"):
        build_clip(settings(tmp_path / "relu"))


def test_image_tower_alone_is_refused(tmp_path: Path) -> None:
    state = {name: value for name, value in theirs().state_dict().items() if "vis" in name}
    torch.save(state, tmp_path / "vision.pth")
    with pytest.raises(ModelError, match="not whole"):
        build_clip(settings(tmp_path / "vision.pth"))
