from __future__ import annotations

import pytest
import torch

from omnisyn.simulate.anatomy.noise import NoiseField, draw_noise


def test_noise_has_unit_variance_per_channel() -> None:
    field = draw_noise(torch.Generator().manual_seed(0), 30.0, channels=2)
    assert field.values.shape[0] == 2
    assert field.values.flatten(1).std(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-3)


def test_same_generator_state_gives_the_same_noise() -> None:
    first = draw_noise(torch.Generator().manual_seed(4), 40.0)
    second = draw_noise(torch.Generator().manual_seed(4), 40.0)
    assert torch.equal(first.values, second.values)


def test_zero_crossings_follow_the_wavelength() -> None:
    line = torch.linspace(0.0, 120.0, 481)
    counts = []
    for wavelength in (20.0, 60.0):
        field = draw_noise(
            torch.Generator().manual_seed(1),
            wavelength,
            low_mm=(0.0, 0.0, 0.0),
            high_mm=(120.0, 120.0, 120.0),
        )
        values = torch.stack(
            [
                field.at(line, torch.full_like(line, o), torch.full_like(line, 60.0))[0]
                for o in torch.linspace(5, 115, 12).tolist()
            ]
        )
        counts.append(int((values[:, 1:] * values[:, :-1] < 0).sum()))
    assert 2.0 < counts[0] / counts[1] < 4.5


def test_lattice_values_are_met_at_lattice_points() -> None:
    values = torch.arange(8.0).reshape(1, 2, 2, 2)
    field = NoiseField(values, (0.0, 0.0, 0.0), (10.0, 10.0, 10.0))
    ends = torch.tensor([0.0, 10.0])
    assert field.at(ends, torch.zeros(2), torch.zeros(2))[0].tolist() == [0.0, 1.0]
    assert field.at(torch.zeros(2), torch.zeros(2), ends)[0].tolist() == [0.0, 4.0]
