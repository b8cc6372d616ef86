"""Sources that do not lie quite where the others do, as scans of one patient never do.

Training shows sources beside the first one so. The first one and the target lie alike: a model
that is asked for a target which lies elsewhere learns to blur.
"""

from __future__ import annotations

import torch
from torch import Tensor

from omnisyn.studies.pixels import move_in_plane

_DEGREES_A_PIXEL = 0.7


def misregister(images: Tensor, most_pixels: float, generator: torch.Generator) -> Tensor:
    """Each image moved along rows and columns and turned a little, by numbers of its own.

    Args:
        images: ``[n, 1, rows, columns]`` in [0, 1].
        most_pixels: of a move along either axis, to either side.
        generator: a CPU generator.

    Returns:
        Of the same shape, in [0, 1]; bicubic, with the border repeated.
    """
    if most_pixels == 0 or len(images) == 0:
        return images
    rows, columns = images.shape[2:]
    down, across, turn = most_pixels * (2 * torch.rand(3, len(images), generator=generator) - 1)
    turn = torch.deg2rad(_DEGREES_A_PIXEL * turn)
    return move_in_plane(images, down, across, turn, (rows, columns)).clamp_(0, 1)
