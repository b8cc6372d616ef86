"""Mandible, teeth, tongue, lips and the pterygoid processes."""

from __future__ import annotations

import torch

from omnisyn.simulate.anatomy.canvas import Canvas

_SOFT = ("deep neck and facial fat", "subcutaneous fat")


def paint_pterygoid_process(canvas: Canvas) -> None:
    """The pterygoid processes with their plates, the fossa before them and the buccal fat."""
    canvas.ellipsoid("pterygoid process", (21.0, -30.0, -42.0), (5.0, 4.5, 11.0), paired=True)
    canvas.ellipsoid("pterygoid marrow", (21.0, -30.5, -37.0), (3.4, 3.0, 5.0), paired=True)
    canvas.tube(
        "pterygoid process",
        [(22.0, -28.0, -44.0), (26.0, -21.0, -50.0)],
        [1.4, 1.0],
        squash=(1.0, 1.0, 7.0),
        paired=True,
    )
    canvas.tube(
        "pterygoid process",
        [(16.0, -29.0, -46.0), (15.5, -24.0, -52.0)],
        [1.3, 1.0],
        squash=(1.0, 1.0, 7.0),
        paired=True,
    )
    canvas.ellipsoid("pterygopalatine fossa", (23.0, -34.0, -36.0), (5.0, 2.4, 9.0), paired=True)
    canvas.ellipsoid(
        "buccal fat",
        (44.0, -42.0, -55.0),
        (8.0, 10.0, 14.0),
        paired=True,
        only=("deep neck and facial fat",),
    )


def paint_mandible(canvas: Canvas) -> None:
    """Rami with condyle and coronoid, body and chin: cortex around fatty marrow."""
    cortex: tuple[tuple[str, float], ...] = (("mandible cortex", 1.8),)
    canvas.tube(
        "mandible",
        [(49.0, -14.0, -84.0), (50.0, -16.0, -64.0), (51.0, -8.0, -44.0)],
        [7.0, 6.5, 2.6],
        squash=(0.33, 1.5, 1.0),
        paired=True,
        shells=(("mandible cortex", 3.6),),
        vary="mandible cortex",
    )
    canvas.tube(
        "mandible",
        [(50.0, -22.0, -62.0), (49.0, -30.0, -48.0)],
        [5.0, 1.5],
        squash=(0.4, 1.0, 1.0),
        paired=True,
        shells=cortex,
        vary="mandible cortex",
    )
    canvas.ellipsoid(
        "mandible",
        (51.0, -5.0, -39.0),
        (7.0, 3.2, 3.4),
        paired=True,
        shells=(("mandible cortex", 1.2),),
    )
    canvas.tube(
        "mandible",
        [
            (48.0, -16.0, -88.0),
            (42.0, -38.0, -95.0),
            (33.0, -58.0, -99.0),
            (20.0, -74.0, -101.0),
            (7.0, -80.0, -102.0),
            (0.0, -80.5, -102.0),
        ],
        [7.5, 8.5, 8.5, 8.8, 9.0, 9.0],
        squash=(0.5, 0.5, 1.25),
        paired=True,
        shells=(("mandible cortex", 3.6),),
        vary="mandible cortex",
    )


def paint_mouth(canvas: Canvas) -> None:
    """Tongue, floor of the mouth, lips and cheeks, upper and lower teeth, thin oral air."""
    canvas.ellipsoid("facial muscle", (0.0, -83.0, -78.0), (22.0, 6.0, 11.0), only=_SOFT)
    canvas.tube(
        "facial muscle",
        [(42.0, -40.0, -76.0), (34.0, -66.0, -76.0), (16.0, -82.0, -78.0)],
        [2.0, 2.2, 3.0],
        squash=(1.0, 1.0, 5.0),
        paired=True,
        only=_SOFT,
    )
    canvas.ellipsoid("floor of mouth muscle", (0.0, -52.0, -104.0), (30.0, 28.0, 6.0), only=_SOFT)
    canvas.ellipsoid(
        "tongue",
        (0.0, -46.0, -84.0),
        (24.0, 31.0, 18.0),
        exponent=2.3,
        shells=(("oral cavity air", 0.6),),
        only=(*_SOFT, "floor of mouth muscle"),
    )
    canvas.tube("tongue", [(0.0, -40.0, -95.0), (0.0, -62.0, -104.0)], [12.0, 8.0])
    region = canvas.region((-36.0, -88.0, -98.0), (36.0, -34.0, -58.0))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    # Both rows lie on one arch, an ellipse; its angle separates one tooth from the next.
    u, v = x / 25.5, (y + 40.0) / 36.5
    arch = (torch.hypot(u, v) - 1.0) * 29.0
    angle = torch.atan2(u, -v)
    gap = torch.cos(angle * 14.0 / 1.62 * torch.pi).abs()
    on_arch = (arch.abs() < 7.0) & (angle.abs() < 1.62)
    upper = on_arch & (z > -74.0) & (z < -60.0)
    lower = on_arch & (z < -77.0) & (z > -94.0)
    region.paint(upper, "maxilla", only=(*_SOFT, "facial muscle", "tongue", "oral cavity air"))
    region.paint(lower, "mandible", only=(*_SOFT, "tongue", "facial muscle", "oral cavity air"))
    crown = (z + 75.5).abs() < 5.0
    root = (z + 75.5).abs() < 15.0
    tooth = (arch.abs() < 3.8) & (angle.abs() < 1.55)
    region.paint(
        on_arch & (arch.abs() > 5.5) & root & ~crown,
        "mandible cortex",
        only=("mandible", "maxilla"),
    )
    region.paint(on_arch & crown & ~tooth, "facial muscle", only=("mandible", "maxilla"))
    region.paint(tooth & ((crown & (gap > 0.2)) | (root & (gap > 0.55))), "teeth")
