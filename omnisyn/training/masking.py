"""Images of which most blocks are taken away, to be restored: the views of BrainMVP.

"BrainMVP", Rui et al. 2024, shows an image twice: once with blocks of another contrast of the same
slice in the place of its own, once with blocks of a template that its contrast has learned.
"""

import torch
from torch import Tensor
from torch.nn import functional

from omnisyn.contrasts import NAMES


def draw_masks(images: Tensor, share: float, block: int, draws: torch.Generator) -> Tensor:
    """Which pixels are taken away: blocks, drawn anew for each image.

    Args:
        images: `[n, 1, h, w]`.
        share: of the blocks that go.
        block: rows and columns of one, in pixels.
        draws: a CPU generator.

    Returns:
        `[n, 1, h, w]` bool.
    """
    rows, columns = images.shape[-2:]
    down, across = -(-rows // block), -(-columns // block)
    # The same number of every image, as published, and not a chance for each block.
    order = torch.rand(len(images), down * across, generator=draws).argsort(dim=1).argsort(dim=1)
    gone = (order < round(share * down * across)).view(-1, 1, down, across)
    grown = gone.repeat_interleave(block, dim=2).repeat_interleave(block, dim=3)
    return grown[..., :rows, :columns].to(images.device)


def other_contrasts(slices: Tensor, draws: torch.Generator) -> Tensor:
    """For each image the place of another one of its slice, or its own where there is none.

    Args:
        slices: `[n]` integer, the slice that each image shows.
        draws: a CPU generator.
    """
    numbers = slices.cpu()
    others = torch.arange(len(numbers))
    for place, number in enumerate(numbers.tolist()):
        candidates = (numbers == number).nonzero().squeeze(1)
        candidates = candidates[candidates != place]
        if len(candidates):
            drawn = int(torch.randint(len(candidates), (), generator=draws))
            others[place] = candidates[drawn]
    return others.to(slices.device)


def shown_templates(templates: Tensor, contrasts: Tensor, rows: int, columns: int) -> Tensor:
    """The templates of the contrasts `[n]` on a frame: `[n, 1, rows, columns]` in [0, 1].

    Args:
        templates: `[6, 1, h, w]`, of any size.
        contrasts: places in `NAMES`.
        rows, columns: of the images that they stand in for.
    """
    if len(templates) != len(NAMES):
        raise ValueError(f"there is a template for each of {len(NAMES)} contrasts")
    sized = functional.interpolate(
        templates, size=(rows, columns), mode="bilinear", align_corners=False
    )
    return sized.clamp(0, 1).index_select(0, contrasts)
