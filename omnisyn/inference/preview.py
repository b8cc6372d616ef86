"""A picture of a synthesis: sources, the synthetic image, and the truth where there is one."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.normalize import head_mask, head_slices

_DIFFERENCE_LIMIT = 0.5
_ERROR_LIMIT = 0.3
_ROWS = 4
_COLUMN_INCHES = 2.4
_LARGEST_ASPECT = 4.0
_DOTS_PER_INCH = 110
_LINE_INCHES = 0.14
_HEAD_INCHES = 0.5
_TITLE_INCHES = 0.17
"""Of a title's every line but the first."""
_TITLE_CHARACTERS = 32
"""So many have room above one column."""
_TITLE_LINES = 2
"""So many may what was asked for take, below the target's name."""
_SYNTHETIC_COLOUR = "#ffb000"
_WARNING_COLOUR = "#ff5030"
# Black in the middle, so that a difference of zero looks like the background of its neighbours.
_DIFFERENCE_COLOURS = LinearSegmentedColormap.from_list(
    "difference", ["#9fd0ff", "#1f6fff", "black", "#ff4a1f", "#ffc09f"]
)


@dataclass(frozen=True)
class Panel:
    """One column of the picture.

    Attributes:
        title: what stands above it.
        slices: (slices, rows, columns); in [0, 1], or in [-1, 1] for a difference.
        limit: the value that gets the last colour.
        colours: matplotlib's name of a colour map, or one.
        signed: whether the first colour stands for -limit, and not for zero.
    """

    title: str
    slices: NDArray[np.float32]
    limit: float = 1.0
    colours: str | Colormap = "gray"
    signed: bool = False


def preview_png(
    sources: Mapping[str, NDArray[np.float32]],
    target: str,
    synthetic: NDArray[np.float32],
    *,
    truth: NDArray[np.float32] | None,
    expected_error: NDArray[np.float32] | None = None,
    asked: str = "",
    headlines: Sequence[str] = (),
    slice_spacing: tuple[float, float, float],
    simulated: bool,
    model: str,
) -> bytes:
    """Draw four slices, seen from the patient's feet as radiologists do (R on the left).

    Args:
        sources: scaled source volumes by contrast name, each (slices, rows, columns) in [0, 1].
        target: name of the synthesized contrast.
        synthetic: the synthesized volume, same shape, in [0, 1].
        truth: the scaled real volume, same shape, where there is one.
        expected_error: the map of the synthetic volume's expected error, same shape.
        asked: what was asked for besides the target's name, in ASCII; stands in its title.
        headlines: what is odd about the sources, a few words each; the picture says so.
        slice_spacing: mm between slices, rows and columns.
        simulated: whether the patient is simulated; the picture says so.
        model: name of the weights, for the caption.

    Returns:
        The bytes of a PNG file, without a time stamp, so that equal runs give equal files.
    """
    panels = [Panel(name, slices) for name, slices in sources.items()]
    titled = textwrap.wrap(asked, _TITLE_CHARACTERS, max_lines=_TITLE_LINES, placeholder=" ...")
    panels.append(Panel("\n".join([f"{target} SYNTHETIC", *titled]), synthetic))
    if expected_error is not None:
        panels.append(
            Panel(f"expected error (to {_ERROR_LIMIT})", expected_error, _ERROR_LIMIT, "inferno")
        )
    if truth is not None:
        panels.append(Panel(f"{target} acquired" if not simulated else f"{target} truth", truth))
        panels.append(
            Panel(
                f"synthetic − truth (±{_DIFFERENCE_LIMIT})",
                synthetic - truth,
                _DIFFERENCE_LIMIT,
                _DIFFERENCE_COLOURS,
                signed=True,
            )
        )
    chosen = evenly_in_head(list(sources.values()), _ROWS)
    _, row_spacing, column_spacing = slice_spacing
    height, width = synthetic.shape[1] * row_spacing, synthetic.shape[2] * column_spacing
    # A sagittal slice alone is a line from above: its picture would be as tall as a tower.
    shape = min(max(height / width, 1 / _LARGEST_ASPECT), _LARGEST_ASPECT)
    row_inches = _COLUMN_INCHES * shape

    head_inches = _HEAD_INCHES + _TITLE_INCHES * len(titled)
    foot_inches = 0.25 + _LINE_INCHES * len(headlines)
    figure = Figure(
        figsize=(
            _COLUMN_INCHES * len(panels),
            row_inches * len(chosen) + head_inches + foot_inches,
        ),
        dpi=_DOTS_PER_INCH,
        facecolor="black",
    )
    FigureCanvasAgg(figure)
    top = 1 - head_inches / figure.get_figheight()
    bottom = foot_inches / figure.get_figheight()
    grid = figure.subplots(
        len(chosen),
        len(panels),
        squeeze=False,
        gridspec_kw={
            "left": 0,
            "right": 1,
            "top": top,
            "bottom": bottom,
            "wspace": 0.01,
            "hspace": 0.01,
        },
    )
    for row, index in enumerate(chosen):
        for column, panel in enumerate(panels):
            axes = grid[row, column]
            axes.set_axis_off()
            axes.imshow(
                panel.slices[index],
                cmap=panel.colours,
                vmin=-panel.limit if panel.signed else 0.0,
                vmax=panel.limit,
                aspect=row_spacing / column_spacing,
                interpolation="nearest",
            )
            if row == 0:
                made = panel.slices is synthetic
                axes.set_title(
                    panel.title, color=_SYNTHETIC_COLOUR if made else "white", fontsize=10, pad=4
                )
            if column == 0:
                _letter(axes, 0.02, "R")
                _letter(axes, 0.98, "L")
                axes.text(
                    0.02,
                    0.02,
                    f"slice {index + 1}",
                    color="white",
                    fontsize=7,
                    transform=axes.transAxes,
                    ha="left",
                    va="bottom",
                )
    patient = "SIMULATED patient; " if simulated else ""
    own = f"{patient}{target} is SYNTHETIC (omnisyn, weights {model}). Research only."
    foot = [(own, _SYNTHETIC_COLOUR), *((each, _WARNING_COLOUR) for each in headlines)]
    for line, (words, colour) in enumerate(foot):
        height = (0.075 + _LINE_INCHES * line) / figure.get_figheight()
        figure.text(0.5, height, words, color=colour, fontsize=7, ha="center", va="bottom")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": "omnisyn"})
    return content.getvalue()


def evenly_in_head(volumes: list[NDArray[np.float32]], count: int) -> list[int]:
    """Indices of up to `count` slices, spread evenly over the slices that hold the head.

    Args:
        volumes: scaled volumes of one shape (slices, rows, columns).
    """
    held = head_slices(head_mask(volumes)).tolist() or range(len(volumes[0]))
    # Head first, as slices hang on a light box.
    return evenly_thinned(held, count)[::-1]


def _letter(axes: Axes, x: float, letter: str) -> None:
    axes.text(
        x,
        0.5,
        letter,
        color="white",
        fontsize=8,
        transform=axes.transAxes,
        ha="left" if x < 0.5 else "right",
        va="center",
    )
