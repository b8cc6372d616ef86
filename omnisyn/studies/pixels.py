"""Images on other pixels of their plane: coarser ones, or moved and turned."""

import torch
from torch import Tensor
from torch.nn import functional


def pixel_average(pixels: int, samples: int) -> Tensor:
    """``[pixels, samples]``: each pixel's mean over the finer samples it covers, by length."""
    edges = torch.arange(pixels + 1, dtype=torch.float64) * (samples / pixels)
    sample = torch.arange(samples, dtype=torch.float64)
    upper = torch.minimum(edges[1:, None], sample + 1)
    lower = torch.maximum(edges[:-1, None], sample)
    return ((upper - lower).clamp(min=0.0) * (pixels / samples)).float()


def move_in_plane(
    images: Tensor, down: Tensor, across: Tensor, turn: Tensor, size: tuple[float, float]
) -> Tensor:
    """Each image moved along rows and columns and turned about its middle (bicubic).

    What lies outside the frame repeats its border.

    Args:
        images: ``[n, channels, rows, columns]``.
        down, across: ``[n]``, in the unit of ``size``.
        turn: ``[n]``, rad.
        size: height and width of the frame, in pixels or in mm.

    Returns:
        Of the same shape.
    """
    height, width = size
    cosine, sine = torch.cos(turn), torch.sin(turn)
    # affine_grid works in halves of the frame, (x, y), from the result to the images.
    matrix = torch.stack(
        [
            torch.stack([cosine, sine * height / width, -2 * across / width], dim=1),
            torch.stack([-sine * width / height, cosine, -2 * down / height], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bicubic", padding_mode="border", align_corners=False
    )
