"""Images on coarser pixels: each the mean of what it covers."""

import torch
from torch import Tensor


def pixel_average(pixels: int, samples: int) -> Tensor:
    """``[pixels, samples]``: each pixel's mean over the finer samples it covers, by length."""
    edges = torch.arange(pixels + 1, dtype=torch.float64) * (samples / pixels)
    sample = torch.arange(samples, dtype=torch.float64)
    upper = torch.minimum(edges[1:, None], sample + 1)
    lower = torch.maximum(edges[:-1, None], sample)
    return ((upper - lower).clamp(min=0.0) * (pixels / samples)).float()
