"""Published layouts: MONAI's own networks write the checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from monai.networks import nets

from omnisyn.errors import ModelError
from omnisyn.models.backbone import Backbone, ModelSettings, build_backbone
from omnisyn.models.checkpoint_file import read_checkpoint
from omnisyn.models.published import fill_backbone

State = dict[str, torch.Tensor]

NETWORKS: dict[str, tuple[int, Callable[[], Any]]] = {
    "swinunetr": (12, lambda: nets.SwinUNETR(1, 1, feature_size=12, spatial_dims=2)),
    "swinunetrv2": (12, lambda: nets.SwinUNETR(1, 1, feature_size=12, spatial_dims=2, use_v2=True)),
    "unetr": (4, lambda: nets.UNETR(1, 1, 224, 4, 192, 768, 12, spatial_dims=2)),
    "unet": (4, lambda: nets.BasicUNet(2, 1, 1, (4, 8, 16, 32, 32, 4))),
}


def built(name: str, width: int | None = None) -> Backbone:
    width = width or NETWORKS[name][0]
    return build_backbone(ModelSettings(backbone=name, width=width, condition_size=16)).eval()


def theirs(name: str) -> Any:
    torch.manual_seed(7)
    return NETWORKS[name][1]().eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_monai_comes_over_whole(name: str, tmp_path: Path) -> None:
    network = theirs(name)
    torch.save(network.state_dict(), tmp_path / "theirs.pt")
    backbone = built(name)
    filled = fill_backbone(backbone, read_checkpoint(tmp_path / "theirs.pt"), "theirs.pt")
    assert filled == (("encoder", "decoder"), "")
    images = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        features = backbone.encode(images)
        # The nonlinearity behind the target's vector is all that ours has beside it.
        for up in ("decoder1", "decoder2", "upcat_1"):
            if hasattr(network, up):
                own, foreign = (getattr(part, up) for part in (backbone.decoder, network))
                assert all(map(torch.equal, own.parameters(), foreign.parameters()))
        finest = {"unet": "conv_0"}.get(name, "encoder1")
        torch.testing.assert_close(features[0], getattr(network, finest)(images))
        if name == "unetr":
            tokens, _ = network.vit(images)
            deepest = tokens.transpose(1, 2).reshape(1, 192, 14, 14)
        elif name == "unet":
            deepest = images
            for part in ("conv_0", "down_1", "down_2", "down_3", "down_4"):
                deepest = getattr(network, part)(deepest)
        else:
            deepest = network.encoder10(network.swinViT(images, network.normalize)[4])
        torch.testing.assert_close(features[-1], deepest)


def encoder_of_the_method(state: State) -> State:
    """What its released scripts save: SwinUNETR's names without a decoder."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(("dec", "out"))}


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 100},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
    ],
)
def test_the_encoder_of_the_method_comes_over_and_the_decoder_stays(
    wrapped: Callable[[State], object], tmp_path: Path
) -> None:
    state = encoder_of_the_method(theirs("swinunetr").state_dict())
    torch.save(wrapped(state), tmp_path / "encoder.pth")
    backbone = built("swinunetr")
    before = {name: tensor.clone() for name, tensor in backbone.decoder.state_dict().items()}
    filled = fill_backbone(backbone, read_checkpoint(tmp_path / "encoder.pth"), "encoder.pth")
    assert filled == (("encoder",), "the checkpoint has none")
    assert all(torch.equal(backbone.encoder.state_dict()[name], state[name]) for name in state)
    assert all(torch.equal(backbone.decoder.state_dict()[name], before[name]) for name in before)


def test_a_decoder_of_another_shape_stays_and_it_is_said(tmp_path: Path) -> None:
    network = nets.SwinUNETR(1, 14, feature_size=12, spatial_dims=2)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "classes.safetensors")
    tensors = read_checkpoint(tmp_path / "classes.safetensors")
    filled = fill_backbone(built("swinunetr"), tensors, "classes.safetensors")
    assert filled.halves == ("encoder",)
    assert "[14, 12, 1, 1] for [1, 12, 1, 1]" in filled.left


@pytest.mark.parametrize(
    ("state", "width", "reason"),
    [
        (lambda: theirs("swinunetr").state_dict(), 24, "have another shape"),
        (lambda: theirs("unet").state_dict(), 12, r"missing, first .*; \d+ are not the model's"),
    ],
)
def test_another_network_is_refused_with_the_difference(
    state: Callable[[], State], width: int, reason: str
) -> None:
    backbone = built("swinunetr", width)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(ModelError, match=reason):
        fill_backbone(backbone, state(), "theirs.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
