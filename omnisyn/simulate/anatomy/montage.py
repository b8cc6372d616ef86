"""A labelled figure of an anatomy: every structure named on a cut that shows it well."""

from __future__ import annotations

import colorsys
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.simulate.anatomy.build import Anatomy, build_anatomy
from omnisyn.simulate.anatomy.grid import Grid
from omnisyn.simulate.anatomy.parameters import draw_anatomy
from omnisyn.simulate.anatomy.structures import STRUCTURES

_LABELS_PER_PANEL = 14
_COLUMNS = 3
_DOCUMENTED_SEED = 1008
_AXES = ("axial", "coronal", "sagittal")
# Red, green, blue of each tissue.
_COLOURS: dict[str, tuple[float, float, float]] = {
    "air": (0.05, 0.07, 0.10),
    "skin": (0.80, 0.62, 0.50),
    "fat_subcutaneous": (0.95, 0.88, 0.62),
    "orbital_fat": (0.95, 0.85, 0.50),
    "parapharyngeal_fat": (1.00, 0.78, 0.30),
    "cortical_bone": (0.55, 0.58, 0.62),
    "marrow_fatty": (0.88, 0.80, 0.72),
    "marrow_red_or_young_clivus": (0.80, 0.58, 0.52),
    "muscle": (0.62, 0.26, 0.24),
    "extraocular_muscle": (0.70, 0.25, 0.30),
    "tongue": (0.72, 0.36, 0.34),
    "grey_matter": (0.52, 0.52, 0.58),
    "white_matter": (0.90, 0.90, 0.92),
    "cerebellar_GM": (0.50, 0.56, 0.54),
    "cerebellar_WM": (0.86, 0.90, 0.88),
    "CSF": (0.25, 0.50, 0.85),
    "vitreous": (0.45, 0.75, 0.95),
    "blood_arterial": (0.90, 0.10, 0.12),
    "blood_venous": (0.20, 0.22, 0.70),
    "parotid": (0.72, 0.80, 0.36),
    "submandibular": (0.55, 0.75, 0.30),
    "thyroid": (0.35, 0.65, 0.40),
    "nasal_turbinate_mucosa": (0.93, 0.55, 0.60),
    "nasopharyngeal_mucosa": (0.90, 0.50, 0.70),
    "adenoid_tonsil": (0.75, 0.40, 0.72),
    "cartilage": (0.55, 0.80, 0.78),
    "NPC": (0.10, 0.90, 0.25),
    "NPC_necrosis": (0.05, 0.55, 0.20),
    "lymph_node_metastatic": (0.60, 0.95, 0.10),
    "lymph_node_necrosis": (0.40, 0.60, 0.05),
    "lymph_node_normal": (0.30, 0.75, 0.60),
    "dura": (0.40, 0.30, 0.45),
}


@dataclass(frozen=True)
class _Cut:
    axis: int
    index: int
    named: tuple[int, ...]


def draw_montage(anatomy: Anatomy) -> Figure:
    """Cuts in all three planes that together show and name every listed structure present.

    The cuts are chosen greedily: always the one that shows most structures not yet named, each
    near its greatest extent. The figure is in radiological view (patient's right on the left).
    """
    structures = anatomy.structures.cpu().numpy()
    cuts = _choose_cuts(structures)
    rows = -(-len(cuts) // _COLUMNS)
    figure = Figure(figsize=(7.6 * _COLUMNS, 5.6 * rows), facecolor="black")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    palette = _palette()
    for panel in panels:
        panel.axis("off")
    for panel, cut in zip(panels, cuts, strict=False):
        _draw_cut(panel, anatomy, structures, cut, palette)
    stage = anatomy.stage
    figure.suptitle(
        f"Simulated head and neck with nasopharyngeal carcinoma: {stage.T} {stage.N} {stage.M}",
        color="white",
        fontsize=18,
        y=0.995,
    )
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.96, wspace=0.02, hspace=0.07)
    return figure


def _palette() -> NDArray[numpy.float64]:
    palette = numpy.zeros((256, 3))
    seen: dict[str, int] = {}
    for index, structure in enumerate(STRUCTURES):
        tissue = structure.tissue
        turn = seen.get(tissue, 0)
        seen[tissue] = turn + 1
        base = _COLOURS.get(tissue) or colorsys.hsv_to_rgb((index * 0.381966) % 1.0, 0.45, 0.85)
        hue, saturation, value = colorsys.rgb_to_hsv(*base)
        # Neighbours of one tissue differ a little in hue and brightness.
        palette[index] = colorsys.hsv_to_rgb(
            (hue + 0.012 * (turn % 5)) % 1.0, saturation, value * (1.0 - 0.09 * (turn % 4))
        )
    palette[0] = 0.0
    return palette


