"""Every direction of a validation patient, by the patient and in the head.

A quick form of the evaluation's rule, to choose a checkpoint by and to watch a run with; the
figures of record are those of `omnisyn evaluate`.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from omnisyn.contrasts import NAMES, direction_name
from omnisyn.models.generator import Generator
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.objectives import head_mask, ssim_map
from omnisyn.training.prompts import prompt_labels
from omnisyn.training.stage import Row, Validation, mean

Conditions = Callable[[Tensor], Tensor]
"""Places [n] of images in a batch to the text vectors [n, d] that they are asked for by."""

_SLICES_AT_ONCE = 4
_BEST_PSNR = 100.0


def direction_rows(
    generator: Generator, slices: SliceBatch, conditions: Conditions | None = None
) -> list[Row]:
    """SSIM and PSNR in the head of every ordered pair of the patient's contrasts.

    Each source is encoded once for all its targets. SSIM: mean of the map over the mask, then
    over the slices; PSNR in dB: squared error pooled over the mask of all slices.

    Args:
        generator: on the device of `slices`.
        slices: one patient.
        conditions: how targets are asked for; None = by their names.
    """

    def by_name(places: Tensor) -> Tensor:
        return generator.target_vectors[prompt_labels(slices, places)]

    asked = conditions or by_name
    present = slices.present.all(dim=0).nonzero().squeeze(1).tolist()
    pairs = [(source, target) for source in present for target in present if source != target]
    similarity: dict[tuple[int, int], list[Tensor]] = {pair: [] for pair in pairs}
    error: dict[tuple[int, int], list[Tensor]] = {pair: [] for pair in pairs}
    pixels = []
    for start in range(0, len(slices), _SLICES_AT_ONCE):
        part = slice(start, start + _SLICES_AT_ONCE)
        images, flags = slices.images[part], slices.present[part]
        mask = head_mask(images, flags).float()
        count = mask.sum(dim=(1, 2, 3))
        pixels.append(count)
        shown = torch.cat([images[:, contrast][:, None] for contrast in present])
        maps = generator.encode(
            shown, torch.tensor(present, device=shown.device).repeat_interleave(len(images))
        )
        here = torch.ones(len(images), 1, dtype=torch.bool, device=images.device)
        for number, source in enumerate(present):
            mine = slice(number * len(images), (number + 1) * len(images))
            features = generator.fuse([level[mine][:, None] for level in maps], here)
            for target in present:
                if target == source:
                    continue
                places = torch.arange(start, start + len(images), device=images.device)
                condition = asked(places * len(NAMES) + target)
                prediction = generator.decode(features, condition).float().clamp(0, 1)
                truth = images[:, target][:, None]
                each = (ssim_map(prediction, truth) * mask).sum(dim=(1, 2, 3)) / count.clamp(min=1)
                similarity[source, target].append(each[count > 0])
                squared = ((prediction - truth) ** 2 * mask).sum(dim=(1, 2, 3))
                error[source, target].append(squared)
    total = float(torch.cat(pixels).sum()) if pixels else 0.0
    if total == 0:
        return []
    return [
        {
            "patient": slices.patients[0],
            "direction": direction_name([NAMES[source]], NAMES[target]),
            "ssim": float(torch.cat(similarity[source, target]).mean()),
            "psnr": _psnr(float(torch.cat(error[source, target]).sum()) / total),
        }
        for source, target in pairs
    ]


def summarize_directions(rows: Sequence[Row]) -> Validation:
    """Mean over the patients of each direction, then over the directions; the score is the SSIM."""
    names = sorted({str(row["direction"]) for row in rows})
    figures: dict[str, float] = {}
    by_direction: dict[str, float] = {}
    for key in ("ssim", "psnr"):
        means = {
            name: mean([float(row[key]) for row in rows if row["direction"] == name])
            for name in names
        }
        figures[key] = mean(list(means.values()))
        by_direction |= {f"{key}_{name}": value for name, value in means.items()}
    lines = [f"{'direction':<14}{'SSIM':>8}{'PSNR':>8}"]
    lines += [
        f"{name:<14}{by_direction[f'ssim_{name}']:>8.3f}{by_direction[f'psnr_{name}']:>8.2f}"
        for name in names
    ]
    return Validation(figures["ssim"], figures, "\n".join(lines))


def _psnr(mean_squared_error: float) -> float:
    """PSNR in dB for a data range of 1, at most 100 so that a mean stays a number."""
    if mean_squared_error <= 0:
        return _BEST_PSNR
    return min(_BEST_PSNR, -10 * math.log10(mean_squared_error))
