"""Maps of the encoder, averaged over regions of the slices that they were made from."""

from __future__ import annotations

import torch
from torch.nn import functional

# Of a map's pixel: regions that cover less are as good as empty.
_LEAST = 1e-3


def framed(
    stride: int, images: torch.Tensor, regions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and regions, both [n, …, rows, columns], with zeros below and right up to the stride.

    The encoder pads no further then, and regions lie on its maps exactly.
    """
    rows, columns = images.shape[-2:]
    margins = (0, -columns % stride, 0, -rows % stride)
    return functional.pad(images, margins), functional.pad(regions, margins)


def region_means(maps: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """The mean of each channel over each region, with the region's share of a map's pixel as
    weight; zero for an empty region.

    Args:
        maps: [n, c, …] of images that were `framed`.
        regions: [n, regions, rows, columns], 1 inside and 0 outside, as `framed` gave them.

    Returns:
        [n, regions, c], float32.
    """
    shares = functional.adaptive_avg_pool2d(regions, (maps.shape[-2], maps.shape[-1]))
    sums = torch.einsum("nhrc,ndrc->nhd", shares, maps.float())
    return sums / shares.sum(dim=(2, 3)).clamp_min(_LEAST)[..., None]
