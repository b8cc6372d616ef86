"""How many encoders and decoders a generator has: one of each for all contrasts, or one for each.

The three of the paper's comparison are "3E3D" (an encoder and a decoder for each of three
contrasts), "1E3D" (one encoder, a decoder for each) and "1E1D-Cond" (one of each, steered by the
target's text vector), over any backbone and any number of contrasts. A decoder of its own hears the
text vector of its contrast, too: to it a constant, but for the state of fat suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.models.backbone import Backbone, ModelSettings, build_backbone


class PerContrast(nn.Module):
    """A network for each contrast, in the place of one for all."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)

    def forward(
        self,
        contrasts: torch.Tensor,
        run: Callable[[nn.Module, torch.Tensor], Sequence[torch.Tensor]],
    ) -> list[torch.Tensor]:
        """Each item through the network of its contrast.

        Args:
            contrasts: [n], places in `NAMES`.
            run: of a network and the rows [m] that are its own; gives tensors [m, …].

        Returns:
            The tensors [n, …] in the order of the items.

        Raises:
            UsageError: a contrast has no network.
        """
        parts, order = [], []
        for place in torch.unique(contrasts).tolist():
            name = NAMES[place]
            if name not in self.networks:
                raise UsageError(
                    f"the model has no part for {name}",
                    remedy=f"it has one for each of {', '.join(self.networks)}",
                )
            rows = (contrasts == place).nonzero().squeeze(1)
            parts.append(run(self.networks[name], rows))
            order.append(rows)
        back = torch.argsort(torch.cat(order))
        # index_select and not [...]: its gradient adds in a fixed order.
        return [torch.cat(level).index_select(0, back) for level in zip(*parts, strict=True)]


def build_arranged(settings: ModelSettings) -> Backbone:
    """The backbone of `settings` with as many halves as its arrangement asks for.

    Initialised from torch's current random state. Raises UsageError as `build_backbone`.
    """
    first = build_backbone(settings)
    if not settings.decoder_per_contrast:
        return first
    backbones = [first, *(build_backbone(settings) for _ in settings.contrasts[1:])]
    named = dict(zip(settings.contrasts, backbones, strict=True))
    first.decoder = PerContrast({name: each.decoder for name, each in named.items()})
    if settings.encoder_per_contrast:
        first.encoder = PerContrast({name: each.encoder for name, each in named.items()})
    return first
