from dataclasses import replace

import pytest
import torch

from omnisyn.simulate.acquisition import Acquisition
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.kspace import Sampling
from omnisyn.simulate.rendering import Displacement, Mixture
from omnisyn.simulate.scanner import (
    Motion,
    Series,
    acquire,
    draw_exam,
    draw_series,
    exam_maps,
)
from omnisyn.simulate.tissues import tissue_index

SPACING = (5.0, 2.0, 2.0)
ACQUISITION = Acquisition(
    contrast="T1",
    sequence="fast_spin_echo",
    field_tesla=3.0,
    repetition_time_ms=650.0,
    echo_time_ms=10.0,
    inversion_time_ms=None,
    flip_degrees=90.0,
    refocusing_degrees=180.0,
    echo_train=3,
    echo_spacing_ms=10.0,
    fat_suppression="none",
    fat_left=0.17,
    agent=None,
    magnetization_transfer=0.0,
    slab_mm=40.0,
    slice_thickness_mm=5.0,
)
SERIES = Series(
    displacement=Displacement(),
    readout=Sampling(1.0, 0.0),
    phase=Sampling(1.0, 0.0),
    phase_encode="rows",
    snr=1e6,
    bandwidth_hz=1e9,
    saturation_ppm=1e6,
    motion=None,
    gain=100.0,
    noise_seed=1,
)


@pytest.fixture
def effects():
    return load_cohort("demo").profiles["external2"].effects


@pytest.fixture
def labels():
    labels = torch.zeros(8, 64, 64, dtype=torch.uint8)
    labels[:, 8:56, 12:52] = tissue_index("muscle")
    labels[:, 8:14, 12:52] = tissue_index("fat_subcutaneous")
    return labels


@pytest.fixture
def maps(effects, labels):
    exam = draw_exam(effects, (40.0, 128.0, 128.0), torch.Generator().manual_seed(0))
    drawn = exam_maps(exam, labels, SPACING, (0.0, 10.0, -50.0))
    flat = torch.ones_like(drawn.receive)
    return replace(drawn, receive=flat, correction=flat, transmit=flat)


@pytest.fixture
def mixture(labels):
    fat = (labels == tissue_index("fat_subcutaneous")).float() * 3
    water = (labels == tissue_index("muscle")).float()
    return Mixture(water, fat, (None, None, None, None))


def test_without_effects_the_image_is_the_ideal_signal(mixture, maps, labels):
    image = acquire(mixture, ACQUISITION, SERIES, maps, SPACING)
    muscle = image[labels == tissue_index("muscle")]
    assert float(muscle.std() / muscle.mean()) < 1e-3
    assert float(image[maps.body].mean()) == pytest.approx(SERIES.gain, rel=0.02)


def test_noise_has_the_signal_to_noise_that_was_drawn(mixture, maps):
    pair = [
        acquire(mixture, ACQUISITION, replace(SERIES, snr=20.0, noise_seed=seed), maps, SPACING)
        for seed in (1, 2)
    ]
    deviation = float((pair[0] - pair[1])[maps.body].std()) / 2**0.5
    assert SERIES.gain / deviation == pytest.approx(20.0, rel=0.05)


def test_noise_keeps_its_level_when_fewer_lines_are_measured(mixture, maps):
    partial = replace(SERIES, snr=20.0, phase=Sampling(0.7, 0.3))
    pair = [
        acquire(mixture, ACQUISITION, replace(partial, noise_seed=seed), maps, SPACING)
        for seed in (1, 2)
    ]
    deviation = float((pair[0] - pair[1])[maps.body].std()) / 2**0.5
    assert SERIES.gain / deviation == pytest.approx(20.0, rel=0.07)


def test_the_background_is_rician(mixture, maps):
    image = acquire(mixture, ACQUISITION, replace(SERIES, snr=20.0), maps, SPACING)
    background = image[:, :6]
    # Rayleigh: mean over standard deviation is 1.91.
    assert float(background.mean() / background.std()) == pytest.approx(1.91, rel=0.05)


def test_the_same_seed_gives_the_same_image(mixture, maps):
    noisy = replace(SERIES, snr=20.0)
    first, again = (acquire(mixture, ACQUISITION, noisy, maps, SPACING) for _ in range(2))
    assert torch.equal(first, again)


