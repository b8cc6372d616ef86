"""The picture of one simulated patient's contrasts, titled SIMULATED.

python -m omnisyn.simulate.contrast_sheet docs/images/contrasts.png
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from omnisyn.contrasts import NAMES
from omnisyn.simulate.cohort import load_cohort, patient_generator
from omnisyn.simulate.patient import SimulatedPatient, simulate_patient
from omnisyn.volumes.normalize import scale

_PROFILE, _SITE, _NUMBER = "hospital08", "sim-docs", 4


def draw_contrast_sheet(patient: SimulatedPatient, path: Path, slices: Sequence[int]) -> None:
    """Write a PNG: a column per contrast, a row per slice index, anterior up, patient's right left.

    The tumour's outline is drawn on the first column's slices.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in NAMES if name in patient.images]
    figure = Figure(figsize=(2.0 * len(names), 2.05 * len(slices) + 0.55), facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(slices), len(names), squeeze=False)
    for column, name in enumerate(names):
        scaled = scale(patient.images[name].cpu().numpy())
        for row, index in enumerate(slices):
            panel = axes[row][column]
            panel.imshow(scaled[index], cmap="gray", vmin=0.0, vmax=1.0, interpolation="bilinear")
            panel.set_axis_off()
            tumour = patient.tumour[index].cpu().numpy()
            if column == 0 and tumour.any():
                panel.contour(tumour, levels=[0.5], colors="orange", linewidths=0.8)
            if row == 0:
                suppressed = patient.acquisitions[name].fat_suppressed
                panel.set_title(f"{name} FS" if suppressed else name, color="white", fontsize=11)
    stage = patient.stage
    staged = "" if stage is None else f" ({stage.T} {stage.N} {stage.M})"
    figure.suptitle(
        f"SIMULATED patient{staged}; the outline is the tumour",
        color="white",
        fontsize=12,
    )
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.9, wspace=0.02, hspace=0.02)
    figure.savefig(path, dpi=100)


def main(arguments: Sequence[str]) -> None:
    """Draw the documentation's patient: three slices, through the tumour, neck and brain."""
    profile = load_cohort("hospitals").profiles[_PROFILE]
    patient = simulate_patient(profile, patient_generator(0, _SITE, _NUMBER))
    height = patient.geometry.slice_spacing[0]
    tumour = int(patient.tumour.sum(dim=(1, 2)).argmax())
    last = len(patient.tumour) - 1
    neck, brain = max(0, tumour - round(35 / height)), min(last, tumour + round(50 / height))
    draw_contrast_sheet(patient, Path(arguments[0]), (brain, tumour, neck))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
