"""Patients to calibrate on, made in a moment."""

import numpy as np
import torch

from omnisyn.contrasts import NAMES
from omnisyn.studies.slices import SliceBatch, unknown_acquisition


def ellipses(count: int, contrasts: tuple[str, ...] = ("T1", "T2", "FLAIR")) -> list[SliceBatch]:
    """Ellipses whose grey values follow from the contrast, (3, 6, 32, 32)."""
    rows, columns = np.mgrid[:32, :32] - 15.5
    inside = torch.from_numpy(rows**2 + 1.3 * columns**2 < 13**2)
    batches = []
    for number in range(count):
        images = torch.zeros(3, len(NAMES), 32, 32)
        present = torch.zeros(3, len(NAMES), dtype=torch.bool)
        for name in contrasts:
            channel = NAMES.index(name)
            images[:, channel] = inside * (0.2 + 0.12 * channel + 0.01 * number)
            present[:, channel] = True
        suppressed, names = torch.zeros_like(present), (f"{number}",) * 3
        unknown = unknown_acquisition(3)
        batches.append(SliceBatch(images, present, suppressed, names, torch.ones(3), unknown))
    return batches