def test_saturation_leaves_a_share_of_fat_and_fails_where_the_field_is_off(mixture, maps, labels):
    fat = labels == tissue_index("fat_subcutaneous")
    muscle = labels == tissue_index("muscle")
    saturated = replace(ACQUISITION, fat_suppression="spectral")

    def ratio(acquisition, saturation_ppm):
        series = replace(SERIES, saturation_ppm=saturation_ppm)
        image = acquire(mixture, acquisition, series, maps, SPACING)
        return float(image[fat].mean() / image[muscle].mean())

    plain = ratio(ACQUISITION, 1.0)
    assert ratio(saturated, 1e6) / plain == pytest.approx(0.17, abs=0.01)
    assert ratio(saturated, -1e6) / plain == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("phase_encode", ["rows", "columns"])
def test_motion_ghosts_run_along_the_phase_axis(mixture, maps, phase_encode):
    path = 4.0 * torch.sin(torch.linspace(0, 80, 64))
    still = replace(SERIES, phase_encode=phase_encode)
    moving = replace(still, motion=Motion(path, local=False))
    images = [acquire(mixture, ACQUISITION, series, maps, SPACING) for series in (still, moving)]
    ghost = (images[1] - images[0]).abs()
    before, beside = ghost[:, :6, 20:44].mean(), ghost[:, 20:44, :10].mean()
    if phase_encode == "columns":
        before, beside = beside, before
    assert before > 10 * beside


def test_local_motion_spares_the_back_of_the_neck(mixture, maps):
    path = 3.0 * torch.sin(torch.linspace(0, 80, 64))
    moving = replace(SERIES, phase_encode="columns", motion=Motion(path, local=True))
    images = [
        acquire(mixture, ACQUISITION, series, maps, SPACING)
        for series in (replace(SERIES, phase_encode="columns"), moving)
    ]
    ghost = (images[1] - images[0]).abs()
    assert ghost[0, 8:20].mean() > 3 * ghost[0, 46:56].mean()


def test_the_chemical_shift_of_fat_follows_the_bandwidth(mixture, maps):
    shifted = replace(SERIES, bandwidth_hz=3.4 * 42.577 * 3.0 / 2)
    images = [acquire(mixture, ACQUISITION, series, maps, SPACING) for series in (SERIES, shifted)]
    assert float(images[0][4, 11, 12]) > 0.5 * float(images[0][4, 11, 20])
    assert float(images[1][4, 11, 12:14].max()) < 1e-3 * float(images[1][4, 11, 20])


def test_the_first_series_is_where_the_others_are_displaced_from(effects):
    generator = torch.Generator().manual_seed(0)
    assert draw_series(effects, 64, generator, first=True).displacement == Displacement()
    lengths = []
    for _ in range(50):
        moved = draw_series(effects, 64, generator, first=False).displacement
        lengths.append((moved.slices_mm**2 + moved.rows_mm**2 + moved.columns_mm**2) ** 0.5)
        assert 0.1 <= abs(moved.degrees) <= 0.6
    assert min(lengths) >= 0.3
    assert max(lengths) <= 1.0 + 1e-6


def test_the_signal_falls_towards_the_lower_neck(effects, labels):
    strong = effects.model_copy(
        update={"receive_variation": (0.0, 0.0), "neck_falloff": (2.5, 2.5)}
    )
    exam = draw_exam(strong, (40.0, 128.0, 128.0), torch.Generator().manual_seed(0))
    tall = labels[:1].expand(30, -1, -1)
    maps = exam_maps(exam, tall, SPACING, (0.0, 10.0, -50.0))
    profile = maps.receive[:, 32, 32]
    assert float(profile[-1] / profile[0]) > 2.0
    assert (profile * maps.correction[:, 32, 32]).std() < profile.std()


def test_grain_adds_fine_variation_and_leaves_all_else_as_it_was(effects, labels):
    centre = (0.0, 0.0, 0.0)
    extent = [size * step for size, step in zip(labels.shape, SPACING, strict=True)]

    def exam(grain):
        asked = effects.model_copy(update={"grain": (grain, grain)})
        return draw_exam(asked, extent, torch.Generator().manual_seed(3))

    def jump(image):
        return float((image[:, 1:] - image[:, :-1]).std())

    smooth, grainy = (exam_maps(exam(grain), labels, SPACING, centre) for grain in (0.0, 2.0))
    assert torch.equal(smooth.receive, grainy.receive)
    assert torch.equal(smooth.static_field_ppm, grainy.static_field_ppm)
    for before, after in zip(smooth.textures, grainy.textures, strict=True):
        # About two standard deviations more, and from pixel to pixel.
        assert 1.5 < float((after - before).std()) < 2.5
        assert jump(after) > 3 * jump(before)
