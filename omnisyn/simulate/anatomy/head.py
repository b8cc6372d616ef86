"""A labelled head, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.anatomy.staging import Stage


@dataclass(frozen=True)
class LabelledHead:
    """One head and its disease; every map is [slices, rows, columns] on `grid`.

    Attributes:
        labels: uint8, tissue index (0 = air).
        tumour: bool, the primary tumour with its necrosis.
        nodes: bool, metastatic nodes with their necrosis.
        stage: T, N, M and clinical group; None where nobody can say.
        grid: the voxels' place.
    """

    labels: Tensor
    tumour: Tensor
    nodes: Tensor
    stage: Stage | None
    grid: Grid
