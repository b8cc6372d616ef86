"""MedCLIP (Wang et al. 2022): a Swin transformer or a ResNet, and BERT, in one space.

After the published code (RyanWangZf/MedCLIP, `medclip/modeling_medclip.py` and `dataset.py`). Its
checkpoint is the pickled state of transformers' SwinModel or torchvision's ResNet-50 below
`vision_model.model`, of transformers' BertModel below `text_model.model`, and of two projections.
Images are padded to a square of at least 224 pixels with zeros, resized by bicubic interpolation,
and scaled by one mean and deviation (`constants.py`). Texts have at most 77 tokens.

One thing differs. Published, a text's vector is a mean over all tokens of its batch's longest text,
the empty ones too, so that it depends on its neighbours. Here it is the mean over its own tokens:
what the published code gives for that text alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from omnisyn.errors import ModelError
from omnisyn.models.clip.families.bert import Bert, bert_arguments, from_bert_model
from omnisyn.models.clip.families.renaming import Tensors, count, size
from omnisyn.models.clip.families.swin import build_swin, from_swin_model, swin_arguments
from omnisyn.models.clip.text_image import ClipShape
from omnisyn.models.clip.torchvision_mend import mend_torchvision
from omnisyn.models.clip.wordpiece import PAD

CONTEXT_LENGTH = 77
_IMAGE_SIZE = 224
_MEAN = 0.5862785803043838
_DEVIATION = 0.27950088968644304

_VISION = "vision_model.model."
_TEXT = "text_model.model."
_RESNET_HEAD = "fc.weight"


class ImageTower(nn.Module):
    """Images [n, 3, 224, 224] to vectors [n, embed_dim]."""

    def __init__(self, network: str, arguments: Mapping[str, Any], embed_dim: int) -> None:
        super().__init__()
        self.image_size = _IMAGE_SIZE
        self.model: nn.Module
        self.projection_head: nn.Module
        if network == "swin":
            self.model = build_swin(arguments)
            width = arguments["embed_dim"] * 2 ** (len(arguments["depths"]) - 1)
            self.projection_head = nn.Linear(width, embed_dim, bias=False)
        else:
            mend_torchvision()
            from torchvision.models.resnet import Bottleneck, ResNet

            resnet = ResNet(Bottleneck, list(arguments["layers"]))
            # The publication puts its projection in the place of the classifier.
            width = resnet.fc.in_features
            resnet.fc = nn.Linear(width, embed_dim, bias=False)
            self.model = resnet
            self.projection_head = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        vectors: torch.Tensor = self.projection_head(self.model(images))
        return vectors


class TextTower(nn.Module):
    """Token numbers [n, length] to vectors [n, embed_dim]: the mean of the first, second and last
    layer, and over the tokens."""

    def __init__(self, arguments: Mapping[str, int], embed_dim: int) -> None:
        super().__init__()
        self.model = Bert(**arguments)
        self.projection_head = nn.Linear(arguments["width"], embed_dim, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """See the class."""
        states = self.model(tokens)
        mean = torch.stack([states[0], states[1], states[-1]]).mean(dim=0)
        own = (tokens != PAD).unsqueeze(2).to(mean.dtype)
        vectors: torch.Tensor = self.projection_head((mean * own).sum(dim=1) / own.sum(dim=1))
        return vectors


class MedClip(nn.Module):
    """Both towers and the temperature, with the face of open_clip's CLIP."""

    def __init__(
        self, embed_dim: int, network: str, vision: Mapping[str, Any], text: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.visual = ImageTower(network, vision, embed_dim)
        self.text = TextTower(text, embed_dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, images: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Images [n, 3, 224, 224] to vectors [n, embed_dim], of length one if wanted."""
        return _vectors(self.visual(images), normalize)

    def encode_text(self, tokens: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Token numbers [n, length] to vectors [n, embed_dim], of length one if wanted."""
        return _vectors(self.text(tokens), normalize)


def is_medclip(tensors: Tensors) -> bool:
    """Whether tensors have this layout."""
    return any(name.startswith((_VISION, _TEXT)) for name in tensors)


def medclip_shape(
    tensors: Tensors, vocabulary: Sequence[str], lower_case: bool, where: str
) -> ClipShape:
    """Shape of the model, from its tensors.

    Raises:
        ModelError: a tensor is missing, or the vocabulary is not the model's.
    """
    vision, text = _below(tensors, _VISION), _below(tensors, _TEXT)
    arguments = bert_arguments(text, where)
    if len(vocabulary) != arguments["words"]:
        raise ModelError(
            "the vocabulary is not the model's",
            where=where,
            why=f"it has {len(vocabulary)} words, the model knows {arguments['words']}",
            remedy="give the vocab.txt that the model was trained with",
        )
    network: dict[str, Any] = {"network": "swin"}
    if _RESNET_HEAD in vision:
        blocks = [count(vision, rf"layer{stage}\.") for stage in range(1, 5)]
        network = {"network": "resnet", "vision": {"layers": blocks}}
    else:
        network["vision"] = swin_arguments(vision, _IMAGE_SIZE, where)
    return ClipShape(
        family="medclip",
        model={
            "embed_dim": size(tensors, "text_model.projection_head.weight", 0, where),
            **network,
            "text": arguments,
        },
        tokenizer="wordpiece",
        vocabulary=tuple(vocabulary),
        lower_case=lower_case,
        mean=(_MEAN, _MEAN, _MEAN),
        deviation=(_DEVIATION, _DEVIATION, _DEVIATION),
        interpolation="bicubic",
        magnify=False,
    )


def from_medclip(tensors: Tensors) -> dict[str, torch.Tensor]:
    """The published tensors under the names of `MedClip`."""
    vision, text = _below(tensors, _VISION), _below(tensors, _TEXT)
    own = vision if _RESNET_HEAD in vision else from_swin_model(vision)
    found = {f"visual.model.{name}": tensor for name, tensor in own.items()}
    found |= {f"text.model.{name}": tensor for name, tensor in from_bert_model(text).items()}
    for name, tensor in tensors.items():
        if not name.startswith((_VISION, _TEXT)):
            place = name.replace("vision_model.", "visual.", 1).replace("text_model.", "text.", 1)
            found[place] = tensor
    return found


def _below(tensors: Tensors, prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _vectors(features: torch.Tensor, normalize: bool) -> torch.Tensor:
    return functional.normalize(features, dim=-1) if normalize else features
