"""Cervical spine, glands, larynx and ears."""

from __future__ import annotations

from omnisyn.simulate.anatomy.canvas import Canvas

SPINE_TOP_MM = -80.0
VERTEBRA_MM = 17.5

_SOFT = ("deep neck and facial fat", "subcutaneous fat")


def body_y(z: float) -> float:
    """Front–back position (mm) of the vertebral bodies' centre at height z: a slight lordosis."""
    below = (-65.0 - z) / 60.0
    return 9.0 - 3.0 * below + 2.6 * below * below


def paint_spine(canvas: Canvas) -> None:
    """C1 ring, dens, C2 to below C5 with discs and posterior arches."""
    cortex: tuple[tuple[str, float], ...] = (("vertebral cortex", 1.1),)
    canvas.ellipsoid(
        "cervical vertebra", (21.0, 11.0, -66.0), (8.0, 7.0, 6.0), paired=True, shells=cortex
    )
    canvas.tube(
        "cervical vertebra",
        [(16.0, 5.0, -66.0), (0.0, 0.5, -65.0)],
        [3.2, 3.6],
        paired=True,
        shells=cortex,
        vary="vertebral cortex",
    )
    canvas.tube(
        "cervical vertebra",
        [(20.0, 18.0, -67.0), (13.0, 33.0, -67.0), (0.0, 38.0, -67.0)],
        [3.0, 2.8, 3.2],
        paired=True,
        shells=cortex,
        vary="vertebral cortex",
    )
    canvas.tube(
        "cervical vertebra", [(0.0, 7.5, -58.0), (0.0, 8.5, -78.0)], [3.8, 5.0], shells=cortex
    )
    for level in range(7):
        middle = SPINE_TOP_MM - level * VERTEBRA_MM
        place = body_y(middle)
        canvas.ellipsoid(
            "cervical vertebra",
            (0.0, place, middle),
            (10.5, 7.5, 6.2),
            exponent=4.0,
            shells=cortex,
            vary="vertebral cortex",
        )
        canvas.ellipsoid(
            "intervertebral disc",
            (0.0, place, middle - 8.8),
            (10.5, 7.5, 2.4),
            exponent=3.5,
            only=(*_SOFT, "vertebral cortex", "prevertebral muscle"),
        )
        canvas.ellipsoid(
            "cervical vertebra",
            (17.5, place + 8.0, middle),
            (5.5, 5.5, 6.5),
            paired=True,
            shells=cortex,
            vary="vertebral cortex",
        )
        canvas.tube(
            "cervical vertebra",
            [(16.0, place + 13.0, middle), (0.0, place + 27.0, middle - 3.0)],
            [2.2, 2.8],
            squash=(1.0, 1.0, 1.9),
            paired=True,
            shells=cortex,
            vary="vertebral cortex",
        )
        canvas.tube(
            "cervical vertebra",
            [(0.0, place + 27.0, middle - 3.0), (0.0, place + 38.0, middle - 8.0)],
            [2.6, 2.6],
            squash=(0.8, 1.0, 1.3),
            shells=cortex,
            vary="vertebral cortex",
        )


def paint_dural_sac(canvas: Canvas) -> None:
    """Dura and cerebrospinal fluid of the spinal canal, open to the foramen magnum above."""
    canvas.tube(
        "spinal CSF",
        _canal(),
        [9.5, *[7.6] * (len(_canal()) - 1)],
        squash=(1.35, 0.92, 1.0),
        shells=(("dura", 0.8),),
    )


def paint_spinal_cord(canvas: Canvas) -> None:
    """The cord, from the medulla downwards."""
    canvas.tube(
        "spinal cord",
        _canal(),
        [5.0, *[4.3] * (len(_canal()) - 1)],
        squash=(1.4, 0.9, 1.0),
        vary="spinal CSF",
    )


def _canal() -> list[tuple[float, float, float]]:
    heights = [-54.0, -70.0, *(SPINE_TOP_MM - VERTEBRA_MM * k for k in range(0, 9, 2))]
    return [(0.0, 19.0 if z > -60 else body_y(z) + 14.0, z) for z in heights]


def paint_glands_and_larynx(canvas: Canvas) -> None:
    """Parotid, submandibular and thyroid glands, hyoid, laryngeal cartilage."""
    canvas.ellipsoid(
        "parotid",
        (55.0, -3.0, -65.0),
        (10.0, 15.5, 23.0),
        exponent=2.2,
        angles=(0, 6, -12),
        paired=True,
        only=(*_SOFT, "sternocleidomastoid", "digastric muscle"),
    )
    canvas.ellipsoid(
        "parotid",
        (47.0, 1.0, -64.0),
        (8.0, 6.0, 14.0),
        paired=True,
        only=(*_SOFT, "digastric muscle"),
    )
    canvas.ellipsoid(
        "submandibular gland",
        (32.0, -36.0, -108.0),
        (9.5, 15.0, 10.0),
        paired=True,
        angles=(0, 0, 20),
        only=(*_SOFT, "digastric muscle", "floor of mouth muscle"),
    )
    canvas.tube(
        "hyoid bone",
        [(20.0, -18.0, -110.0), (12.0, -36.0, -114.0), (0.0, -40.0, -115.0)],
        [1.6, 2.2, 2.8],
        paired=True,
    )
    canvas.tube(
        "laryngeal cartilage",
        [(17.0, -14.0, -128.0), (10.0, -32.0, -130.0), (0.0, -38.0, -131.0)],
        [1.6, 1.8, 2.0],
        squash=(1.0, 1.0, 6.0),
        paired=True,
    )
    canvas.tube(
        "laryngeal cartilage",
        [(12.0, -16.0, -150.0), (0.0, -30.0, -150.0)],
        [2.0, 2.0],
        squash=(1.0, 1.0, 3.0),
        paired=True,
        vary="hyoid bone",
    )
    canvas.ellipsoid(
        "thyroid gland",
        (17.0, -22.0, -165.0),
        (7.0, 8.0, 20.0),
        paired=True,
        only=(*_SOFT, "strap muscle"),
    )


def paint_ears(canvas: Canvas) -> None:
    """Auricles and ear canals."""
    canvas.ellipsoid(
        "auricle",
        (69.0, 18.0, -31.0),
        (3.5, 11.0, 21.0),
        angles=(0, 14, 26),
        paired=True,
        only=("background", "skin", "subcutaneous fat"),
        shells=(("skin", 1.6),),
    )
    canvas.tube(
        "ear canal",
        [(74.0, 10.0, -40.0), (56.0, 7.0, -39.0), (43.0, 6.0, -37.0)],
        [4.0, 3.2, 2.6],
        paired=True,
    )
