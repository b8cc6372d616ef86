"""Pictures of the report as PNG bytes: box plots by direction, and example slices."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from omnisyn.evaluation.controls import BLIND, COPY, ORACLE, SHIFTED
from omnisyn.evaluation.report.definitions import title_of
from omnisyn.evaluation.report.summary import direction_order, values_of
from omnisyn.evaluation.results import MODEL, Example, SiteScores

COLOURS = {
    COPY: "#9aa3ad",
    BLIND: "#c98b2b",
    ORACLE: "#7a5ea8",
    SHIFTED: "#bcc3ca",
    MODEL: "#14746f",
}
DIFFERENCE_LIMIT = 0.5
DIFFERENCE_TITLE = "model − truth"
LONGEST_SIDE = 256
WIDTH = 10.5
"""Of every canvas, in inches."""
_COLUMNS = 6
_DOTS_PER_INCH = 110


def box_plots(site: SiteScores, figure: str) -> bytes:
    """One panel a direction; a box and the single patients for the model and each control."""
    directions = direction_order([site])
    columns = min(_COLUMNS, len(directions))
    rows = math.ceil(len(directions) / columns)
    # A few panels alone would stretch over the page: empty ones keep their width.
    canvas = blank_canvas(2.3 * rows + 0.35)
    panels = canvas.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    methods = list(COLOURS)
    for number, panel in enumerate(panels):
        place = divmod(number, _COLUMNS)
        index = place[0] * columns + place[1]
        if place[1] >= columns or index >= len(directions):
            panel.set_visible(False)
            continue
        direction = directions[index]
        for position, method in enumerate(methods):
            found = values_of(site, method, (direction,))
            values = [value for value in found.get(figure, {}).values() if math.isfinite(value)]
            if values:
                _box(panel, position, values, COLOURS[method])
        panel.set_title(direction, fontsize=9)
        panel.set_xticks(range(len(methods)), methods, rotation=60, ha="right", fontsize=7)
        panel.tick_params(axis="y", labelsize=7)
        panel.set_xlim(-0.6, len(methods) - 0.4)
        calm(panel, "y")
        if place[1] == 0:
            panel.set_ylabel(title_of(figure), fontsize=8)
    # A picture may leave its page: it says by itself what it is of.
    words = f"{site.site}{', SIMULATED' if site.simulated else ''}"
    canvas.suptitle(words, x=0.005, ha="left", fontsize=8, color="#5b6670")
    canvas.tight_layout(pad=0.6)
    return png_bytes(canvas)


def blank_canvas(height: float) -> Figure:
    """A canvas as wide as the page of a report; its height in inches."""
    canvas = Figure(figsize=(WIDTH, height), dpi=_DOTS_PER_INCH)
    FigureCanvasAgg(canvas)
    return canvas


def calm(panel: matplotlib.axes.Axes, axis: Literal["x", "y", "both"]) -> None:
    """Faint lines behind the data across one axis or both, and no frame above and right."""
    panel.grid(axis=axis, color="#e3e6e9", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def png_bytes(canvas: Figure) -> bytes:
    """The canvas as PNG: the same drawing gives the same bytes."""
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _box(panel: matplotlib.axes.Axes, position: int, values: Sequence[float], colour: str) -> None:
    panel.boxplot(
        [values],
        positions=[position],
        widths=0.62,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
        medianprops={"color": colour, "linewidth": 1.8},
        whiskerprops={"color": colour},
        capprops={"color": colour},
    )
    # Spread evenly, not at random: the same figures give the same picture.
    offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    panel.plot(position + offsets, values, "o", color=colour, markersize=2.6, alpha=0.9)


def example_pictures(example: Example) -> dict[str, bytes]:
    """The slices of an example by label, all in one grey scale 0 … 1, and the difference."""
    truth = list(example.images)[-1]
    pictures = {
        label: _png(_grey(image), example.pixel_aspect) for label, image in example.images.items()
    }
    if MODEL in example.images:
        difference = example.images[MODEL] - example.images[truth]
        pictures[DIFFERENCE_TITLE] = _png(_diverging(difference), example.pixel_aspect)
    return pictures


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _diverging(difference: NDArray[np.float32]) -> NDArray[np.uint8]:
    scaled = np.clip(difference / (2 * DIFFERENCE_LIMIT) + 0.5, 0, 1)
    colours: Mapping[str, matplotlib.colors.Colormap] = matplotlib.colormaps
    return np.asarray(colours["RdBu_r"](scaled, bytes=True))[..., :3]


def _png(pixels: NDArray[np.uint8], aspect: float) -> bytes:
    """PNG with square pixels: `aspect` is row spacing over column spacing."""
    image = Image.fromarray(pixels)
    width, height = float(image.width), image.height * aspect
    shrink = min(1.0, LONGEST_SIDE / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if size != image.size:
        image = image.resize(
            size, Image.Resampling.BOX if shrink < 1 else Image.Resampling.BILINEAR
        )
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()
