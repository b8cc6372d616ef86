from dataclasses import replace

import numpy as np
import pytest
import torch

from omnisyn.simulate import visit
from omnisyn.simulate.cohort import patient_generator
from omnisyn.simulate.patient import simulate_patient
from omnisyn.simulate.visit import B_VALUES, CORONAL, DIFFUSION, LOCALIZER, draw_visit, record
from tests.simulate.tilted_head import TUMOUR, TiltedHead


def visits(profile, numbers=range(25)):
    return [draw_visit(profile, patient_generator(1, "site", n), TiltedHead()) for n in numbers]


def names(drawn):
    return [name for block in drawn.blocks for name in block.plan.acquisitions]


@pytest.fixture
def full(small_profile, monkeypatch):
    """A visit with every contrast and both further series."""
    monkeypatch.setattr(visit, "_LACKING", 0.0)
    monkeypatch.setattr(visit, "_WITH_DIFFUSION", 1.0)
    monkeypatch.setattr(visit, "_WITH_CORONAL", 1.0)
    return visits(small_profile.model_copy(update={"tilt_degrees": 6.0}), [1])[0]


def test_the_tumour_lies_where_the_headers_and_the_motion_say(full):
    t1 = next(block for block in full.blocks if "T1" in block.plan.acquisitions)
    head_to_scanner = full.to_head.inverse
    at_rest = head_to_scanner.rotation @ TUMOUR + head_to_scanner.shift_mm
    for block in full.blocks:
        grid = block.view.fine
        tumour = TiltedHead().build(None, grid, "cpu").tumour.nonzero().double().mean(dim=0)
        slices, rows, columns = tumour.tolist()
        index = [
            (columns + 0.5) * block.geometry.shape[0] / grid.shape[2] - 0.5,
            (rows + 0.5) * block.geometry.shape[1] / grid.shape[1] - 0.5,
            (slices + 0.5) / block.view.sublayers - 0.5,
        ]
        found = (block.geometry.affine @ [*index, 1.0])[:3] * [-1.0, -1.0, 1.0]
        expected = block.motion.rotation @ at_rest + block.motion.shift_mm
        assert np.abs(found - expected).max() < 0.6
        if block is not t1:
            assert 0.1 < np.linalg.norm(expected - at_rest) < 12.0


def test_the_first_t1_is_the_one_of_the_site_of_the_same_name(small_profile):
    profile = small_profile.model_copy(update={"brain_extracted": 0.0, "tilt_degrees": 6.0})
    drawn = draw_visit(profile, patient_generator(1, "site", 1), TiltedHead())
    patient = simulate_patient(profile, patient_generator(1, "site", 1), anatomy=TiltedHead())
    image = next(part.image for part in record(drawn, TiltedHead()) if part.name == "T1")
    assert torch.equal(image, patient.images["T1"])


def test_series_lie_on_grids_of_their_own(full):
    grids = {name: block.geometry for block in full.blocks for name in block.plan.acquisitions}
    assert grids["T1c"] == grids["T1"]
    assert grids["PD"] == grids["T2"]
    others = [grids[name] for name in ("T1", "T2", "FLAIR", "MRA", DIFFUSION, CORONAL)]
    assert len(set(others)) == len(others)
    directions = {tuple(np.round(grid.affine[:3, 2] / grid.spacing[2], 3)) for grid in others}
    assert len(directions) == 5  # the diffusion series is copied from the T1
    assert grids[CORONAL].orientation == "LIP"


def test_some_exams_lack_a_contrast_and_some_hold_more(small_profile):
    drawn = [set(names(each)) for each in visits(small_profile)]
    contrasts = set(small_profile.contrasts)
    lacking = [contrasts - found for found in drawn]
    assert 1 <= sum(map(bool, lacking)) <= 12
    assert max(map(len, lacking)) == 1
    assert all("T1" in found for found in drawn)
    for further in (DIFFUSION, CORONAL):
        assert 2 <= sum(further in found for found in drawn) <= 18


def test_recorded_are_a_localizer_and_the_blocks_in_order(full):
    parts = list(record(full, TiltedHead()))
    assert [part.name for part in parts[:3]] == [LOCALIZER] * 3
    planes = {part.geometry.orientation for part in parts[:3]}
    assert planes == {"LPS", "LIP", "PIR"}
    diffusion = [part for part in parts if part.name == DIFFUSION]
    assert [part.b_value for part in diffusion] == list(B_VALUES)
    assert diffusion[1].image.mean() < 0.6 * diffusion[0].image.mean()
    rest = [part.name for part in parts[3:] if part.b_value != B_VALUES[1]]
    assert rest == names(full)
    assert rest[-1] == "T1c"
    for part in parts:
        assert part.image.shape == part.geometry.shape[::-1]
        assert torch.isfinite(part.image).all()
        assert part.image.max() > 0


def test_scanners_know_no_brain_extraction(small_profile):
    profile = small_profile.model_copy(update={"brain_extracted": 1.0})
    assert not any(
        block.plan.brain_extracted for each in visits(profile, range(3)) for block in each.blocks
    )


def test_the_same_generator_draws_the_same_visit(small_profile):
    one, other = (visits(small_profile, [5])[0] for _ in range(2))
    assert [block.geometry for block in one.blocks] == [block.geometry for block in other.blocks]
    assert names(one) == names(other)
    assert replace(one, blocks=()).middle_mm == other.middle_mm
