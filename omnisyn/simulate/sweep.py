"""One simulated patient under several protocols of one contrast: the truth for any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.simulate.acquisition import Acquisition
from omnisyn.simulate.anatomy import LabelledHead
from omnisyn.simulate.patient import ExamPlan, FieldOfView, scan
from omnisyn.volumes.normalize import scale


def scan_under(
    anatomy: LabelledHead,
    view: FieldOfView,
    plan: ExamPlan,
    acquisitions: Sequence[Acquisition],
    device: torch.device | str = "cpu",
) -> list[NDArray[np.float32]]:
    """The SIMULATED images of one contrast, one an acquisition, each scaled as every volume is.

    All else is the plan's series of that contrast: the same tissues, fields, motion and place, and
    noise of the same numbers, whose level keeps its ratio to the mean signal of the head. Scaled
    each by itself, images tell protocols apart by the contrast of tissues, not by brightness.

    Args:
        anatomy: a head on ``view.fine``.
        view: the image grid.
        plan: of a visit that has the contrast.
        acquisitions: the plan's own of that contrast, with other times (``dataclasses.replace``).
        device: where to compute.

    Returns:
        Float32 in [0, 1], ``[slices, rows, columns]``.

    Raises:
        KeyError: the plan has no series of the contrast.
        InputError: an image without signal.
    """
    numbered = {str(number): each for number, each in enumerate(acquisitions)}
    series = {number: plan.series[each.contrast] for number, each in numbered.items()}
    several = replace(plan, acquisitions=numbered, series=series)
    images = scan(anatomy, view, several, device).images
    return [scale(images[number].cpu().numpy()) for number in numbered]
