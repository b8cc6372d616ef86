import itertools

import numpy as np
import pytest

from omnisyn.comparison.labels import Labelled, place_labels
from omnisyn.evaluation.report.figures import blank_canvas


@pytest.fixture
def panel():
    made = blank_canvas(4.0).subplots()
    made.set_xlim(0, 1)
    made.set_ylim(0, 1)
    return made


def boxes(panel):
    return [text.get_window_extent() for text in panel.texts]


def test_labels_of_a_crowd_cover_neither_each_other_nor_points(panel):
    draws = np.random.default_rng(0)
    points = [
        Labelled(x, y, f"network {number}", "black")
        for number, (x, y) in enumerate(draws.uniform(0.4, 0.7, (14, 2)))
    ]
    place_labels(panel, points)
    found = boxes(panel)
    assert len(found) == len(points)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(found, 2))
    marks = panel.transData.transform([(point.x, point.y) for point in points])
    assert not any(box.contains(*mark) for box in found for mark in marks)
    room = panel.get_window_extent()
    assert all(room.x0 <= box.x0 and box.x1 <= room.x1 for box in found)


def test_a_lonely_label_stands_right_beside_its_point(panel):
    place_labels(panel, [Labelled(0.5, 0.5, "alone", "black")])
    (box,) = boxes(panel)
    x, y = panel.transData.transform((0.5, 0.5))
    assert x < box.x0 < x + 20
    assert box.y0 < y < box.y1
    assert panel.lines == [] or len(panel.lines) == 0


def test_at_the_right_border_the_label_goes_to_the_left(panel):
    place_labels(panel, [Labelled(0.99, 0.5, "at the border", "black")])
    (box,) = boxes(panel)
    assert box.x1 < panel.transData.transform((0.99, 0.5))[0]


def test_labels_keep_clear_of_lines_and_bars(panel):
    points = [Labelled(0.5, 0.5, "one", "black", bar=(0.2, 0.8))]
    place_labels(panel, points, levels=[0.5])
    (box,) = boxes(panel)
    x, y = panel.transData.transform((0.5, 0.5))
    assert not box.y0 < y < box.y1
    assert not box.x0 < x < box.x1


def test_the_same_points_give_the_same_places():
    def places():
        made = blank_canvas(4.0).subplots()
        points = [Labelled(0.5, 0.5 + 0.01 * step, f"arm {step}", "black") for step in range(5)]
        place_labels(made, points)
        return [text.get_position() for text in made.texts]

    assert places() == places()
