"""Nasopharyngeal carcinoma that grows from the fossa of Rosenmueller along the anatomy.

The tumour is the set of places reached first from its seed, where every tissue has its own
slowness: mucosa and fat planes are crossed easily, bone and muscle only where this tumour invades
them. Frequencies of invasion: PMC3777458 (n = 2364), as given in section F of the reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from omnisyn.simulate.anatomy.canvas import Canvas, Region
from omnisyn.simulate.anatomy.noise import NoiseField, draw_noise
from omnisyn.simulate.anatomy.structures import STRUCTURE_NAMES, structure_index

_BLOCKED = 60.0
_CLOSED = 1.0e6
# Frequency of invasion over all patients (section F), and slowness where it happens.
_GROUPS: dict[str, tuple[int, float, float, tuple[str, ...]]] = {
    # name: (least T class, frequency, slowness, structures)
    "nasal": (1, 0.52, 1.6, ("nasal airway", "nasal mucosa", "turbinate", "nasal septum")),
    "oropharynx": (
        1,
        0.22,
        1.8,
        ("oropharyngeal mucosa", "oropharyngeal airway", "soft palate", "palatine tonsil"),
    ),
    "tensor": (2, 0.66, 1.4, ("tensor veli palatini",)),
    "parapharyngeal": (2, 0.73, 1.5, ("parapharyngeal fat",)),
    "prevertebral": (2, 0.37, 1.8, ("prevertebral muscle",)),
    "medial pterygoid": (2, 0.19, 2.2, ("medial pterygoid",)),
    "lateral pterygoid": (2, 0.09, 2.2, ("lateral pterygoid",)),
    "clivus": (3, 0.40, 1.6, ("clivus", "clivus cortex")),
    "sphenoid": (3, 0.47, 1.8, ("skull base marrow", "skull base cortex")),
    "pterygoid process": (
        3,
        0.45,
        1.5,
        ("pterygoid process", "pterygoid marrow", "pterygopalatine fossa"),
    ),
    "petrous": (3, 0.39, 2.0, ("petrous bone",)),
    "sphenoid sinus": (3, 0.16, 1.4, ("sphenoid sinus",)),
    "ethmoid": (3, 0.05, 1.6, ("ethmoid sinus",)),
    "maxillary": (3, 0.02, 1.6, ("maxillary sinus", "facial bone", "maxilla", "sinus mucosa")),
    "spine": (3, 0.02, 2.5, ("cervical vertebra", "vertebral cortex")),
    "cavernous": (4, 0.18, 1.4, ("cavernous sinus",)),
    "intracranial": (
        4,
        0.12,
        2.2,
        ("dura", "subarachnoid CSF", "pituitary", "sulcal CSF", "cortex", "white matter"),
    ),
    "orbit": (
        4,
        0.04,
        1.6,
        ("orbital fat", "extra-ocular muscle", "facial bone", "pterygopalatine fossa"),
    ),
    "infratemporal": (4, 0.03, 2.0, ("temporalis", "masseter", "buccal fat")),
}
_ALWAYS = {
    "nasopharyngeal mucosa": 0.8, "fossa of Rosenmueller": 0.8, "adenoid": 0.9,
    "torus tubarius": 1.0, "levator veli palatini": 1.2, "nasopharyngeal airway": 2.2,
    "deep neck and facial fat": 4.0, "benign node": 2.0,
}  # fmt: skip
_NEVER = (
    "background", "skin", "teeth", "carotid artery", "vertebral artery", "spinal cord",
    "spinal CSF", "brainstem", "vitreous", "lens", "tongue", "subcutaneous fat",
)  # fmt: skip
# Median volumes (ml) of T1..T4 derived in section F.
_MEDIAN_ML = (6.0, 14.0, 24.0, 50.0)


@dataclass(frozen=True)
class TumourSettings:
    """How tumours are drawn.

    Attributes:
        extent_weights: relative frequency of tumours confined to the nasopharynx (1), with
            parapharyngeal spread (2), with bone (3), with intracranial or orbital spread (4).
            The stage itself is read off the grown tumour, not from this draw.
        node_positive: probability of metastatic nodes.
        necrosis: probability of necrosis in a tumour of 20 ml or more.
        metastasis: probability of distant metastases.
    """

    extent_weights: tuple[float, float, float, float] = (0.18, 0.2, 0.4, 0.22)
    node_positive: float = 0.85
    necrosis: float = 0.25
    metastasis: float = 0.05


@dataclass(frozen=True)
class TumourParameters:
    """One tumour.

    Attributes:
        side: +1 left, -1 right.
        seed_mm: (x, y, z) of the origin in model coordinates.
        volume_ml: size aimed at.
        slowness: time per mm for every structure, by structure index.
        texture: noise that makes the front irregular.
        necrosis: share of the interior that is necrotic (0 = none).
    """

    side: int
    seed_mm: tuple[float, float, float]
    volume_ml: float
    slowness: Tensor
    texture: NoiseField
    necrosis: float


def draw_tumour(generator: torch.Generator, settings: TumourSettings) -> TumourParameters:
    """Origin, size and the pathways that one tumour takes."""

    def uniform() -> float:
        return float(torch.rand((), generator=generator, device=generator.device))

    def normal() -> float:
        return float(torch.randn((), generator=generator, device=generator.device))

    weights = settings.extent_weights
    level, left = 1, uniform() * sum(weights)
    for index, weight in enumerate(weights):
        level = index + 1
        left -= weight
        if left < 0:
            break
    volume = _MEDIAN_ML[level - 1] * math.exp(0.38 * max(-2.0, min(2.0, normal())))
    slowness = torch.full((256,), _BLOCKED)
    for name, value in _ALWAYS.items():
        slowness[structure_index(name)] = value
    for least, frequency, value, names in _GROUPS.values():
        reached = sum(weights[least - 1 :]) / sum(weights)
        chance = min(0.95, frequency / max(reached, 1e-6))
        drawn, spread = uniform(), normal()
        opened = level >= least and drawn < chance
        for name in names:
            slowness[structure_index(name)] = (
                value * math.exp(0.25 * spread) if opened else _BLOCKED
            )
    if level >= 2:
        slowness[structure_index("parapharyngeal fat")] = 1.4
    if level == 4:
        # The way into the skull leads through its base.
        for name in ("skull base marrow", "skull base cortex", "clivus", "clivus cortex"):
            slowness[structure_index(name)] = 1.4
    if level >= 3 and not any(
        slowness[structure_index(name)] < _BLOCKED
        for name in ("clivus", "skull base marrow", "pterygoid process", "petrous bone")
    ):
        slowness[structure_index("clivus")] = slowness[structure_index("clivus cortex")] = 1.6
    for name in _NEVER:
        slowness[structure_index(name)] = _CLOSED
    side = 1 if uniform() < 0.5 else -1
    seed = (side * (13.0 + 2.0 * uniform()), -9.0 + normal(), -47.0 + 2.0 * normal())
    necrotic = volume > 20.0 and uniform() < settings.necrosis
    texture = draw_noise(
        generator, 16.0, bandwidth=0.5, low_mm=(-70.0, -90.0, -110.0), high_mm=(70.0, 50.0, 20.0)
    )
    return TumourParameters(
        side, seed, volume, slowness, texture, 0.2 + 0.3 * uniform() if necrotic else 0.0
    )


def grow_tumour(canvas: Canvas, parameters: TumourParameters) -> dict[str, float]:
    """Paint the tumour; returns the volume (ml) it took from each structure."""
    region = canvas.region((-62.0, -84.0, -105.0), (62.0, 36.0, 6.0))
    if region is None:
        return {}
    strides = [max(1, round(2.0 / step)) for step in canvas.grid.spacing_mm]
    steps = [s * d for s, d in zip(strides, canvas.grid.spacing_mm, strict=True)]
    trimmed = tuple(
        slice(0, (size - 1) // stride * stride + 1)
        for size, stride in zip(region.structures.shape, strides, strict=True)
    )
    region = _crop(region, trimmed)
    coarse = tuple(slice(None, None, stride) for stride in strides)
    noise = parameters.texture.at(region.x[coarse], region.y[coarse], region.z[coarse])[0]
    slowness = parameters.slowness.to(canvas.device)[region.structures[coarse].int()]
    slowness = slowness * torch.exp(0.35 * noise)
    arrival = _arrival(region, coarse, slowness, steps, parameters)
    needed = parameters.volume_ml * 1000.0 / math.prod(steps)
    open_tissue = parameters.slowness[region.structures[coarse].int().cpu()] < _BLOCKED
    reached = arrival[open_tissue.to(canvas.device) & (arrival < 4.0 * _BLOCKED)]
    if reached.numel() == 0:
        return {}
    front = float(reached.sort().values[min(int(needed), reached.numel() - 1)])
    time = functional.interpolate(
        arrival.clamp_max(4.0 * front)[None, None],
        size=region.structures.shape,
        mode="trilinear",
        align_corners=True,
    )[0, 0]
    # The lattice is coarser than the voxels: keep the front out of what it does not invade.
    invasible = parameters.slowness.to(canvas.device) < _BLOCKED
    tumour = (time <= front) & invasible[region.structures.int()]
    counts = torch.bincount(region.structures[tumour].flatten().int(), minlength=256).tolist()
    invaded = {
        name: counts[index] * canvas.grid.voxel_ml
        for index, name in enumerate(STRUCTURE_NAMES)
        if counts[index]
    }
    region.paint(tumour, "NPC")
    if parameters.necrosis > 0:
        fine = parameters.texture.at(region.z * 1.7 + 30.0, region.x, region.y)[0]
        core = tumour & (time < 0.62 * front) & (fine > 1.4 - 2.0 * parameters.necrosis)
        region.paint(core, "NPC necrosis")
    return invaded


def _crop(region: Region, box: tuple[slice, ...]) -> Region:
    a, b, c = box
    return Region(
        region.x[a, b, c],
        region.y[a, b, c],
        region.z[a, b, c],
        region.structures[a, b, c],
        region.slices,
    )


def _arrival(
    region: Region,
    coarse: tuple[slice, ...],
    slowness: Tensor,
    steps: list[float],
    parameters: TumourParameters,
) -> Tensor:
    """Time of first arrival from the seed: shortest paths over 18 neighbours, by relaxation."""
    seed = parameters.seed_mm
    away = (
        (region.x[coarse] - seed[0]) ** 2
        + (region.y[coarse] - seed[1]) ** 2
        + (region.z[coarse] - seed[2]) ** 2
    )
    time = torch.where(away < 16.0, torch.sqrt(away) * 0.5, torch.full_like(away, _CLOSED))
    slowness = torch.where(away < 16.0, slowness.clamp_max(1.0), slowness)
    offsets = [
        (dz, dy, dx)
        for dz in (-1, 0, 1)
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
        if 1 <= abs(dz) + abs(dy) + abs(dx) <= 2
    ]
    needed = parameters.volume_ml * 1000.0 / math.prod(steps)
    # Enough sweeps for the longest detour of a tumour of this size.
    sweeps = int(24 + 2.2 * (needed ** (1.0 / 3.0)))
    for _ in range(sweeps):
        for offset in offsets:
            length = math.hypot(*(o * s for o, s in zip(offset, steps, strict=True)))
            here = tuple(_range(o) for o in offset)
            there = tuple(_range(-o) for o in offset)
            candidate = time[there] + length * slowness[here]
            time[here] = torch.minimum(time[here], candidate)
    return time


def _range(offset: int) -> slice:
    return slice(max(offset, 0), min(offset, 0) or None)
