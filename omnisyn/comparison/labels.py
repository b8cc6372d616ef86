"""Words beside points of a panel, where they cover neither points nor each other.

Greedy: the points in their order, each label at the nearest of the places around its point that is
free and not nearer to another point, with a fine line to its point unless it is right beside it.
The same points give the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

_ANGLES = (0, 180, 30, 150, 330, 210, 60, 120, 300, 240, 90, 270)
_DISTANCES = (7, 12, 18, 26, 36, 48, 62)
"""From the point to the nearest edge of its label, in points of 1/72 inch."""
_FAR = 8
_MARKER = 4.5
_GAP = 1.5
_AMBIGUOUS = 0.02
"""A label nearer to another point than to its own is as bad as one covered by that share."""


@dataclass(frozen=True)
class Labelled:
    """A point in the units of the data, the bar through it, and its label.

    `bar` is the lower and upper end, or None without one.
    """

    x: float
    y: float
    text: str
    colour: str
    bar: tuple[float, float] | None = None
    bold: bool = False


def place_labels(
    panel: Axes, points: Sequence[Labelled], levels: Sequence[float] = (), size: float = 7.5
) -> None:
    """Write the labels; limits and layout of the panel must be as they will stay.

    Where no place is free, a label goes where it covers least.

    Args:
        panel: where the points are.
        points: those with a label; labels keep clear of all of them.
        levels: heights of lines across the panel, which labels keep clear of too.
        size: of the letters, in points.
    """
    scale = panel.figure.dpi / 72
    room = panel.get_window_extent()
    taken = [box for point in points for box in _boxes(panel, point, scale)]
    taken += [_line(panel, level, room, scale) for level in levels]
    places = [_pixels(panel, point.x, point.y) for point in points]
    for point, (x, y) in zip(points, places, strict=True):
        word = panel.annotate(
            point.text,
            (point.x, point.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            color=point.colour,
            fontweight="bold" if point.bold else "normal",
            horizontalalignment="center",
            verticalalignment="center",
            annotation_clip=False,
        )
        extent = word.get_window_extent()
        others = [place for place in places if math.dist(place, (x, y)) > 0]
        best: tuple[float, float, Bbox, float] | None = None
        for distance, angle in _places():
            across, up = _offset(distance, angle, extent.width / scale, extent.height / scale)
            box = _around(x + across * scale, y + up * scale, extent.width, extent.height)
            covered = _covered(box, taken, room)
            if any(_distance(other, box) <= _distance((x, y), box) for other in others):
                covered += _AMBIGUOUS * box.width * box.height
            if best is None or covered < best[3]:
                best = (across, up, box, covered)
            if covered == 0:
                break
        assert best is not None
        across, up, box, _ = best
        word.set_position((across, up))
        taken.append(box.padded(_GAP * scale))
        _leader(panel, (x, y), box, point.colour, scale)


def _places() -> Iterator[tuple[float, float]]:
    return ((distance, angle) for distance in _DISTANCES for angle in _ANGLES)


def _offset(distance: float, angle: float, width: float, height: float) -> tuple[float, float]:
    """From the point to the middle of a label whose edge is that far away, in points."""
    across, up = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return (
        across * distance + _sign(across) * width / 2,
        up * distance + _sign(up) * height / 2,
    )


def _sign(value: float) -> int:
    return (value > 1e-9) - (value < -1e-9)


def _around(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _boxes(panel: Axes, point: Labelled, scale: float) -> Iterator[Bbox]:
    """What a label must not cover: the marker and the bar, in pixels."""
    x, y = _pixels(panel, point.x, point.y)
    side = 2 * _MARKER * scale
    yield _around(x, y, side, side)
    if point.bar is not None:
        ends = [_pixels(panel, point.x, end)[1] for end in point.bar]
        yield Bbox.from_extents(x - scale, min(ends), x + scale, max(ends))


def _pixels(panel: Axes, x: float, y: float) -> tuple[float, float]:
    across, up = panel.transData.transform((x, y))
    return float(across), float(up)


def _line(panel: Axes, level: float, room: Bbox, scale: float) -> Bbox:
    """A line across the panel, in pixels."""
    height = _pixels(panel, 1.0, level)[1]
    return Bbox.from_extents(room.x0, height - scale, room.x1, height + scale)


def _nearest(at: tuple[float, float], box: Bbox) -> tuple[float, float]:
    """The place of a box that is nearest to another place."""
    return min(max(at[0], box.x0), box.x1), min(max(at[1], box.y0), box.y1)


def _distance(at: tuple[float, float], box: Bbox) -> float:
    return math.dist(at, _nearest(at, box))


def _covered(box: Bbox, taken: Sequence[Bbox], room: Bbox) -> float:
    """The area of a label that lies on others or outside the panel, in pixels."""
    inside = _common_area(box, room)
    return box.width * box.height - inside + sum(_common_area(box, other) for other in taken)


def _common_area(one: Bbox, other: Bbox) -> float:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    up = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(across * up) if across > 0 and up > 0 else 0.0


def _leader(panel: Axes, at: tuple[float, float], box: Bbox, colour: str, scale: float) -> None:
    """A fine line from the nearest edge of a label to its point, where they are far apart."""
    nearest = _nearest(at, box)
    if math.dist(at, nearest) < _FAR * scale:
        return
    inverse = panel.transData.inverted()
    (x, y), (end_x, end_y) = inverse.transform(at), inverse.transform(nearest)
    panel.plot([x, end_x], [y, end_y], color=colour, linewidth=0.5, alpha=0.7, zorder=1.5)
