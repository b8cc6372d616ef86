"""The generator: encode each source once, fuse, decode once per target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from omnisyn.contrasts import NAMES, contrast
from omnisyn.models.arrangement import PerContrast, build_arranged
from omnisyn.models.backbone import Backbone, ModelSettings
from omnisyn.models.fusion import Fusion

PROMPTS: tuple[str, ...] = NAMES + tuple(f"{name} fat-suppressed" for name in NAMES)
"""What the rows of a generator's target vectors stand for."""


class Generator(nn.Module):
    """One encoder for all contrasts, fusion of any subset of sources, one conditioned decoder; or
    one of each contrast's own, where the settings arrange it so.

    Images are single slices with values in [0, 1] (a.u., scaled per volume), of any in-plane
    size. `encode` pads them with zeros, evenly on both sides, to the backbone's stride. The
    finest map keeps the image's own size, and `decode` reads from it what to give back; the
    coarser maps cover the padded frame.
    """

    target_vectors: torch.Tensor

    def __init__(self, settings: ModelSettings, backbone: Backbone) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = backbone
        self.fusion = Fusion(backbone.channels, settings.fusion_heads, backbone.unread)
        self.prompts = PROMPTS
        self.register_buffer("target_vectors", torch.empty(len(PROMPTS), settings.condition_size))
        # Well apart from each other, so that a decoder can be trained before any text tower is.
        vectors = torch.empty(len(PROMPTS), settings.condition_size)
        self.set_target_vectors(nn.init.orthogonal_(vectors))

    @property
    def encoder(self) -> nn.Module:
        """The half that `pretrain` trains."""
        return self.backbone.encoder

    @property
    def decoder(self) -> nn.Module:
        """The half that `finetune` trains, together with `fusion`."""
        return self.backbone.decoder

    @property
    def stride(self) -> int:
        """Images are padded to multiples of this inside."""
        return self.backbone.stride

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map, fine to coarse."""
        return self.backbone.channels

    def encode(
        self, images: torch.Tensor, contrasts: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Images [n, 1, rows, columns] to maps, fine to coarse, the first [n, c, rows, columns].

        `contrasts` [n], places in `NAMES`, are what the images show; only a model with an encoder
        for each contrast asks for them (ValueError).
        """
        padded = _padded(images, self.stride)
        encoder = self.backbone.encoder
        features: list[torch.Tensor]
        if isinstance(encoder, PerContrast):
            if contrasts is None:
                raise ValueError("a model with several encoders must hear what the images show")
            features = encoder(contrasts, lambda own, rows: own(padded.index_select(0, rows)))
        else:
            features = self.backbone.encode(padded)
        features[0] = _cropped(features[0], images.shape[-2], images.shape[-1])
        return features

    def fuse(self, features: Sequence[torch.Tensor], present: torch.Tensor) -> list[torch.Tensor]:
        """Per level [batch, sources, c, …] and present [batch, sources] bool to [batch, c, …]."""
        fused: list[torch.Tensor] = self.fusion(features, present)
        return fused

    def decode(self, features: Sequence[torch.Tensor], condition: torch.Tensor) -> torch.Tensor:
        """Fused maps and text vectors [batch, condition_size] to [batch, 1, rows, columns].

        The result lies in [0, 1] and has the size of the images that were encoded.
        """
        rows, columns = features[0].shape[-2:]
        whole = [_padded(features[0], self.stride), *features[1:]]
        decoder = self.backbone.decoder
        if isinstance(decoder, PerContrast):
            (images,) = decoder(
                self._nearest_contrasts(condition),
                lambda own, items: [
                    own(
                        [maps.index_select(0, items) for maps in whole],
                        condition.index_select(0, items),
                    )
                ],
            )
        else:
            images = self.backbone.decode(whole, condition)
        return _cropped(images, rows, columns)

    def _nearest_contrasts(self, condition: torch.Tensor) -> torch.Tensor:
        """Places in `NAMES` [n] of the contrasts whose text vectors are nearest."""
        known = [NAMES.index(name) for name in self.settings.contrasts]
        rows = torch.tensor([*known, *(len(NAMES) + place for place in known)])
        rows = rows.to(condition.device)
        nearest = (condition @ self.target_vectors[rows].T).argmax(dim=1)
        return rows[nearest] % len(NAMES)

    def forward(
        self,
        sources: torch.Tensor,
        present: torch.Tensor,
        condition: torch.Tensor,
        contrasts: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One target per item.

        sources [batch, sources, rows, columns], present [batch, sources] bool, condition
        [batch, condition_size]; gives [batch, 1, rows, columns]. Slots that are not present are
        neither read nor encoded. `contrasts` [sources], as in `encode`, are what the slots hold.
        """
        return self.decode(self.encode_sources(sources, present, contrasts), condition)

    def encode_sources(
        self,
        sources: torch.Tensor,
        present: torch.Tensor,
        contrasts: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Fused maps of [batch, sources, rows, columns]: each present source encoded once.

        What comes back may be decoded for as many targets as wanted. `contrasts` as in `forward`.
        """
        shown = None if contrasts is None else contrasts.expand(present.shape)[present]
        encoded = self.encode(sources[present][:, None], shown)
        if sources.shape[1] == 1:
            return self.fuse([maps[:, None] for maps in encoded], present)
        features = []
        for maps in encoded:
            slots = maps.new_zeros(*present.shape, *maps.shape[1:])
            slots[present] = maps
            features.append(slots)
        return self.fuse(features, present)

    def condition(
        self, target_names: Sequence[str], fat_suppressed: Sequence[bool] | None = None
    ) -> torch.Tensor:
        """Text vectors [batch, condition_size] of targets by name (any alias).

        Raises UsageError for a name that no contrast has.
        """
        flags = [False] * len(target_names) if fat_suppressed is None else fat_suppressed
        rows = [
            NAMES.index(contrast(name).name) + len(NAMES) * bool(flag)
            for name, flag in zip(target_names, flags, strict=True)
        ]
        return self.target_vectors[rows]

    def set_target_vectors(self, vectors: torch.Tensor) -> None:
        """Take over text vectors [len(prompts), condition_size], scaled to unit length here."""
        if vectors.shape != self.target_vectors.shape:
            raise ValueError(
                f"target vectors have shape {tuple(vectors.shape)}, "
                f"this generator takes {tuple(self.target_vectors.shape)}"
            )
        with torch.no_grad():
            self.target_vectors.copy_(functional.normalize(vectors, dim=1))


def build_generator(settings: ModelSettings, seed: int = 0) -> Generator:
    """A freshly initialised generator; the same seed gives the same weights.

    Raises UsageError for an unknown backbone or a width that does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(settings, build_arranged(settings))


def _margins(size: int, stride: int) -> tuple[int, int]:
    missing = -size % stride
    return missing // 2, missing - missing // 2


def _padded(maps: torch.Tensor, stride: int) -> torch.Tensor:
    top, bottom = _margins(maps.shape[-2], stride)
    left, right = _margins(maps.shape[-1], stride)
    if not (top or bottom or left or right):
        return maps
    return functional.pad(maps, (left, right, top, bottom))


def _cropped(maps: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    top = (maps.shape[-2] - rows) // 2
    left = (maps.shape[-1] - columns) // 2
    return maps[..., top : top + rows, left : left + columns]
