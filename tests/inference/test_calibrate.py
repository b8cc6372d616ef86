from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.inference import calibrate as module
from omnisyn.inference.calibrate import calibrate, calibration_source
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.studies.site import SiteSettings, write_site
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


def test_heads_of_label_maps_stand_beside_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Named:
        simulated, credits = True, ()

        def __init__(self, data: Any, **options: Any) -> None:
            anatomy = options.get("anatomy")
            kind = data.settings.name if hasattr(data, "settings") else "clinic"
            self.name = f"{kind} of label maps" if anatomy else kind
            self.count = options.get("validation_patients", 1)

        def validation(self) -> list[str]:
            return [self.name] * self.count

    (tmp_path / "DCA.nii.gz").touch()
    (tmp_path / "sites").mkdir()
    write_site(tmp_path / "sites", SiteSettings(name="clinic", role="train"))
    monkeypatch.setattr(module, "CachedSlices", Named)
    monkeypatch.setattr(module, "SimulatedSlices", Named)
    labelled = ["anywhere of label maps"] * 2
    for root, label_maps, patients in (
        (None, [], ["hospitals"] * 2),
        (None, [tmp_path], ["hospitals"] * 2 + labelled),
        (tmp_path / "sites", [], ["clinic"]),
        (tmp_path / "sites", [tmp_path], ["clinic", *labelled]),
    ):
        assert list(calibration_source(root, 2, label_maps).validation()) == patients
