from pathlib import Path

import safetensors.torch
import torch

from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.families.swin import build_swin, from_swin_model, swin_arguments


def test_features_are_those_of_transformers(tmp_path: Path) -> None:
    open_clip_module()  # torchvision must be mended before transformers looks for it
    from transformers import SwinConfig, SwinModel

    torch.manual_seed(2)
    configuration = SwinConfig(
        image_size=64, embed_dim=8, depths=[2, 2, 1], num_heads=[1, 2, 4], window_size=4
    )
    theirs = SwinModel(configuration).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    arguments = swin_arguments(tensors, 64, "theirs")
    assert arguments["num_heads"] == [1, 2, 4]
    own = build_swin(arguments).eval()
    own.load_state_dict(from_swin_model(tensors))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs(images).pooler_output
        torch.testing.assert_close(own(images), wanted, atol=1e-5, rtol=0)
