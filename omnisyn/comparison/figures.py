"""Quality against cost, as PNG bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image

from omnisyn.comparison.labels import Labelled, place_labels
from omnisyn.comparison.results import Comparison
from omnisyn.comparison.summary import Place, Standing
from omnisyn.comparison.tables import short_number
from omnisyn.evaluation.controls import BLIND, ORACLE
from omnisyn.evaluation.report.definitions import HEADLINES, title_of
from omnisyn.evaluation.report.figures import COLOURS, blank_canvas, calm, png_bytes
from omnisyn.evaluation.results import MODEL

_BUDGET_MARKS = (("o", COLOURS[MODEL]), ("D", "#3b5ba9"))
_HEIGHT = 4.2
_WIDEST_FINE_TICKS = 300


@dataclass(frozen=True)
class _Axis:
    title: str
    cost: Callable[[Comparison, Standing], float]


def _training(_: Comparison, standing: Standing) -> float:
    return standing.arm.operations if standing.arm else math.nan


def _one_slice(comparison: Comparison, standing: Standing) -> float:
    cost = comparison.costs.get(standing.name)
    return cost.slice_operations if cost else math.nan


_AXES = (
    _Axis("operations of the whole training", _training),
    _Axis("operations of one synthesized slice", _one_slice),
)


def quality_against_cost(comparison: Comparison, place: Place) -> bytes:
    """SSIM and PSNR in the head, a row each, against the cost of training and of one slice.

    A mark is the mean over directions and patients, the bar its 95 % bootstrap interval over
    patients, the faint dots are the single seeds. What has no finite figure or cost is left out.
    """
    canvas = blank_canvas(_HEIGHT * len(HEADLINES) + 0.3)
    panels = canvas.subplots(len(HEADLINES), len(_AXES))
    labels: list[tuple[Axes, list[Labelled], list[float]]] = []
    for figure, line in zip(HEADLINES, panels, strict=True):
        for panel, axis in zip(line, _AXES, strict=True):
            levels = _control_lines(panel, place, figure)
            points = _draw(panel, comparison, place, figure, axis, levels)
            labels.append((panel, points, levels))
            tag = ", SIMULATED" if place.simulated else ""
            panel.set_title(f"{place.title}{tag}", fontsize=9, loc="left")
    _legend(canvas, comparison)
    canvas.tight_layout(pad=0.6, rect=(0, 0, 1, 1 - 0.28 / canvas.get_figheight()))
    for panel, points, levels in labels:
        place_labels(panel, points, levels)
    return png_bytes(canvas)


def stacked(pictures: Sequence[bytes]) -> bytes:
    """The pictures of several places as one PNG, one below the other."""
    if not pictures:
        canvas = blank_canvas(1.0)
        canvas.text(0.5, 0.5, "No unit gave figures.", ha="center", va="center", fontsize=9)
        return png_bytes(canvas)
    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    whole = Image.new("RGB", (images[0].width, sum(image.height for image in images)))
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    stream = io.BytesIO()
    whole.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _draw(
    panel: Axes,
    comparison: Comparison,
    place: Place,
    figure: str,
    axis: _Axis,
    levels: Sequence[float],
) -> list[Labelled]:
    """Everything but the labels, whose points are handed back."""
    points = []
    heights = [*levels]
    for (marker, colour), budget in zip(cycle(_BUDGET_MARKS), comparison.budgets, strict=False):
        for standing in place.rankings[budget]:
            cost, mean = axis.cost(comparison, standing), standing.mean(figure)
            if standing.arm is None or not (math.isfinite(cost) and math.isfinite(mean)):
                continue
            bar = _interval(standing, figure)
            if bar is not None:
                panel.plot([cost, cost], bar, color=colour, linewidth=1, alpha=0.6)
            seeds = [value for value in standing.seeds[figure] if math.isfinite(value)]
            if len(seeds) > 1:
                panel.plot([cost] * len(seeds), seeds, ".", color=colour, markersize=4, alpha=0.45)
            panel.plot([cost], [mean], marker, color=colour, markersize=6)
            heights += [mean, *seeds, *(bar or ())]
            bold = standing.name == comparison.reference
            points.append(Labelled(cost, mean, standing.name, colour, bar, bold))
    _limits(panel, [point.x for point in points], heights)
    panel.set_xlabel(axis.title, fontsize=8)
    panel.set_ylabel(title_of(figure), fontsize=8)
    panel.tick_params(labelsize=7)
    calm(panel, "both")
    return points


def _interval(standing: Standing, figure: str) -> tuple[float, float] | None:
    summary = standing.quality[figure]
    return (summary.low, summary.high) if math.isfinite(summary.low) else None


def _control_lines(panel: Axes, place: Place, figure: str) -> list[float]:
    """The heights of the curves without anatomy, the same under every budget."""
    standings = {standing.name: standing for found in place.rankings.values() for standing in found}
    heights = []
    for name in (BLIND, ORACLE):
        mean = standings[name].mean(figure) if name in standings else math.nan
        if math.isfinite(mean):
            panel.axhline(mean, color=COLOURS[name], linewidth=1.2, linestyle="--", zorder=1)
            heights.append(mean)
    return heights


def _limits(panel: Axes, costs: Sequence[float], heights: Sequence[float]) -> None:
    """Room around the points for their labels; readable ticks however near the costs are."""
    if costs:
        widest = max(costs) / min(costs)
        room = max(1.5, widest**0.25)
        panel.set_xscale("log")
        panel.set_xlim(min(costs) / room, max(costs) * room)
        fine = widest * room**2 < _WIDEST_FINE_TICKS
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        panel.xaxis.set_minor_formatter(NullFormatter())
    if heights:
        margin = 0.12 * (max(heights) - min(heights)) or 0.01
        panel.set_ylim(min(heights) - margin, max(heights) + margin)


def _legend(canvas: Figure, comparison: Comparison) -> None:
    handles = [
        Line2D([], [], marker=marker, color=colour, linestyle="", label=f"equal {budget}")
        for (marker, colour), budget in zip(cycle(_BUDGET_MARKS), comparison.budgets, strict=False)
    ]
    handles += [
        Line2D([], [], color=COLOURS[name], linestyle="--", label=name) for name in (ORACLE, BLIND)
    ]
    canvas.legend(handles=handles, loc="upper right", ncols=len(handles), fontsize=8, frameon=False)
    data = ", trained on SIMULATED data" if comparison.simulated else ""
    canvas.suptitle(
        f"{comparison.name}{data}",
        x=0.005,
        y=1 - 0.08 / canvas.get_figheight(),
        ha="left",
        fontsize=8,
        color="#5b6670",
    )
