"""Whether a model may be said to work on real heads: the points, and what speaks against each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.real.heads import PAIRED, SINGLE
from benchmarks.real.measure import OTHER, TRAINING
from omnisyn.evaluation.controls import COPY
from omnisyn.evaluation.results import Row

LEAST_GAIN = 0.03
LEAST_PSNR = 16.5
ALLOWED_LOSS = 0.01
SSIM, PSNR = "ssim_head", "psnr_head"

_SINGLE = {direction.name for direction in SINGLE}


@dataclass(frozen=True)
class Goal:
    """One point: what is asked, whether it holds (None: it cannot be told), and the evidence."""

    asked: str
    holds: bool | None
    evidence: str


def mean_over_single(rows: Sequence[Row], method: str, figure: str) -> float:
    """The mean over the directions with one source and all patients; NaN without any."""
    found = [
        row.values[figure] for row in rows if row.method == method and row.direction in _SINGLE
    ]
    return float(np.mean(found)) if found else float("nan")


def check_goals(rows: Sequence[Row], model: str) -> list[Goal]:
    """The points for one model at one site."""
    return [
        _beats(rows, model, COPY),
        _beats(rows, model, TRAINING),
        _mean_gain(rows, model),
        _mean_psnr(rows, model),
        *_two_sources(rows, model),
    ]


def _beats(rows: Sequence[Row], model: str, control: str) -> Goal:
    asked = f"every direction of every patient beats the {control} in SSIM and PSNR"
    table = {(row.patient, row.direction, row.method): row.values for row in rows}
    losses, compared = [], 0
    for patient, direction, method in table:
        other = table.get((patient, direction, control))
        if method != model or direction not in _SINGLE or other is None:
            continue
        compared += 1
        mine = table[patient, direction, method]
        lost = [
            f"{title} {mine[figure] - other[figure]:+.{digits}f}"
            for figure, title, digits in ((SSIM, "SSIM", 3), (PSNR, "PSNR", 2))
            if not mine[figure] > other[figure]
        ]
        if lost:
            losses.append(f"{patient} {direction} ({', '.join(lost)})")
    if not compared:
        return Goal(asked, None, "no such control")
    evidence = f"{compared - len(losses)} of {compared}"
    return Goal(asked, not losses, "; ".join([evidence, *losses]))


def _mean_gain(rows: Sequence[Row], model: str) -> Goal:
    mine, other = (mean_over_single(rows, name, SSIM) for name in (model, OTHER))
    return _goal(
        f"mean SSIM in head at least the {OTHER} + {LEAST_GAIN}",
        mine - other,
        lambda gain: gain >= LEAST_GAIN,
        f"{mine:.3f} against {other:.3f}: {mine - other:+.3f}",
    )


def _mean_psnr(rows: Sequence[Row], model: str) -> Goal:
    mine = mean_over_single(rows, model, PSNR)
    asked = f"mean PSNR in head at least {LEAST_PSNR} dB"
    return _goal(asked, mine, lambda value: value >= LEAST_PSNR, f"{mine:.2f} dB")


def _two_sources(rows: Sequence[Row], model: str) -> list[Goal]:
    """Two sources beside the better of the two alone, patient by patient."""
    table = {(row.patient, row.direction): row.values[SSIM] for row in rows if row.method == model}
    gains = {}
    for patient, name in table:
        for direction in PAIRED:
            if direction.name != name:
                continue
            singles = [
                table[patient, single.name]
                for single in SINGLE
                if single.sources[0] in direction.sources and single.target == direction.target
            ]
            gains[f"{patient} {name}"] = table[patient, name] - max(singles)
    values = np.array(list(gains.values()))
    least = float(values.min()) if values.size else float("nan")
    mean = float(values.mean()) if values.size else float("nan")
    losses = "; ".join(f"{case} {gain:+.3f}" for case, gain in gains.items() if gain < 0)
    return [
        _goal(
            f"two sources nowhere more than {ALLOWED_LOSS} SSIM below the better one alone",
            least,
            lambda value: value >= -ALLOWED_LOSS,
            losses or f"least {least:+.3f}",
        ),
        _goal(
            "two sources above the better one alone in the mean",
            mean,
            lambda value: value > 0,
            f"{mean:+.3f} SSIM",
        ),
    ]


def _goal(asked: str, value: float, test: Callable[[float], bool], evidence: str) -> Goal:
    if not np.isfinite(value):
        return Goal(asked, None, "not measured")
    return Goal(asked, test(value), evidence)
