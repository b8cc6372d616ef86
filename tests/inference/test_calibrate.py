from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.inference.calibrate import calibrate
from omnisyn.inference.synthesizer import Synthesizer
from tests.inference.ellipses import ellipses


@pytest.fixture
def synthesizer(tiny_weights: Path) -> Synthesizer:
    return Synthesizer.load(tiny_weights, "cpu")


def test_the_expected_error_is_on_average_the_measured_one(
    synthesizer: Synthesizer,
) -> None:
    calibration = calibrate(synthesizer, ellipses(4), "ellipses", simulated=True)
    calibrated = replace(synthesizer, calibration=calibration)
    expected, measured = [], []
    for patient in ellipses(4):
        images = patient.images.numpy()
        for source, target in permutations(("T1", "T2", "FLAIR"), 2):
            shown = {source: images[:, NAMES.index(source)]}
            made = calibrated.synthesize_slices(shown, [target])
            head = shown[source] > 0
            expected.append(calibrated.expected_errors(shown, made)[target][head].mean())
            measured.append(np.abs(made[target] - images[:, NAMES.index(target)])[head].mean())
    assert np.mean(expected) == pytest.approx(np.mean(measured), rel=0.3)


def test_too_few_patients_are_refused(synthesizer: Synthesizer) -> None:
    with pytest.raises(InputError, match="too few patients"):
        calibrate(synthesizer, ellipses(1), "one", simulated=True)
    with pytest.raises(InputError, match="contrasts to calibrate on"):
        calibrate(synthesizer, ellipses(2, ("T1",)), "one contrast", simulated=True)


def test_patients_without_a_contrast_in_common_are_refused(synthesizer: Synthesizer) -> None:
    strangers = [*ellipses(1, ("T1", "T2")), *ellipses(1, ("FLAIR", "PD"))]
    with pytest.raises(InputError, match="no two patients have a contrast in common"):
        calibrate(synthesizer, strangers, "strangers", simulated=True)


def test_errors_are_measured_on_plain_targets_only(synthesizer: Synthesizer) -> None:
    """A plain contrast was asked for, so that dark fat is no error of it."""
    patients = ellipses(2, ("T1", "T2"))
    suppressed = torch.zeros_like(patients[0].present)
    suppressed[:, NAMES.index("T2")] = True
    half = [replace(each, fat_suppressed=suppressed) for each in patients]
    assert calibrate(synthesizer, half, "half of them", simulated=True).patients == 2
    none = [replace(each, fat_suppressed=each.present) for each in patients]
    with pytest.raises(InputError, match="without fat suppression"):
        calibrate(synthesizer, none, "none of them", simulated=True)
