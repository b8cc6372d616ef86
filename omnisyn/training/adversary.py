"""The opponent of a generator: a PatchGAN that tells its images from real ones.

"Image-to-image translation with conditional adversarial networks", Isola et al. 2017, with the
squared errors of "LSGAN", Mao et al. 2017, as the published training of ResViT uses them. It judges
overlapping patches, and hears which contrast an image is meant to show.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from omnisyn.contrasts import NAMES

_LAYERS = 3


class Adversary(nn.Module):
    """Scores patches of images: 1 for real ones, 0 for made ones."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        # MONAI takes seconds to import; only who trains against it waits for it.
        from monai.networks.nets import PatchDiscriminator

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PatchDiscriminator(
                spatial_dims=2,
                in_channels=1 + len(NAMES),
                channels=width,
                num_layers_d=_LAYERS,
                # Of one image at a time: statistics of a batch would mix its contrasts.
                norm="INSTANCE",
            )

    def losses(self, made: Tensor, real: Tensor, contrasts: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator is to lower, and what this network is: two scalars.

        The gradient of the first reaches `made` and not this network, that of the second this
        network and not `made`.

        Args:
            made: images of a generator `[n, 1, h, w]`.
            real: the true ones.
            contrasts: what they show, `[n]` places in `NAMES`.
        """
        untrained = {name: weight.detach() for name, weight in self.network.named_parameters()}
        scores = functional_call(self.network, untrained, (_told(made, contrasts),))[-1]
        fooling = functional.mse_loss(scores, torch.ones_like(scores))
        of_made = self.network(_told(made.detach(), contrasts))[-1]
        of_real = self.network(_told(real, contrasts))[-1]
        judging = (
            functional.mse_loss(of_made, torch.zeros_like(of_made))
            + functional.mse_loss(of_real, torch.ones_like(of_real))
        ) / 2
        return fooling, judging


def _told(images: Tensor, contrasts: Tensor) -> Tensor:
    """The images with a plane for each contrast, of ones where it is theirs."""
    planes = functional.one_hot(contrasts, len(NAMES)).to(images.dtype)[:, :, None, None]
    return torch.cat([images, planes.expand(-1, -1, *images.shape[-2:])], dim=1)
