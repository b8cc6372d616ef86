from dataclasses import fields

import pytest
import torch

from omnisyn.simulate.tissues import (
    TISSUES,
    draw_tissues,
    tissue_index,
    tissue_table,
)


def test_air_is_the_first_tissue_and_every_name_stands_once():
    assert TISSUES[0] == "air"
    assert len(TISSUES) == len(set(TISSUES)) == 52
    assert [tissue_index(name) for name in TISSUES] == list(range(52))


def test_priors_pass_through_both_tabulated_fields_and_grow_between():
    muscle = tissue_table()["muscle"]
    assert muscle.at(1.5).t1_ms == 1000
    assert muscle.at(3.0).t1_ms == 1300
    between = muscle.at(2.0).t1_ms
    exponent = torch.log(torch.tensor(1.3)) / torch.log(torch.tensor(2.0))
    assert abs(between - 1000 * (2 / 1.5) ** float(exponent)) < 1e-3


def test_every_tissue_says_where_its_figures_come_from():
    assert all(tissue.basis.strip() for tissue in tissue_table().values())
    assert all(set(tissue.rows) == {1.5, 3.0} for tissue in tissue_table().values())


def test_draws_stay_in_the_tabulated_range_and_center_on_its_mean():
    names = ("white_matter", "muscle", "NPC", "parotid", "CSF")
    draws = [draw_tissues(torch.Generator().manual_seed(seed), 3.0) for seed in range(200)]
    for name in names:
        row, index = tissue_table()[name].at(3.0), tissue_index(name)
        t1 = torch.stack([values.t1_ms[index] for values in draws])
        t2 = torch.stack([values.t2_ms[index] for values in draws])
        assert row.t1_low_ms * 0.999 <= t1.min()
        assert t1.max() <= row.t1_high_ms * 1.001
        assert row.t2_low_ms * 0.999 <= t2.min()
        assert t2.max() <= row.t2_high_ms * 1.001
        assert abs(t1.median() / row.t1_ms - 1) < 0.05


def test_fat_decays_faster_in_spin_echo_than_in_fast_spin_echo():
    index = tissue_index("fat_subcutaneous")
    for seed in range(20):
        values = draw_tissues(torch.Generator().manual_seed(seed), 1.5)
        assert 95 <= values.t2_ms[index] <= 166
        assert 47 <= values.t2_spin_echo_ms[index] <= 85
        muscle = tissue_index("muscle")
        assert values.t2_spin_echo_ms[muscle] > 0.97 * values.t2_ms[muscle]


def test_a_patient_follows_from_the_generator():
    first, again = (draw_tissues(torch.Generator().manual_seed(5), 3.0) for _ in range(2))
    other = draw_tissues(torch.Generator().manual_seed(6), 3.0)
    assert torch.equal(first.t1_ms, again.t1_ms)
    assert not torch.equal(first.t1_ms, other.t1_ms)
    assert torch.equal(first.to("cpu").gadolinium_mmol, first.gadolinium_mmol)


def test_blood_scanned_soon_holds_more_agent_and_nothing_else_changes():
    late, soon = (
        draw_tissues(torch.Generator().manual_seed(4), 3.0, blood_agent)
        for blood_agent in ((1.0, 1.0), (2.0, 3.0))
    )
    vessels = [tissue_index(name) for name in ("blood_arterial", "blood_venous")]
    ratio = soon.gadolinium_mmol / late.gadolinium_mmol
    assert 2 < float(ratio[vessels[0]]) < 3
    assert float(ratio[vessels[0]]) == pytest.approx(float(ratio[vessels[1]]))
    for entry in fields(late):
        before, after = getattr(late, entry.name), getattr(soon, entry.name)
        if entry.name == "gadolinium_mmol":
            before[vessels] = after[vessels]
        assert torch.equal(torch.as_tensor(before), torch.as_tensor(after)), entry.name
