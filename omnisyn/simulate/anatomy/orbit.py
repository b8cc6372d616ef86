"""Eyes, optic nerves, extra-ocular muscles and orbital fat."""

from __future__ import annotations

from omnisyn.simulate.anatomy.canvas import Canvas


def paint_orbits(canvas: Canvas) -> None:
    """Both orbits: cones of fat that hold globe, nerve and muscles."""
    wall: tuple[tuple[str, float], ...] = (("facial bone", 1.5),)
    canvas.tube(
        "orbital fat",
        [(32.0, -54.0, -8.0), (24.0, -36.0, -9.0), (15.0, -23.0, -10.0)],
        [17.0, 13.0, 4.0],
        paired=True,
        shells=wall,
        vary="vitreous",
    )
    muscles = (
        ((32.0, -58.0, 4.5), (25.0, -38.0, 2.0)),
        ((32.0, -58.0, -20.5), (25.0, -38.0, -19.0)),
        ((20.5, -58.0, -8.0), (15.5, -38.0, -8.5)),
        ((43.5, -56.0, -8.0), (33.5, -38.0, -8.5)),
    )
    for front, middle in muscles:
        flat = (1.4, 1.0, 0.8) if front[0] == 32.0 else (0.8, 1.0, 1.4)
        canvas.tube(
            "extra-ocular muscle",
            [front, middle, (15.0, -24.0, -10.0)],
            [1.2, 2.8, 1.8],
            squash=flat,
            paired=True,
            only=("orbital fat",),
            vary="vitreous",
        )
    canvas.tube(
        "optic nerve",
        [(31.0, -48.0, -7.5), (25.0, -37.0, -9.0), (15.0, -23.0, -10.0), (12.0, -20.0, -10.0)],
        [2.2, 2.2, 2.2, 2.0],
        paired=True,
        vary="vitreous",
    )
    canvas.ellipsoid(
        "vitreous", (32.0, -59.0, -7.5), (11.3, 11.8, 11.5), paired=True, shells=(("sclera", 1.0),)
    )
    canvas.ellipsoid("lens", (32.0, -68.0, -7.5), (4.6, 2.2, 4.6), paired=True, vary="vitreous")
