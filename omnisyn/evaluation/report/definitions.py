"""What each figure means, in the words that stand beside it in every report."""

from __future__ import annotations

from dataclasses import dataclass

from omnisyn.evaluation.controls import BLIND, COPY, ORACLE, SHIFTED
from omnisyn.evaluation.metrics import FRAME, HEAD
from omnisyn.evaluation.results import MODEL

INTENDED_USE = (
    "For research only. Synthetic images are not acquired images: they must not be used for "
    "diagnosis or treatment, and no figure here says otherwise."
)

GAIN = "gain over LUT"
HEADLINES = ("ssim_head", "psnr_head")
"""The figures that stand first in every report, with a gain for each patient in the TSV."""


@dataclass(frozen=True)
class Metric:
    """A kind of figure.

    Attributes:
        title: as a table's head.
        definition: one sentence.
        decimals: digits shown.
        higher_is_better: the direction of quality.
    """

    title: str
    definition: str
    decimals: int
    higher_is_better: bool


METRICS = {
    "ssim": Metric(
        "SSIM",
        "mean of the structural similarity map (2D per axial slice, Gaussian window of 11 pixels, "
        "sigma 1.5, population covariance, data range 1), mean over slices",
        3,
        True,
    ),
    "psnr": Metric(
        "PSNR (dB)",
        "10·log10(1/MSE), the squared error pooled over the region of the whole volume",
        2,
        True,
    ),
    "mae": Metric("MAE", "mean absolute error, pooled like the squared error", 4, False),
    "nmse": Metric("NMSE", "squared error over the true image's energy", 4, False),
    "ms_ssim": Metric(
        "MS-SSIM",
        "multi-scale SSIM (five scales, fewer on frames below 176 pixels), mean over slices",
        3,
        True,
    ),
}

REGIONS = {
    HEAD: "in head: where one of the direction's true volumes is above 0.05, opened once and "
    "hole-filled per axial slice",
    FRAME: "full frame, with the background of both images set to zero",
    "tumour": "in the tumour mask",
    "lesions": "in the lesion mask",
}

METHODS = {
    MODEL: "what is being judged",
    COPY: "the source, unchanged",
    BLIND: "a 64-bin intensity curve of the direction, fitted on other patients: no anatomy",
    ORACLE: "the same curve fitted on this very truth: above it, anatomy was used",
    SHIFTED: "the true image moved by one pixel",
}

RULES = (
    "True volumes: foreground = voxels above 2 % of the volume's 99.9 percentile; divided by the "
    "foreground's 99.5 percentile and clipped to [0, 1]; per volume, never per slice.",
    "Predictions are clipped to [0, 1] and never rescaled: a wrong gain is an error.",
    "Axial slices with less than 5 % head, and slices whose truth is constant or empty, are left "
    "out and counted.",
    "The unit is the patient: mean ± SD over patients, 95 % bootstrap interval over patients in "
    "brackets. A mean over sites weighs every site alike; its ± is over sites.",
    "Gain over LUT = model minus blind LUT, patient by patient. A model earns its size above the "
    "blind LUT only; above the oracle LUT it demonstrably uses anatomy.",
)


def metric_of(key: str) -> tuple[Metric, str]:
    """The metric and the region of a figure's name: `ssim_head` → (SSIM, "head")."""
    name = next(
        name for name in sorted(METRICS, key=len, reverse=True) if key.startswith(f"{name}_")
    )
    return METRICS[name], key[len(name) + 1 :]


def title_of(key: str) -> str:
    """A figure's name for a table's head: `psnr_frame` → "PSNR (dB), full frame"."""
    metric, region = metric_of(key)
    words = {HEAD: "in head", FRAME: "full frame"}.get(region, f"in {region}")
    return f"{metric.title}, {words}"
