"""`python -m benchmarks realism`: how bright tissues are, in real brains and in simulated ones.

Nobody has drawn the tissues of the real brains. In both kinds they are told apart alike: three
clusters of the voxels of a brain by its contrasts together, named by T2 and T1 (fluid is the
brightest in T2, white matter the brightest of the rest in T1). What is compared is the mean of each
cluster in the scaled image, and its spread: the figures that a model must guess. Beside them stand
how far a brain's histogram lies from that of the (other) real brains together, and how strong the
detail is where tissue is flat, and how much of it T1 shares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from scipy.stats import wasserstein_distance

from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.label_maps import open_label_maps
from omnisyn.simulate.patient import simulate_patient
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.site import DataRoot
from omnisyn.volumes.normalize import head_mask, scale

CONTRASTS = ("T1", "T2", "FLAIR")
TISSUES = ("fluid", "grey", "white")
_VOXELS = 40_000
_DETAIL_PIXELS = 2.0
_RIM_PIXELS = 6
_SEED = 0

Images = Mapping[str, NDArray[np.float32]]


def main(arguments: Sequence[str]) -> None:
    """Print the table of both kinds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks realism", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data root with a brain-only site")
    parser.add_argument("--site", required=True, help="the brain-only site with T1, T2 and FLAIR")
    parser.add_argument("--label-maps", type=Path, action="append", required=True)
    parser.add_argument("--heads", type=int, default=20, help="simulated heads")
    chosen = parser.parse_args(arguments)
    real, brains = _described(_real(chosen.data, chosen.site))
    simulated, made = _described(_simulated(chosen.label_maps, chosen.heads))
    for group, voxels_of in ((real, brains), (simulated, made)):
        for found, voxels in zip(group, voxels_of, strict=True):
            others = [other for other in brains if other is not voxels] or brains
            for contrast, distance in histogram_distances(voxels, others).items():
                found[contrast]["histogram, distance"] = distance
    print(f"{len(real)} real brains of {chosen.site}, {len(simulated)} SIMULATED ones\n")
    print("| contrast | figure | real: mean (lowest to highest) | SIMULATED |\n|---|---|---|---|")
    for contrast in CONTRASTS:
        for name in real[0][contrast]:
            cells = [_cell([each[contrast][name] for each in group]) for group in (real, simulated)]
            print(f"| {contrast} | {name} | {cells[0]} | {cells[1]} |")


def _described(
    heads: Iterator[Images],
) -> tuple[list[dict[str, dict[str, float]]], list[NDArray[np.float64]]]:
    found, voxels_of = [], []
    for images in heads:
        voxels_of.append(brain_voxels(images))
        tissues, detail = figures(voxels_of[-1]), flat_detail(images)
        found.append({name: {**tissues[name], **detail[name]} for name in CONTRASTS})
    return found, voxels_of


def brain_voxels(images: Images) -> NDArray[np.float64]:
    """The upper half of a brain, thinned, by T1, T2 and FLAIR: (voxels, 3).

    Args:
        images: T1, T2 and FLAIR of one brain, (slices, rows, columns) in [0, 1].
    """
    inside = head_mask(list(images.values()))
    # Below the middle a mask of the brain may hold muscle, which no cluster is named for.
    shown = np.flatnonzero(inside.any(axis=(1, 2)))
    inside[: int(shown.mean())] = False
    voxels = np.stack([images[name][inside] for name in CONTRASTS], axis=1).astype(np.float64)
    return voxels[:: max(1, len(voxels) // _VOXELS)]


def figures(voxels: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """By contrast: mean of each tissue, spread inside white matter, grey over white."""
    parts = clusters(voxels)
    found: dict[str, dict[str, float]] = {}
    for column, contrast in enumerate(CONTRASTS):
        values = {tissue: voxels[parts == place, column] for place, tissue in enumerate(TISSUES)}
        means = {tissue: float(np.mean(part)) for tissue, part in values.items()}
        found[contrast] = {
            **means,
            "grey : white": means["grey"] / means["white"],
            "spread in white": float(np.std(values["white"])),
        }
    return found


def flat_detail(images: Images) -> dict[str, dict[str, float]]:
    """By contrast, what a blur takes away where tissue is flat: its spread, and T1's share in it.

    Flat is the quarter of the brain, away from its rim, whose neighbourhood varies least in all
    contrasts together.
    """
    inside = head_mask(list(images.values()))
    core = ndimage.binary_erosion(inside, np.ones((1, 3, 3), dtype=bool), _RIM_PIXELS)
    variation = np.sum([_variation(image) for image in images.values()], axis=0)
    flat = core & (variation < np.quantile(variation[core], 0.25))
    detail = {name: (image - _blurred(image, 1))[flat] for name, image in images.items()}
    found = {name: {"detail": float(values.std())} for name, values in detail.items()}
    for name in found.keys() - {"T1"}:
        shared = np.corrcoef(detail[name], detail["T1"])[0, 1]
        found[name]["detail, correlation with T1"] = float(shared)
    return found


def _variation(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """The standard deviation in a neighbourhood twice as wide as detail is."""
    variance = _blurred(image.astype(np.float64) ** 2, 2) - _blurred(image, 2) ** 2
    return np.sqrt(np.maximum(variance, 0))


def _blurred(image: NDArray[np.floating], times: int) -> NDArray[np.float64]:
    width = times * _DETAIL_PIXELS
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(
        image, (0, width, width), output=np.float64
    )
    return blurred


def histogram_distances(
    voxels: NDArray[np.float64], others: Sequence[NDArray[np.float64]]
) -> dict[str, float]:
    """By contrast, how far grey values must move on average until the histogram is the others'."""
    together = np.concatenate(others)
    return {
        contrast: float(wasserstein_distance(voxels[:, column], together[:, column]))
        for column, contrast in enumerate(CONTRASTS)
    }


def clusters(voxels: NDArray[np.float64]) -> NDArray[np.int_]:
    """Which of TISSUES each voxel is, from its T1, T2 and FLAIR ``[n, 3]``."""
    spread = voxels / voxels.std(axis=0)
    centres, parts = kmeans2(spread, 3, seed=np.random.default_rng(_SEED), minit="++", iter=50)
    fluid = int(np.argmax(centres[:, 1]))
    grey, white = sorted({0, 1, 2} - {fluid}, key=lambda part: float(centres[part, 0]))
    places = np.zeros(3, dtype=int)
    places[[fluid, grey, white]] = (0, 1, 2)
    named: NDArray[np.int_] = places[parts]
    return named


def _real(root: Path, site: str) -> Iterator[Images]:
    for patient in DataRoot(root).site(site).patients():
        study = patient.study(CONTRASTS)
        yield {name: study.scaled(name) for name in CONTRASTS}


def _simulated(folders: Sequence[Path], count: int) -> Iterator[Images]:
    profile = load_cohort("anywhere").profiles["anywhere-brain"]
    profile = profile.model_copy(update={"brain_extracted": 1.0, "centre_mm": (5.0, 20.0)})
    anatomy = open_label_maps(folders)
    for number in range(count):
        generator: torch.Generator = generator_at(_SEED, number)
        patient = simulate_patient(profile, generator, anatomy=anatomy, contrasts=CONTRASTS)
        yield {name: scale(patient.images[name].numpy()) for name in CONTRASTS}


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
