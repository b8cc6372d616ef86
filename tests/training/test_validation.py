from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from omnisyn.models.backbone import ModelSettings
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.objectives import head_mask
from omnisyn.training.validation import direction_rows, summarize_directions


@pytest.fixture
def patient(stand_in: ModuleType) -> SliceBatch:
    return stand_in.discs(generator_at(3), 5, 40, "patient")


@pytest.fixture
def generator() -> Generator:
    return build_generator(ModelSettings(backbone="small", width=4, condition_size=16)).eval()


@torch.no_grad()
def test_every_ordered_pair_is_scored_as_when_taken_alone(
    patient: SliceBatch, generator: Generator
) -> None:
    rows = direction_rows(generator, patient)
    assert len(rows) == 4 * 3
    row = next(each for each in rows if each["direction"] == "T1→T2")
    condition = generator.condition(["T2"] * 5, patient.fat_suppressed[:, 2].tolist())
    prediction = generator(patient.images[:, :1], patient.present[:, :1], condition)
    truth = patient.images[:, 2][:, None]
    mask = head_mask(patient.images, patient.present)
    error = float(((prediction - truth) ** 2)[mask].mean())
    assert row["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
    similarity = []
    for one in range(5):
        _, full = structural_similarity(
            prediction[one, 0].numpy(),
            truth[one, 0].numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        similarity.append(full[mask[one, 0].numpy()].mean())
    assert row["ssim"] == pytest.approx(float(np.mean(similarity)), abs=1e-3)


@torch.no_grad()
def test_patient_without_a_head_gives_no_row(patient: SliceBatch, generator: Generator) -> None:
    empty = replace(patient, images=torch.zeros_like(patient.images))
    assert direction_rows(generator, empty) == []


def test_directions_weigh_the_same_however_many_patients_have_them() -> None:
    rows = [
        {"patient": "a", "direction": "T1→T2", "ssim": 0.2, "psnr": 10.0},
        {"patient": "b", "direction": "T1→T2", "ssim": 0.4, "psnr": 20.0},
        {"patient": "a", "direction": "T2→T1", "ssim": 0.9, "psnr": 30.0},
    ]
    found = summarize_directions(rows)
    assert found.score == pytest.approx(0.6)
    assert found.figures == {"ssim": pytest.approx(0.6), "psnr": pytest.approx(22.5)}
    assert "T2→T1            0.900   30.00" in found.table


def test_no_patient_gives_no_score() -> None:
    assert np.isnan(summarize_directions([]).score)
