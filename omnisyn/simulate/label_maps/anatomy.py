"""Heads from label maps: chosen, changed by disease, warped, and every class made a tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from omnisyn.simulate.anatomy import Grid, LabelledHead
from omnisyn.simulate.fields import draw_lattice, interpolate_lattice, lattice_shape
from omnisyn.simulate.label_maps.disease import paint_disease
from omnisyn.simulate.label_maps.key import LabelKey, keyed_files
from omnisyn.simulate.label_maps.maps import (
    BONE,
    DURA,
    SOFT,
    UNNAMED,
    VENTRICLE,
    LabelMap,
    read_label_map,
)
from omnisyn.simulate.label_maps.warp import draw_warp, sample_nearest
from omnisyn.simulate.protocols import draw
from omnisyn.simulate.tissues import tissue_index


@dataclass(frozen=True)
class LabelMapHead:
    """The random numbers of one head: which map (a share of their number), and a seed."""

    share: float
    seed: int


@dataclass(frozen=True)
class LabelMapAnatomy:
    """An ``AnatomyModel`` over label maps, each read when it is first drawn and then kept."""

    files: tuple[tuple[Path, LabelKey], ...]
    _read: dict[Path, LabelMap] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """What the heads are: how many maps of which sets."""
        sets = dict.fromkeys(key.name for _, key in self.files)
        return f"heads of {len(self.files)} label maps: {', '.join(sets)}"

    @property
    def credits(self) -> tuple[str, ...]:
        """Whom to thank for the maps, each once."""
        return tuple(dict.fromkeys(key.credit for _, key in self.files))

    def draw(self, generator: torch.Generator) -> LabelMapHead:
        """See ``AnatomyModel``."""
        seed = int(torch.randint(0, 2**62, (), generator=generator))
        return LabelMapHead(draw((0.0, 1.0), generator), seed)

    def build(self, parameters: LabelMapHead, grid: Grid, device: torch.device) -> LabelledHead:
        """See ``AnatomyModel``.

        Raises:
            InputError: the map cannot be read by its key.
        """
        path, key = self.files[min(int(parameters.share * len(self.files)), len(self.files) - 1)]
        if path not in self._read:
            self._read[path] = read_label_map(path, key)
        found = self._read[path]
        generator = torch.Generator().manual_seed(parameters.seed)
        classes = found.classes.copy()
        tumour = paint_disease(found, classes, np.random.default_rng(parameters.seed))
        classes[found.ventricles & (classes == tissue_index("CSF"))] = VENTRICLE
        maps = np.stack([classes, found.depth, tumour], dtype=np.float32, casting="unsafe")
        sampled = sample_nearest(
            torch.from_numpy(maps).to(device),
            found.spacing_mm,
            found.origin,
            grid,
            draw_warp(grid, generator),
            parameters.seed,
        )
        labels = settle_tissues(sampled[0], sampled[1], found, grid, generator)
        mask = sampled[2].bool()
        return LabelledHead(labels, mask, torch.zeros_like(mask), None, grid)


def open_label_maps(folders: Sequence[Path]) -> LabelMapAnatomy:
    """The label maps of folders; each folder has a ``labels.toml`` or one of our keys fits.

    Raises:
        InputError: see ``keyed_files``.
    """
    return LabelMapAnatomy(tuple(found for folder in folders for found in keyed_files(folder)))


def settle_tissues(
    classes: Tensor, depth: Tensor, found: LabelMap, grid: Grid, generator: torch.Generator
) -> Tensor:
    """Tissue of every voxel, where the map names only a class; all uint8 on ``grid``.

    Soft tissue is skin, then fat as deep as this head's, then muscle in bundles with fat between
    them and pads of it. Bone is cortex over marrow. Thicknesses are estimates.
    """
    table = torch.arange(256, dtype=torch.uint8)
    fluid = tissue_index("CSF")
    table[VENTRICLE] = fluid
    table[DURA] = tissue_index("dura" if draw((0.0, 1.0), generator) < 0.6 else "cortical_bone")
    for number, choices in enumerate(found.unnamed):
        chosen = choices[int(draw((0.0, 1.0), generator) * len(choices)) % len(choices)]
        table[UNNAMED + number] = tissue_index(chosen)

    voxel = min(found.spacing_mm)
    extent = [size * step for size, step in zip(grid.shape, grid.spacing_mm, strict=True)]
    bundles, pads, crossings = (
        interpolate_lattice(
            draw_lattice(generator, lattice_shape(extent, period)).to(classes.device), grid.shape
        )
        for period in (16.0, 30.0, 11.0)
    )
    skin = draw((1.2, 2.6), generator) / voxel
    fat = skin + draw((1.5, 9.0), generator) / voxel
    plane, pad = draw((0.05, 0.2), generator), draw((0.5, 1.2), generator)
    cortex = draw((1.0, 2.4), generator) / voxel
    red = draw((0.0, 1.0), generator) < 0.4
    marrow = tissue_index("marrow_red_or_young_clivus" if red else "marrow_fatty")
    muscle, adipose = tissue_index("muscle"), tissue_index("fat_subcutaneous")

    labels = table.to(classes.device)[classes.int()]
    # Where two rough surfaces cross there are strands: the veins of the sulci, which no map names.
    veins, thick = draw((0.0, 1.0), generator) < 0.8, draw((0.03, 0.2), generator)
    if veins:
        strands = (bundles.abs() < thick) & (crossings.abs() < thick)
        labels.masked_fill_(strands & (classes == fluid), tissue_index("blood_venous"))
    # Of the voxels' middles, from the surface.
    depth = depth.float() - 0.5
    deep = depth - 2.0 * pads
    soft = classes == SOFT
    labels.masked_fill_(soft, muscle)
    labels.masked_fill_(soft & ((bundles.abs() < plane) | (pads > pad) | (deep < fat)), adipose)
    labels.masked_fill_(soft & (depth < skin), tissue_index("skin"))
    bone = classes == BONE
    labels.masked_fill_(bone, tissue_index("cortical_bone"))
    return labels.masked_fill_(bone & (depth + 0.6 * pads > cortex), marrow)
