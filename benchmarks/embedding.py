"""What the contrastive stage did: how alike the encoder finds a patient's images, before and after.

Every image, a slice in one contrast, is pooled as in the stage's own objective (the mean of the
deepest map over the whole slice) and held against all others by the cosine. Before: the untrained
encoder of the run's recipe and seed. With `--data` a folder of patients whose contrasts lie on one
grid, else the first external site of the embedded simulation: patients that were not trained on.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from benchmarks.patients import ScaledPatient, scaled_patients
from benchmarks.table import Row, print_table
from omnisyn.contrasts import NAMES
from omnisyn.inference.regions import framed, region_means
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.slices import evenly_thinned
from omnisyn.training.artefacts import load_encoder
from omnisyn.training.objectives import retrieval_accuracy
from omnisyn.training.run import RunFolder
from omnisyn.volumes.normalize import head_mask, head_slices

CONTRASTS = ("T1", "T1c", "T2")
_PATIENTS, _SLICES = 5, 12
_DOTS_PER_INCH = 110


@dataclass(frozen=True)
class Images:
    """Some slices of a patient in every contrast, ordered by slice.

    Attributes:
        images: [slices x contrasts, 1, rows, columns] in [0, 1].
        heads: the same shape, 1 in the head.
        slices: [slices x contrasts], which slice each shows.
    """

    images: Tensor
    heads: Tensor
    slices: Tensor


@dataclass(frozen=True)
class Seen:
    """What an encoder makes of a patient's images: their cosines, and figures by name."""

    cosines: Tensor
    figures: Mapping[str, float]


def main(arguments: Sequence[str]) -> None:
    """Write the figure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks embedding", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="finished pretrain run")
    parser.add_argument("--out", type=Path, required=True, help="the figure, a PNG file")
    parser.add_argument("--data", type=Path, help="folder of patients with T1, T1c and T2")
    chosen = parser.parse_args(arguments)
    whole = (each for each in scaled_patients(chosen.data) if each.slices.keys() >= {*CONTRASTS})
    patients = [images_of(each) for each in islice(whole, _PATIENTS)]
    whose = "SIMULATED patients" if chosen.data is None else f"patients of {chosen.data.name}"
    seen = {
        when: [seen_by(generator, patient) for patient in patients]
        for when, generator in before_and_after(chosen.run).items()
    }
    chosen.out.write_bytes(figure(seen, whose))
    print_table(f"How alike an encoder finds images, {whose} not trained on", rows(seen))


def before_and_after(run: Path) -> dict[str, Generator]:
    """The untrained encoder of a run's recipe and seed, and what the run made of it."""
    folder = RunFolder(run)
    config = folder.config()
    return {
        "before": build_generator(config.recipe.model, seed=config.seed).eval(),
        f"after {folder.record()['step']} steps": load_encoder(folder.final).generator,
    }


def images_of(patient: ScaledPatient) -> Images:
    """Slices evenly over a patient's head, in each of the contrasts."""
    stack = np.stack([patient.slices[name] for name in CONTRASTS], axis=1)
    head = head_mask(list(stack.swapaxes(0, 1)))
    places = evenly_thinned(head_slices(head).tolist(), _SLICES)
    images = torch.from_numpy(stack[places]).flatten(0, 1)[:, None]
    heads = torch.from_numpy(head[places].astype(np.float32)).repeat_interleave(len(CONTRASTS), 0)
    slices = torch.arange(len(places)).repeat_interleave(len(CONTRASTS))
    return Images(images, heads[:, None], slices)


@torch.inference_mode()
def seen_by(generator: Generator, patient: Images) -> Seen:
    """What an encoder makes of a patient's images."""
    images, heads = framed(generator.stride, patient.images, patient.heads)
    whole, head = [], []
    for part, regions in zip(
        images.split(len(CONTRASTS)), heads.split(len(CONTRASTS)), strict=True
    ):
        shown = torch.tensor([NAMES.index(name) for name in CONTRASTS])
        deepest = generator.encode(part, shown)[-1]
        whole.append(deepest.mean(dim=(2, 3)))
        head.append(region_means(deepest, regions)[:, 0])
    unit = functional.normalize(torch.cat(whole), dim=1)
    cosines = unit @ unit.T
    same = patient.slices[:, None] == patient.slices[None, :]
    others = ~torch.eye(len(same), dtype=torch.bool)
    return Seen(
        cosines,
        {
            "T1 and T2 of a slice find each other": _across(cosines),
            "nearest image shows the same slice": _retrieval(torch.cat(whole), patient),
            "the same, pooled over the head": _retrieval(torch.cat(head), patient),
            "cosine, same slice": float(cosines[same & others].mean()),
            "cosine, other slices": float(cosines[~same].mean()),
        },
    )


def _across(cosines: Tensor) -> float:
    """How often, among all T2, that of the same slice is nearest to a T1, and the other way."""
    t1, t2 = (slice(CONTRASTS.index(name), None, len(CONTRASTS)) for name in ("T1", "T2"))
    own = torch.arange(len(cosines) // len(CONTRASTS))
    return float(
        torch.cat([cosines[a, b].argmax(dim=1) == own for a, b in ((t1, t2), (t2, t1))])
        .float()
        .mean()
    )


def _retrieval(vectors: Tensor, patient: Images) -> float:
    return float(retrieval_accuracy(vectors[:, :, None, None], patient.slices))


def rows(seen: Mapping[str, Sequence[Seen]]) -> list[Row]:
    """Mean of each figure over the patients, before and after."""
    return [
        Row(
            f"{when}: {name}",
            float(np.mean(values)),
            "",
            f"{len(values)} patients, {min(values):.4f} to {max(values):.4f}",
        )
        for when, patients in seen.items()
        for name in patients[0].figures
        for values in [[patient.figures[name] for patient in patients]]
    ]


def figure(seen: Mapping[str, Sequence[Seen]], whose: str) -> bytes:
    """Cosines of the first patient's images before and after, as the bytes of a PNG file.

    Each matrix has a scale of its own: an untrained encoder finds all images nearly the same.
    """
    canvas = Figure(figsize=(9.6, 5.0), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(canvas)
    for panel, (when, patients) in zip(canvas.subplots(1, 2), seen.items(), strict=True):
        across, _, _, same, other = (
            float(np.mean([patient.figures[name] for patient in patients]))
            for name in patients[0].figures
        )
        shown = panel.imshow(patients[0].cosines.numpy(), cmap="viridis", vmax=1)
        canvas.colorbar(shown, ax=panel, shrink=0.75, format="%.4f").ax.tick_params(labelsize=7)
        panel.set_title(
            f"{when}: T1 and T2 of a slice find each other in {across:.0%}\n"
            f"mean cosine {same:.4f} in the same slice, {other:.4f} in others",
            fontsize=8.5,
        )
        count = len(patients[0].cosines) // len(CONTRASTS)
        middles = len(CONTRASTS) * np.arange(count) + (len(CONTRASTS) - 1) / 2
        panel.set_xticks(middles, range(1, count + 1), fontsize=7)
        panel.set_yticks(middles, range(1, count + 1), fontsize=7)
        panel.set_xlabel(f"slice, each in {', '.join(CONTRASTS)}", fontsize=8)
    canvas.suptitle(
        f"{whose}, not trained on: cosines of one, figures of {len(patients)}", fontsize=9
    )
    stream = io.BytesIO()
    canvas.savefig(stream, format="png", metadata={"Software": "omnisyn"})
    return stream.getvalue()
