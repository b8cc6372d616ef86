"""Lymph nodes: metastatic ones by level and a few small benign ones.

Frequencies of levels (n = 2920) and sizes as in section F of the reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from omnisyn.simulate.anatomy.canvas import Canvas
from omnisyn.simulate.anatomy.staging import NodeFinding

CRICOID_MM = -154.0

# Level: place on the left (mm), spread along z (mm), frequency among node-positive patients,
# median short radius (mm).
LEVELS: dict[str, tuple[tuple[float, float, float], float, float, float]] = {
    "RP": ((16.0, -1.0, -57.0), 5.0, 0.81, 5.0),
    "II": ((37.0, 4.0, -94.0), 8.0, 0.82, 7.5),
    "III": ((35.0, 2.0, -126.0), 7.0, 0.50, 6.0),
    "V": ((45.0, 24.0, -122.0), 14.0, 0.30, 5.5),
    "IV": ((32.0, 4.0, -166.0), 6.0, 0.12, 5.5),
    "SCF": ((36.0, 12.0, -182.0), 4.0, 0.035, 6.0),
    "IB": ((27.0, -48.0, -112.0), 4.0, 0.035, 4.5),
    "parotid": ((55.0, -2.0, -60.0), 5.0, 0.012, 4.0),
}
_BENIGN_PLACES = (
    (36.0, 0.0, -92.0), (40.0, 14.0, -100.0), (46.0, 24.0, -110.0), (26.0, -50.0, -110.0),
    (36.0, -2.0, -118.0), (34.0, 4.0, -140.0), (55.0, -6.0, -58.0), (44.0, 28.0, -130.0),
)  # fmt: skip
_ROOM = (
    "deep neck and facial fat", "subcutaneous fat", "parapharyngeal fat", "sternocleidomastoid",
    "scalene muscle", "digastric muscle", "paraspinal muscle", "prevertebral muscle", "trapezius",
    "parotid", "submandibular gland", "strap muscle", "jugular vein", "benign node",
    "levator veli palatini", "floor of mouth muscle",
)  # fmt: skip


@dataclass(frozen=True)
class NodeParameters:
    """One node: level ("benign" for a normal one), side (+1 left), ellipsoid, necrotic core."""

    level: str
    side: int
    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    angles: tuple[float, float, float]
    necrosis: float

    def finding(self) -> NodeFinding:
        """What staging needs to know of it."""
        longest = 2.0 * max(self.radii_mm)
        low = self.centre_mm[2] - self.radii_mm[2]
        below = self.level in ("IV", "SCF") or low < CRICOID_MM
        return NodeFinding(self.level, "left" if self.side > 0 else "right", longest, below)


def draw_nodes(
    generator: torch.Generator, tumour_side: int, positive: float
) -> tuple[NodeParameters, ...]:
    """Benign nodes of any patient, and metastatic ones with probability `positive`."""

    def uniform(low: float = 0.0, high: float = 1.0) -> float:
        drawn = float(torch.rand((), generator=generator, device=generator.device))
        return low + (high - low) * drawn

    def normal() -> float:
        drawn = float(torch.randn((), generator=generator, device=generator.device))
        return max(-2.5, min(2.5, drawn))

    def node(
        level: str, side: int, place: tuple[float, float, float], spread: float, radius: float
    ) -> NodeParameters:
        centre = (
            side * (place[0] + 1.5 * normal()),
            place[1] + 1.5 * normal(),
            place[2] + spread * normal() * 0.6,
        )
        radii = (
            radius * uniform(0.85, 1.1),
            radius * uniform(0.9, 1.3),
            radius * uniform(1.1, 1.7),
        )
        angles = (12.0 * normal(), 12.0 * normal(), 20.0 * normal())
        necrotic = level != "benign" and radius > 6.0 and uniform() < 0.3
        return NodeParameters(
            level, side, centre, radii, angles, uniform(0.4, 0.75) if necrotic else 0.0
        )

    nodes = [
        node("benign", side, place, 5.0, uniform(2.0, 3.2))
        for place in _BENIGN_PLACES
        for side in (1, -1)
        if uniform() < 0.6
    ]
    if uniform() < positive:
        contralateral = 0.55 if uniform() < 0.5 else 0.1
        found = 0
        for level, (place, spread, frequency, median) in LEVELS.items():
            for side in (tumour_side, -tumour_side):
                chance = frequency if side == tumour_side else frequency * contralateral
                if uniform() >= chance:
                    continue
                count = 1 + int(uniform() < 0.35) + int(uniform() < 0.15)
                for _ in range(1 if level == "RP" else count):
                    cap = 9.0 if level == "RP" else 24.0
                    radius = min(cap, median * math.exp(0.38 * normal()))
                    nodes.append(node(level, side, place, spread, radius))
                    found += 1
        if not found:
            place, spread, _, median = LEVELS["II"]
            nodes.append(node("II", tumour_side, place, spread, median))
    return tuple(nodes)


def paint_nodes(canvas: Canvas, nodes: tuple[NodeParameters, ...]) -> None:
    """Paint every node into the soft tissue around it, metastatic ones last."""
    for item in sorted(nodes, key=lambda n: n.level != "benign"):
        name = "benign node" if item.level == "benign" else f"N level {item.level} node"
        canvas.ellipsoid(
            name,
            item.centre_mm,
            item.radii_mm,
            angles=item.angles,
            only=_ROOM,
            exponent=2.2,
            fixed=True,
        )
        if item.necrosis > 0:
            core = tuple(r * item.necrosis for r in item.radii_mm)
            canvas.ellipsoid(
                "node necrosis",
                item.centre_mm,
                (core[0], core[1], core[2]),
                angles=item.angles,
                only=(name,),
                fixed=True,
            )
