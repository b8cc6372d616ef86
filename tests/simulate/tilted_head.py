"""A head of ellipsoids that knows how a field of view is turned, for tests of slices and motion."""

import numpy as np
import torch

from omnisyn.simulate.anatomy.head import LabelledHead
from omnisyn.simulate.tissues import tissue_index

# (tissue, centre (x, y, z) mm, half axes mm) in the frame of the head; later ones lie over.
PARTS = (
    ("fat_subcutaneous", (0.0, 10.0, -30.0), (75.0, 92.0, 120.0)),
    ("muscle", (0.0, 10.0, -30.0), (70.0, 86.0, 115.0)),
    ("CSF", (0.0, 10.0, 0.0), (60.0, 76.0, 50.0)),
    ("white_matter", (0.0, 10.0, 0.0), (54.0, 70.0, 44.0)),
    ("NPC", (12.0, 0.0, -45.0), (16.0, 14.0, 18.0)),
)
TUMOUR = np.array(PARTS[-1][1])


class TiltedHead:
    """An anatomy without random numbers; its tumour has its centre at ``TUMOUR``."""

    name = "tilted ellipsoids"
    credits = ()

    def draw(self, generator):
        return None

    def build(self, parameters, grid, device):
        z, y, x = torch.meshgrid(*grid.axes(grid.shape, device), indexing="ij")
        turn = grid.rotation()
        head = [
            turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z + grid.centre_mm[axis]
            for axis in range(3)
        ]
        labels = torch.zeros(grid.shape, dtype=torch.uint8, device=device)
        for name, middle, half in PARTS:
            inside = (
                sum(((head[axis] - middle[axis]) / half[axis]).square() for axis in range(3)) < 1
            )
            labels[inside] = tissue_index(name)
        tumour = labels == tissue_index("NPC")
        return LabelledHead(labels, tumour, torch.zeros_like(tumour), None, grid)
