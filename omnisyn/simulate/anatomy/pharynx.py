"""Nasopharynx, soft palate, oropharynx, hypopharynx and the fat spaces beside them."""

from __future__ import annotations

from dataclasses import dataclass

from omnisyn.simulate.anatomy.canvas import Canvas


@dataclass(frozen=True)
class PharynxParameters:
    """Pharynx of one patient.

    Attributes:
        width: multiplier of the airway's width.
        adenoid: multiplier of the adenoid's size (small in old, large in young patients).
        fossa: multiplier of the depth of the lateral recesses.
    """

    width: float
    adenoid: float
    fossa: float


def paint_parapharyngeal_space(canvas: Canvas) -> None:
    """Parapharyngeal fat and the palatal muscles at its medial border."""
    soft = ("deep neck and facial fat",)
    canvas.tube(
        "parapharyngeal fat",
        [(23.0, -13.0, -42.0), (26.0, -12.0, -60.0), (30.0, -10.0, -84.0)],
        [4.0, 7.0, 4.0],
        squash=(0.75, 1.3, 1.0),
        paired=True,
        only=soft,
    )
    canvas.tube(
        "tensor veli palatini",
        [(21.5, -18.0, -42.0), (18.0, -25.0, -60.0)],
        [2.2, 1.4],
        squash=(0.7, 1.6, 1.0),
        paired=True,
        only=(*soft, "parapharyngeal fat"),
    )
    canvas.tube(
        "levator veli palatini",
        [(18.5, -9.0, -44.0), (10.0, -21.0, -62.0)],
        [3.0, 2.6],
        paired=True,
        only=(*soft, "parapharyngeal fat"),
    )


def paint_pharynx(canvas: Canvas, parameters: PharynxParameters) -> None:
    """The airway from the choanae to the larynx in its mucosa, with torus, fossa and adenoid."""
    wide = parameters.width
    wall = (("nasopharyngeal mucosa", 3.0),)
    canvas.ellipsoid("nasopharyngeal mucosa", (0.0, -14.0, -46.0), (19.0, 13.0, 10.0), exponent=2.8)
    canvas.tube(
        "nasopharyngeal mucosa",
        [(14.0, -8.0, -47.0), (20.0, -5.0, -46.0)],
        [4.5, 3.0],
        squash=(1.0, 0.8, 1.6),
        paired=True,
    )
    canvas.ellipsoid(
        "nasopharyngeal airway",
        (0.0, -21.0, -49.0),
        (11.5 * wide, 9.0, 9.5),
        exponent=2.7,
        shells=wall,
    )
    canvas.ellipsoid("nasopharyngeal airway", (0.0, -29.0, -46.0), (10.5, 6.0, 9.0), exponent=3.0)
    canvas.ellipsoid(
        "torus tubarius",
        (13.0, -15.5, -48.0),
        (2.6, 3.6, 5.5),
        paired=True,
        angles=(0, 0, -35),
        shells=(("nasopharyngeal mucosa", 2.0),),
    )
    canvas.tube(
        "fossa of Rosenmueller",
        [(8.5, -13.0, -48.0), (13.0, -10.0, -48.0), (13.5 + 5.0 * parameters.fossa, -7.5, -47.5)],
        [1.6, 1.3, 0.9],
        squash=(1.0, 1.0, 4.0),
        paired=True,
    )
    canvas.tube(
        "nasopharyngeal airway",
        [(11.0, -21.5, -48.0), (15.0, -18.5, -47.0)],
        [1.5, 0.8],
        squash=(1.0, 1.0, 1.6),
        paired=True,
    )
    size = parameters.adenoid
    canvas.ellipsoid(
        "adenoid",
        (0.0, -10.5, -42.5),
        (9.0 * size, 4.0 * size, 5.5 * size),
        angles=(-25, 0, 0),
        exponent=2.3,
    )
    throat = (("oropharyngeal mucosa", 2.2),)
    canvas.tube(
        "oropharyngeal airway",
        [(0.0, -16.0, -58.0), (0.0, -13.5, -72.0), (0.0, -14.0, -88.0), (0.0, -15.0, -104.0)],
        [6.0, 5.0, 5.6, 5.6],
        squash=(1.75 * wide, 0.85, 1.0),
        shells=throat,
    )
    canvas.tube(
        "nasopharyngeal airway",
        [(0.0, -20.0, -50.0), (0.0, -15.5, -61.0)],
        [8.0, 6.0],
        squash=(1.45 * wide, 0.8, 1.0),
    )
    canvas.ellipsoid("palatine tonsil", (14.5, -20.0, -80.0), (5.0, 6.5, 10.0), paired=True)
    canvas.tube(
        "hypopharyngeal airway",
        [
            (0.0, -15.0, -106.0),
            (0.0, -18.0, -118.0),
            (0.0, -20.0, -132.0),
            (0.0, -19.0, -150.0),
            (0.0, -15.0, -210.0),
        ],
        [6.0, 5.5, 5.0, 7.5, 8.0],
        squash=(1.35, 0.9, 1.0),
        shells=(("hypopharyngeal mucosa", 2.0),),
        vary="oropharyngeal airway",
    )
    # Reopen the way through the walls that both tubes close at their ends.
    canvas.tube(
        "oropharyngeal airway",
        [(0.0, -14.0, -90.0), (0.0, -15.0, -104.0), (0.0, -16.0, -109.0)],
        [5.6, 5.6, 5.2],
        squash=(1.3, 0.85, 1.0),
    )
    canvas.tube(
        "soft palate",
        [(0.0, -33.0, -61.0), (0.0, -24.0, -65.0), (0.0, -19.5, -76.0)],
        [3.2, 4.0, 2.6],
        squash=(3.6, 1.0, 0.9),
    )
    canvas.ellipsoid("soft palate", (0.0, -19.0, -79.0), (4.0, 3.0, 6.0))
