"""Disease and change painted into a label map: lesions, tumours along anatomy, oedema, cavities.

Every function paints into ``classes`` (uint8, see ``maps.LabelMap``) and takes its random numbers
from ``random``. Frequencies and sizes are estimates, wide on purpose: a model must leave alone
whatever it meets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from omnisyn.simulate.label_maps.maps import (
    BONE,
    SOFT,
    UNNAMED,
    VENTRICLE,
    Box,
    LabelMap,
    box_around,
)
from omnisyn.simulate.tissues import AIR, tissue_index

Classes = NDArray[np.uint8]

_LESIONS, _VENTRICLES, _BRAIN_TUMOUR, _CAVITY, _NPC, _PLEXUS = 0.45, 0.35, 0.12, 0.04, 0.35, 0.8
_WHITE = ("white_matter", "cerebellar_WM")
# How slowly disease grows through a tissue (steps a voxel); what is not listed is a barrier.
_GLIOMA = {
    "white_matter": 1.0,
    "cerebellar_WM": 1.0,
    "grey_matter": 2.2,
    "thalamus": 1.6,
    "caudate": 1.6,
    "putamen": 1.6,
    "pallidum": 1.6,
    "brainstem": 2.0,
    "cerebellar_GM": 2.2,
}
_OEDEMA = {"white_matter": 1.0, "cerebellar_WM": 1.0, "grey_matter": 6.0}


def paint_disease(
    found: LabelMap, classes: Classes, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Paint what this head has, by chance. Returns the bool mask of its tumours."""
    tumour = np.zeros(classes.shape, dtype=bool)
    chances = random.random(6)
    if chances[0] < _VENTRICLES:
        enlarge_ventricles(found, classes, int(random.integers(1, 6)))
    if chances[1] < _PLEXUS:
        hang_choroid_plexus(found, classes, random)
    if chances[2] < _LESIONS:
        scatter_lesions(found, classes, int(np.exp(random.uniform(0.0, 4.0))), random)
    if chances[3] < _BRAIN_TUMOUR:
        tumour |= grow_brain_tumour(found, classes, random)
    if chances[4] < _CAVITY:
        cut_cavity(found, classes, random)
    if chances[5] < _NPC:
        tumour |= grow_nasopharyngeal_tumour(found, classes, random)
    return tumour


def enlarge_ventricles(found: LabelMap, classes: Classes, voxels: int) -> None:
    """Ventricles eat so many voxels of the brain around them."""
    if not found.ventricles.any():
        return
    box = box_around(found.ventricles, voxels + 1)
    grown = ndimage.binary_dilation(found.ventricles[box], iterations=voxels)
    classes[box][grown & _is(classes[box], (*_GLIOMA,))] = VENTRICLE


def hang_choroid_plexus(found: LabelMap, classes: Classes, random: np.random.Generator) -> None:
    """Strands of plexus in a few places of the ventricles."""
    places = np.argwhere(found.ventricles)
    if len(places) == 0:
        return
    for _ in range(int(random.integers(2, 7))):
        box, shape = _blob(found, places[random.integers(len(places))], random, (2.0, 6.0))
        inside = shape & found.ventricles[box]
        classes[box][inside] = tissue_index("choroid_plexus")


def scatter_lesions(
    found: LabelMap, classes: Classes, count: int, random: np.random.Generator
) -> None:
    """White-matter lesions: half of them beside the ventricles, some with a rim that enhances."""
    white = _is(classes, _WHITE)
    anywhere = np.argwhere(white)
    if len(anywhere) == 0:
        return
    near = anywhere
    if found.ventricles.any():
        box = box_around(found.ventricles, 9)
        around = np.zeros(classes.shape, dtype=bool)
        around[box] = ndimage.binary_dilation(found.ventricles[box], iterations=7)
        beside = np.argwhere(white & around)
        near = beside if len(beside) else anywhere
    for _ in range(count):
        places = near if random.random() < 0.5 else anywhere
        box, shape = _blob(found, places[random.integers(len(places))], random, (1.2, 8.0))
        inside = shape & _is(classes[box], _WHITE)
        kind = random.random()
        name = "MS_lesion" if kind < 0.7 else "oedema_brain"
        classes[box][inside] = tissue_index(name)
        if kind > 0.93:
            rim = inside & ~ndimage.binary_erosion(inside)
            classes[box][rim] = tissue_index("metastasis_brain")


def grow_brain_tumour(
    found: LabelMap, classes: Classes, random: np.random.Generator
) -> NDArray[np.bool_]:
    """A glioma or metastasis: an enhancing rim, a core that may be necrotic, oedema about it."""
    mask = np.zeros(classes.shape, dtype=bool)
    places = np.argwhere(_is(classes, ("white_matter", "grey_matter")))
    if len(places) == 0:
        return mask
    seed = places[random.integers(len(places))]
    radius = random.uniform(3.0, 18.0) / min(found.spacing_mm)
    box = _around(classes.shape, seed, int(radius * 2.2) + 3)
    local = classes[box]
    start = tuple(int(s - b.start) for s, b in zip(seed, box, strict=True))
    before = local.copy()
    time = arrival(_costs(before, _GLIOMA, random), start, radius)
    inside = time < radius
    oedema = arrival(_costs(before, _OEDEMA, random), start, radius * random.uniform(1.0, 2.2))
    local[(oedema < np.inf) & ~inside] = tissue_index("oedema_brain")
    local[inside] = tissue_index(str(random.choice(("glioma_enhancing", "metastasis_brain"))))
    core = inside & (time < radius * random.uniform(0.0, 0.8))
    local[core] = tissue_index(str(random.choice(("glioma_necrosis", "oedema_brain"))))
    mask[box] = inside
    return mask


