"""Arteries, veins and dural sinuses."""

from __future__ import annotations

from omnisyn.simulate.anatomy.canvas import Canvas

_SOFT = (
    "deep neck and facial fat",
    "subcutaneous fat",
    "parapharyngeal fat",
    "parotid",
    "digastric muscle",
    "sternocleidomastoid",
    "scalene muscle",
    "prevertebral muscle",
    "submandibular gland",
)
_CSF = ("subarachnoid CSF", "sulcal CSF", "cortex", "white matter", "insula", "dura")


def paint_neck_vessels(canvas: Canvas) -> None:
    """Carotids from the root of the neck to the siphon, jugulars, vertebral arteries."""
    canvas.tube(
        "carotid artery",
        [
            (22.0, 0.0, -200.0),
            (26.0, -5.0, -118.0),
            (27.0, -2.0, -104.0),
            (26.0, 2.0, -70.0),
            (25.0, 0.0, -50.0),
            (23.0, -2.0, -40.0),
            (15.0, -8.0, -34.0),
            (11.0, -10.0, -26.0),
            (10.0, -16.0, -19.0),
            (9.0, -11.0, -13.0),
            (8.0, -9.0, -10.0),
        ],
        [3.8, 4.2, 3.0, 2.6, 2.5, 2.5, 2.5, 2.3, 2.3, 2.0, 1.8],
        paired=True,
    )
    canvas.tube(
        "carotid artery",
        [(27.0, -6.0, -114.0), (31.0, -10.0, -95.0), (42.0, -2.0, -62.0)],
        [2.6, 2.2, 1.6],
        paired=True,
        only=_SOFT,
    )
    canvas.tube(
        "jugular vein",
        [
            (30.0, 2.0, -200.0),
            (34.0, 2.0, -118.0),
            (33.0, 7.0, -85.0),
            (30.0, 8.0, -58.0),
            (29.0, 12.0, -44.0),
        ],
        [6.5, 5.5, 4.4, 4.0, 4.2],
        paired=True,
    )
    canvas.tube(
        "vertebral artery",
        [
            (17.0, 8.0, -200.0),
            (16.5, 9.0, -84.0),
            (22.0, 12.0, -70.0),
            (15.0, 22.0, -62.0),
            (6.0, 12.0, -50.0),
            (0.0, 1.5, -40.0),
        ],
        [1.8, 1.8, 1.8, 1.8, 1.7, 1.7],
        paired=True,
    )
    canvas.tube(
        "facial vessel",
        [(46.0, 0.0, -52.0), (47.0, 2.0, -90.0)],
        [2.2, 2.2],
        paired=True,
        only=("parotid", *_SOFT),
    )


def paint_brain_vessels(canvas: Canvas) -> None:
    """Basilar, middle, anterior and posterior cerebral arteries; dural sinuses."""
    canvas.tube(
        "cerebral artery",
        [(0.0, 1.5, -40.0), (0.0, -3.5, -27.0), (0.0, 0.0, -14.0)],
        [1.7, 1.7, 1.6],
    )
    canvas.tube(
        "cerebral artery",
        [(8.0, -9.0, -10.0), (22.0, -13.0, -9.0), (36.0, -12.0, -10.0), (40.0, 4.0, -2.0)],
        [1.6, 1.4, 1.3, 1.0],
        paired=True,
        only=_CSF,
    )
    canvas.tube(
        "cerebral artery",
        [(8.0, -9.0, -10.0), (1.6, -20.0, -7.0), (1.6, -36.0, 4.0), (1.6, -32.0, 18.0)],
        [1.3, 1.1, 1.0, 0.9],
        paired=True,
        only=_CSF,
    )
    canvas.tube(
        "cerebral artery",
        [(0.0, 0.0, -14.0), (14.0, 8.0, -13.0), (18.0, 24.0, -10.0)],
        [1.3, 1.2, 1.0],
        paired=True,
        only=_CSF,
    )
    inside = (
        "subarachnoid CSF",
        "sulcal CSF",
        "cortex",
        "white matter",
        "dura",
        "inner table",
        "cerebellar cortex",
        "outer table",
        "diploe",
        "skull base cortex",
        "petrous bone",
        "skull base marrow",
    )
    canvas.tube(
        "venous sinus",
        [
            (0.0, -40.0, 55.0),
            (0.0, -15.0, 68.5),
            (0.0, 20.0, 71.5),
            (0.0, 55.0, 62.0),
            (0.0, 80.0, 37.0),
            (0.0, 90.0, 8.0),
            (0.0, 87.0, -25.0),
        ],
        [1.5, 2.2, 2.8, 3.4, 4.0, 4.2, 4.6],
        only=inside,
    )
    canvas.tube(
        "venous sinus",
        [
            (0.0, 86.0, -26.0),
            (28.0, 76.0, -31.0),
            (49.0, 46.0, -31.0),
            (47.0, 30.0, -34.0),
            (42.0, 22.0, -48.0),
            (31.0, 13.0, -50.0),
        ],
        [3.6, 3.6, 4.0, 4.0, 4.0, 3.8],
        paired=True,
        only=inside,
    )
    canvas.tube(
        "venous sinus",
        [(0.0, 36.0, 0.0), (0.0, 60.0, -8.0), (0.0, 85.0, -25.0)],
        [1.5, 2.0, 2.6],
        only=inside,
    )
