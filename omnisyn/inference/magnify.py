"""Slices on finer pixels for the network, and its results back on the slices' own.

A network paints folds of the cortex no finer than its layers can; on pixels finer than the
scanner's they are as broad as what it was trained on. Which size serves best is measured, and
stands in the weights' card (docs/experiments.md).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

# Beyond it nothing is left that finer pixels could show.
_MOST = 3.0


def magnified_size(
    size: tuple[int, int], pixel_mm: tuple[float, float], working_mm: float
) -> tuple[int, int]:
    """Rows and columns after magnification to pixels of ``working_mm``; finer ones stay."""
    rows, columns = (
        round(count * min(max(pixel / working_mm, 1.0), _MOST))
        for count, pixel in zip(size, pixel_mm, strict=True)
    )
    return rows, columns


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """``[n, c, rows, columns]`` in [0, 1] on the rows and columns of ``size`` (bicubic).

    To finer pixels and back leaves a slice as it was: the mean of what a pixel covers would take
    away a fifth of its finest detail.
    """
    if images.shape[2:] == size:
        return images
    resampled = functional.interpolate(images, size=size, mode="bicubic", align_corners=False)
    return resampled.clamp_(0, 1)