def cut_cavity(found: LabelMap, classes: Classes, random: np.random.Generator) -> None:
    """A surgical cavity: brain replaced by fluid."""
    places = np.argwhere(_is(classes, ("grey_matter",)))
    if len(places) == 0:
        return
    box, shape = _blob(found, places[random.integers(len(places))], random, (8.0, 22.0))
    classes[box][shape & _is(classes[box], tuple(_GLIOMA))] = tissue_index("CSF")


def grow_nasopharyngeal_tumour(
    found: LabelMap, classes: Classes, random: np.random.Generator
) -> NDArray[np.bool_]:
    """A tumour from the wall of the nasopharynx, fast along soft tissue and slow into bone."""
    mask = np.zeros(classes.shape, dtype=bool)
    spacing = np.array(found.spacing_mm)
    # The nasopharynx lies 30 to 60 mm below the commissure and 0 to 35 mm in front of it.
    low = np.array(found.origin) + np.array([-60.0, -35.0, -18.0]) / spacing
    high = np.array(found.origin) + np.array([-30.0, 0.0, 18.0]) / spacing
    limits = [slice(max(0, int(a)), max(0, int(b))) for a, b in zip(low, high, strict=True)]
    region = classes[limits[0], limits[1], limits[2]]
    if region.size == 0:
        return mask
    # Air that counts as deep in the head is a cavity.
    cavity = (region == tissue_index(AIR)) & (found.depth[limits[0], limits[1], limits[2]] > 0)
    wall = ndimage.binary_dilation(cavity, iterations=2) & (region == SOFT)
    places = np.argwhere(wall)
    if len(places) == 0:
        return mask
    seed = places[random.integers(len(places))] + [limit.start for limit in limits]
    radius = random.uniform(6.0, 20.0) / min(found.spacing_mm)
    box = _around(classes.shape, seed, int(radius * 1.5) + 3)
    local = classes[box]
    costs = _costs(local, {}, random)
    bone = 1.5 if random.random() < 0.45 else 8.0
    for code, cost in ((SOFT, 1.0), (BONE, bone), *((code, 1.2) for code in range(UNNAMED, 256))):
        costs[local == code] = cost
    costs *= np.exp(0.4 * _smooth_noise(costs.shape, 4.0, random))
    start = tuple(int(s - b.start) for s, b in zip(seed, box, strict=True))
    time = arrival(costs, start, radius)
    inside = time < radius
    local[inside] = tissue_index("NPC")
    if random.random() < 0.25:
        local[inside & (time < 0.35 * radius)] = tissue_index("NPC_necrosis")
    mask[box] = inside
    return mask


def arrival(costs: NDArray[np.float32], start: tuple[int, ...], most: float) -> NDArray[np.float32]:
    """When growth from ``start`` reaches each voxel, infinity after ``most``.

    A step aslant takes one and a half of the time: growth in tissue of one kind is nearly round.

    Args:
        costs: time to cross a voxel; infinity bars the way.
    """
    time = np.full(costs.shape, np.inf, dtype=np.float32)
    time[start] = 0.0
    cross = ndimage.generate_binary_structure(3, 1)
    for _ in range(int(most) + 1):
        straight = ndimage.grey_erosion(time, footprint=cross, mode="constant", cval=np.inf)
        aslant = ndimage.minimum_filter(time, 3, mode="constant", cval=np.inf)
        time = np.minimum(time, np.minimum(straight + costs, aslant + 1.5 * costs))
    time[time > most] = np.inf
    return time


def _costs(
    classes: Classes, speeds: dict[str, float], random: np.random.Generator
) -> NDArray[np.float32]:
    table = np.full(256, np.inf, dtype=np.float32)
    for name, cost in speeds.items():
        table[tissue_index(name)] = cost
    noise = np.exp(0.4 * _smooth_noise(classes.shape, 4.0, random))
    return (table[classes] * noise).astype(np.float32)


def _blob(
    found: LabelMap,
    place: NDArray[np.int_],
    random: np.random.Generator,
    radii_mm: tuple[float, float],
) -> tuple[Box, NDArray[np.bool_]]:
    """An uneven ellipsoid at a place: the box around it, and its voxels in the box."""
    radius = float(np.exp(random.uniform(*np.log(radii_mm))))
    axes = radius * np.exp(random.normal(0.0, 0.3, 3)) / np.array(found.spacing_mm)
    box = _around(found.classes.shape, place, int(axes.max()) + 2)
    ticks = np.ogrid[box]
    distance = sum(
        ((tick - centre) / axis) ** 2 for tick, centre, axis in zip(ticks, place, axes, strict=True)
    )
    noise = _smooth_noise(tuple(b.stop - b.start for b in box), 2.0, random)
    return box, distance * np.exp(0.5 * noise) < 1.0


def _smooth_noise(
    shape: tuple[int, ...], sigma: float, random: np.random.Generator
) -> NDArray[np.float64]:
    noise = ndimage.gaussian_filter(random.standard_normal(shape), sigma)
    result: NDArray[np.float64] = noise / max(float(noise.std()), 1e-9)
    return result


def _is(classes: Classes, names: tuple[str, ...]) -> NDArray[np.bool_]:
    wanted = np.zeros(256, dtype=bool)
    wanted[[tissue_index(name) for name in names]] = True
    result: NDArray[np.bool_] = wanted[classes]
    return result


def _around(shape: tuple[int, ...], place: NDArray[np.int_], reach: int) -> Box:
    ends = [
        slice(max(0, int(at) - reach), min(size, int(at) + reach + 1))
        for at, size in zip(place, shape, strict=True)
    ]
    return ends[0], ends[1], ends[2]
