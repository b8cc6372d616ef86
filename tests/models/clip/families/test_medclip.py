"""MedCLIP's layout: transformers and torchvision make the parts of the checkpoint."""

import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from omnisyn.errors import ModelError
from omnisyn.models.clip.families.open_clip import open_clip_module
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip
from omnisyn.models.clip.store import load_clip, save_clip

State = dict[str, torch.Tensor]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fluid", "is", "bright", "dark", "##er"]
TEXTS = ["fluid", "Fluid is brighter", "fluid is dark dark dark"]
EMBED = 24


def shaken(network: Any) -> Any:
    with torch.no_grad():
        for parameter in network.parameters():
            # Fresh biases are zero, and what is zero cannot be found in the wrong place.
            parameter.add_(0.02 * torch.randn_like(parameter))
    return network.eval()


class Published:
    """The parts of a checkpoint, and what they give together."""

    def __init__(self, network: str, folder: Path) -> None:
        open_clip_module()  # torchvision must be mended before transformers looks for it
        from torchvision.models.resnet import Bottleneck, ResNet
        from transformers import BertConfig, BertModel, SwinConfig, SwinModel

        torch.manual_seed(3)
        sizes = {"num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 96}
        self.text = shaken(BertModel(BertConfig(vocab_size=len(WORDS), hidden_size=128, **sizes)))
        self.text_head = torch.randn(EMBED, 128)
        self.state: State = {"logit_scale": torch.tensor(2.5)}
        self._take("text_model.model.", self.text.state_dict())
        # What the release of transformers that MedCLIP was trained with stored as well.
        self.state["text_model.model.embeddings.position_ids"] = torch.arange(512)[None]
        self.state["text_model.projection_head.weight"] = self.text_head
        if network == "swin":
            # On 224 pixels, so that the deeper map is shifted window by window too.
            configuration = SwinConfig(embed_dim=12, depths=[2, 1], num_heads=[2, 3])
            self.image = shaken(SwinModel(configuration))
            # Saving gives the names back that the layers had when MedCLIP was published.
            self.image.save_pretrained(folder / "swin")
            stored = safetensors.torch.load_file(folder / "swin" / "model.safetensors")
            place = "encoder.layers.0.blocks.0.attention.self.relative_position_index"
            self._take("vision_model.model.", stored | {place: torch.zeros(49, 49)})
            self.image_head = torch.randn(EMBED, 24)
            self.state["vision_model.projection_head.weight"] = self.image_head
        else:
            resnet = ResNet(Bottleneck, [1, 2, 1, 1])
            resnet.fc = torch.nn.Linear(2048, EMBED, bias=False)
            self.image = shaken(resnet)
            self._take("vision_model.model.", resnet.state_dict())
        self.network = network
        (folder / "vocab.txt").write_text("\n".join(WORDS))
        torch.save(self.state, folder / "pytorch_model.bin")

    def _take(self, prefix: str, state: State) -> None:
        self.state |= {prefix + name: value for name, value in state.items()}

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """`encode_image` of medclip/modeling_medclip.py."""
        if self.network == "swin":
            vectors = self.image(pixels).pooler_output @ self.image_head.T
        else:
            vectors = self.image(pixels)
        return functional.normalize(vectors, dim=-1)

    def texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """`encode_text` of one text alone: the mean of hidden states 1, 2 and the last."""
        states = self.text(tokens, output_hidden_states=True).hidden_states
        mean = torch.stack([states[1], states[2], states[-1]]).mean(dim=(0, 2))
        return functional.normalize(mean @ self.text_head.T, dim=-1)


def build(folder: Path) -> TextImageModel:
    return build_clip(ClipSettings(architecture="ViT-B-32", weights=str(folder))).eval()


@pytest.mark.parametrize("network", ["swin", "resnet"])
def test_it_gives_the_features_of_the_published_code(network: str, tmp_path: Path) -> None:
    published = Published(network, tmp_path)
    model = build(tmp_path)
    images = torch.rand(2, 1, 224, 224)
    pixels = ((images - 0.5862785803043838) / 0.27950088968644304).expand(-1, 3, -1, -1)
    with torch.no_grad():
        torch.testing.assert_close(
            model.encode_image(images), published.images(pixels), atol=1e-5, rtol=0
        )
        alone = torch.cat([published.texts(model.tokenizer([text])) for text in TEXTS])
        torch.testing.assert_close(model.encode_text(TEXTS), alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.logit_scale, torch.tensor(2.5).exp())


@pytest.mark.parametrize("network", ["swin", "resnet"])
def test_it_comes_back_from_the_disk_with_its_words(network: str, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    Published(network, tmp_path / "theirs")
    model = build(tmp_path / "theirs")
    save_clip(tmp_path, "own", model)
    (tmp_path / "theirs" / "vocab.txt").unlink()
    again = load_clip(tmp_path, "own")
    images = torch.rand(1, 1, 100, 90)
    with torch.no_grad():
        assert torch.equal(again.encode_text(TEXTS), model.encode_text(TEXTS))
        assert torch.equal(again.encode_image(images), model.encode_image(images))


def test_towers_and_temperature_are_all_there_is_and_train(tmp_path: Path) -> None:
    Published("swin", tmp_path)
    model = build(tmp_path)
    image, text = list(model.image_tower()), list(model.text_tower())
    assert len(image) + len(text) + 1 == len(list(model.parameters()))
    (model.encode_text(TEXTS)[:2] * model.encode_image(torch.rand(2, 1, 60, 60))).sum().backward()
    assert all(weight.grad is not None for weight in [*image, *text])


def test_small_images_are_padded_and_large_ones_resized(tmp_path: Path) -> None:
    Published("resnet", tmp_path)
    model = build(tmp_path)
    white = (1 - 0.5862785803043838) / 0.27950088968644304
    black = (0 - 0.5862785803043838) / 0.27950088968644304
    small = model.preprocess(torch.ones(1, 1, 100, 50))[0, 0]
    wanted = torch.full((224, 224), black)
    wanted[62:162, 87:137] = white
    torch.testing.assert_close(small, wanted)
    large = model.preprocess(torch.ones(1, 1, 448, 300))[0, 0]
    assert large.shape == (224, 224)
    torch.testing.assert_close(large[100, [10, 112, 214]], torch.tensor([black, white, black]))


def test_wrong_tensors_and_words_are_refused(tmp_path: Path) -> None:
    published = Published("swin", tmp_path)
    for name, message in (
        ("vision_model.model.layernorm.bias", r"missing, first visual\.model\.norm\.bias"),
        (
            "text_model.model.encoder.layer.1.attention.self.key.bias",
            r"layers\.1\.self_attn\.in_proj_bias",
        ),
        ("vision_model.model.embeddings.patch_embeddings.projection.weight", "not whole"),
        ("text_model.projection_head.weight", "not whole"),
    ):
        state = {own: value for own, value in published.state.items() if own != name}
        torch.save(state, tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelError, match=message):
            build(tmp_path)
    torch.save(published.state, tmp_path / "pytorch_model.bin")
    (tmp_path / "vocab.txt").write_text("\n".join([*WORDS, "more"]))
    with pytest.raises(ModelError, match=r"it has 11 words, the model knows 10"):
        build(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ModelError, match="has no vocabulary"):
        build(tmp_path)


def test_neither_building_nor_reading_asks_for_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Published("swin", tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    build(tmp_path)