def _choose_cuts(structures: NDArray[numpy.uint8]) -> list[_Cut]:
    wanted = [
        index
        for index, structure in enumerate(STRUCTURES)
        if structure.listed and (structures == index).any()
    ]
    areas = []
    for axis in range(3):
        flat = numpy.moveaxis(structures, axis, 0).reshape(structures.shape[axis], -1)
        areas.append(numpy.stack([numpy.bincount(plane, minlength=256) for plane in flat]))
    good = []
    for counts in areas:
        largest = counts.max(axis=0)
        good.append((counts >= 0.4 * largest) & (counts >= 0.15 * _best(areas)) & (counts > 0))
    open_names = set(wanted)
    cuts: list[_Cut] = []
    while open_names:
        columns = sorted(open_names)
        # Axial cuts come first where planes tie: they are what is read in practice.
        scores = [
            numpy.minimum(good[axis][:, columns].sum(axis=1), _LABELS_PER_PANEL)
            + 1e-6 * areas[axis][:, columns].sum(axis=1) / areas[axis].sum(axis=1).max()
            + (2.5 if axis == 0 else 0.0)
            for axis in range(3)
        ]
        axis = max(range(3), key=lambda a: scores[a].max())
        index = int(scores[axis].argmax())
        visible = [name for name in columns if good[axis][index, name]]
        # The rarest views keep their place in a crowded panel.
        visible.sort(key=lambda name: sum(int(g[:, name].sum()) for g in good))
        named = tuple(visible[:_LABELS_PER_PANEL])
        cuts.append(_Cut(axis, index, named))
        open_names -= set(named)
    return sorted(cuts, key=lambda cut: (cut.axis, -cut.index))


def _best(areas: list[NDArray[numpy.int64]]) -> NDArray[numpy.int64]:
    best: NDArray[numpy.int64] = numpy.max([counts.max(axis=0) for counts in areas], axis=0)
    return best


def _draw_cut(
    panel: Axes,
    anatomy: Anatomy,
    structures: NDArray[numpy.uint8],
    cut: _Cut,
    palette: NDArray[numpy.float64],
) -> None:
    plane: NDArray[numpy.uint8] = numpy.moveaxis(structures, cut.axis, 0)[cut.index]
    spacing = anatomy.grid.spacing_mm
    heights = (spacing[1], spacing[0], spacing[0])
    widths = (spacing[2], spacing[2], spacing[1])
    if cut.axis > 0:
        plane = plane[::-1]
    head = plane > 0
    rows, columns = numpy.flatnonzero(head.any(axis=1)), numpy.flatnonzero(head.any(axis=0))
    plane = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height = plane.shape[0] * heights[cut.axis]
    width = plane.shape[1] * widths[cut.axis]
    panel.imshow(
        palette[plane], extent=(0.0, width, height, 0.0), interpolation="nearest", aspect="equal"
    )
    anchors = []
    for value in cut.named:
        row, column = _anchor(plane == value)
        anchors.append(
            (
                STRUCTURES[value].name,
                (column + 0.5) * widths[cut.axis],
                (row + 0.5) * heights[cut.axis],
            )
        )
    anchors.sort(key=lambda anchor: anchor[1])
    half = (len(anchors) + 1) // 2
    for side, group in ((0, anchors[:half]), (1, anchors[half:])):
        group.sort(key=lambda anchor: anchor[2])
        for place, (name, x, y) in enumerate(group):
            level = height * (place + 0.7) / max(len(group) + 0.4, 4.0)
            panel.annotate(
                name,
                xy=(x, y),
                xytext=(-4.0 if side == 0 else width + 4.0, level),
                ha="right" if side == 0 else "left",
                va="center",
                color="white",
                fontsize=12,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": "white", "lw": 0.8},
            )
            panel.plot([x], [y], "o", color="white", markersize=2.5)
    # Room for the longest names at either side, whatever the shape of the cut.
    margin = max(0.6 * height, 0.62 * width)
    panel.set_xlim(-margin, width + margin)
    panel.set_ylim(height, 0.0)
    panel.set_title(
        f"{_AXES[cut.axis]} {cut.index + 1}", color="white", fontsize=11, pad=2, loc="left"
    )


def _anchor(mask: NDArray[numpy.bool_]) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(numpy.pad(mask, 1))[1:-1, 1:-1]
    row, column = numpy.unravel_index(int(depth.argmax()), depth.shape)
    return int(row), int(column)


def main(arguments: Sequence[str]) -> None:
    """Draw the documentation's head and neck into the path that is given."""
    parameters = draw_anatomy(torch.Generator().manual_seed(_DOCUMENTED_SEED))
    figure = draw_montage(build_anatomy(parameters, Grid()))
    FigureCanvasAgg(figure)
    figure.savefig(Path(arguments[0]), dpi=75)


if __name__ == "__main__":
    main(sys.argv[1:])
