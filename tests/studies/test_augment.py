"""Augmentation: one change for all contrasts of a slice, drawn apart from its application."""

import math

import pytest
import torch
from pydantic import ValidationError

from omnisyn.contrasts import CONTRASTS
from omnisyn.studies.augment import (
    Augmentation,
    AugmentationSettings,
    apply_augmentation,
    draw_augmentation,
)
from omnisyn.studies.seeding import generator_at
from omnisyn.studies.slices import SliceBatch, unknown_acquisition
from tests.small_heads import NO_AUGMENTATION


def _batch(count: int = 3, rows: int = 40, columns: int = 36, seed: int = 0) -> SliceBatch:
    generator = torch.Generator().manual_seed(seed)
    flags = torch.ones(count, len(CONTRASTS), dtype=torch.bool)
    return SliceBatch(
        images=torch.rand(count, len(CONTRASTS), rows, columns, generator=generator),
        present=flags,
        fat_suppressed=~flags,
        patients=tuple(f"sim-site/p{item}" for item in range(count)),
        pixel_mm=torch.ones(count),
        acquisition=unknown_acquisition(count),
    )


def _change(
    count: int,
    *,
    zoom: float = 1.0,
    degrees: float = 0.0,
    flip: bool = False,
    offset: tuple[float, float] = (0.0, 0.0),
    whole_pixels: bool = True,
) -> Augmentation:
    return Augmentation(
        zoom=torch.full((count,), zoom),
        rotation=torch.full((count,), math.radians(degrees)),
        flip=torch.full((count,), flip),
        offset=torch.tensor([offset] * count),
        whole_pixels=torch.full((count,), whole_pixels),
    )


def test_crop_without_augmentation_is_a_window_of_the_very_same_pixels():
    batch = _batch()
    cropped = apply_augmentation(batch, _change(3), 20)
    torch.testing.assert_close(cropped.images, batch.images[:, :, 10:30, 8:28], atol=1e-4, rtol=0)
    assert cropped.patients == batch.patients


def test_frame_smaller_than_the_crop_is_padded_with_zeros():
    batch = _batch(1, 10, 12)
    padded = apply_augmentation(batch, _change(1), 16)
    torch.testing.assert_close(padded.images[:, :, 3:13, 2:14], batch.images, atol=1e-4, rtol=0)
    assert padded.images[:, :, :2].abs().max() == 0
    assert padded.images[:, :, :, 15].abs().max() < 1e-4


def test_flip_mirrors_columns_and_is_self_inverse():
    batch = _batch(2, 20, 20)
    change = _change(2, flip=True)
    once = apply_augmentation(batch, change, 20)
    torch.testing.assert_close(once.images, batch.images.flip(-1), atol=1e-4, rtol=0)
    twice = apply_augmentation(once, change, 20)
    torch.testing.assert_close(twice.images, batch.images, atol=2e-4, rtol=0)


def test_quarter_turn_moves_every_pixel_to_its_turned_place():
    batch = _batch(1, 21, 21)
    turned = apply_augmentation(batch, _change(1, degrees=90, whole_pixels=False), 21)
    expected = [torch.rot90(batch.images, turns, (2, 3)) for turns in (1, 3)]
    errors = [float((turned.images - image).abs().max()) for image in expected]
    assert min(errors) < 1e-3
    assert max(errors) > 0.1


@pytest.mark.parametrize("flip", [False, True])
def test_zoom_enlarges_what_is_shown(flip: bool):
    batch = _batch(1, 41, 41)
    disc = torch.zeros(41, 41)
    row, column = torch.meshgrid(torch.arange(41) - 20, torch.arange(41) - 20, indexing="ij")
    disc[(row**2 + column**2) <= 10**2] = 1
    batch.images[:] = disc
    zoomed = apply_augmentation(batch, _change(1, zoom=1.5, flip=flip, whole_pixels=False), 41)
    ratio = float(zoomed.images[0, 0].sum() / disc.sum())
    assert zoomed.pixel_mm.tolist() == pytest.approx([1 / 1.5])
    assert ratio == pytest.approx(1.5**2, rel=0.02)


def test_all_contrasts_of_a_slice_share_one_geometry():
    batch = _batch(4)
    batch.images[:] = batch.images[:, :1]
    change = draw_augmentation(generator_at(3, 5), 4, AugmentationSettings(resampled=1))
    changed = apply_augmentation(batch, change, 24)
    for channel in range(1, len(CONTRASTS)):
        torch.testing.assert_close(changed.images[:, channel], changed.images[:, 0])
    assert not torch.allclose(changed.images[0], changed.images[1])


def test_window_smaller_than_its_region_stays_inside_it():
    batch = _batch(2, 60, 60)
    batch.images.zero_()
    batch.images[:, :, 20:50, 10:40] = 1
    regions = torch.tensor([[20, 50, 10, 40]] * 2)
    for offset in ((-1.0, -1.0), (1.0, 1.0), (0.3, -0.7)):
        cropped = apply_augmentation(batch, _change(2, offset=offset), 16, regions)
        assert cropped.images.min() > 0.999


def test_window_larger_than_its_region_holds_all_of_it():
    batch = _batch(1, 60, 60)
    batch.images.zero_()
    batch.images[:, :, 20:30, 10:22] = 1
    regions = torch.tensor([[20, 30, 10, 22]])
    for offset in ((-1.0, -1.0), (1.0, 1.0), (0.3, -0.7)):
        cropped = apply_augmentation(batch, _change(1, offset=offset), 32, regions)
        assert float(cropped.images[0, 0].sum()) == pytest.approx(120, abs=0.1)


def test_drawn_numbers_lie_in_their_ranges_and_follow_the_generator():
    settings = AugmentationSettings(zoom=(0.8, 1.25), rotation_degrees=7, resampled=0.5, flip=0.5)
    first = draw_augmentation(generator_at(1, 2), 2000, settings)
    again = draw_augmentation(generator_at(1, 2), 2000, settings)
    other = draw_augmentation(generator_at(1, 3), 2000, settings)
    assert torch.equal(first.zoom, again.zoom)
    assert not torch.equal(first.zoom, other.zoom)
    assert 0.8 <= first.zoom.min() < 0.82
    assert 1.23 < first.zoom.max() <= 1.2501
    assert 0.1 < first.rotation.abs().max() <= math.radians(7) + 1e-6
    assert (first.zoom[first.whole_pixels] == 1).all()
    assert (first.rotation[first.whole_pixels] == 0).all()
    for share in (first.flip, first.whole_pixels):
        assert 0.45 < share.float().mean() < 0.55


def test_no_augmentation_draws_only_places():
    change = draw_augmentation(generator_at(0, 0), 50, NO_AUGMENTATION)
    assert change.whole_pixels.all()
    assert not change.flip.any()
    assert change.offset.std() > 0.3


def test_values_stay_in_the_unit_range():
    change = draw_augmentation(generator_at(9), 3, AugmentationSettings(resampled=1))
    images = apply_augmentation(_batch(), change, 32).images
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize(
    "values", [{"zoom": (1.2, 0.8)}, {"zoom": (0, 1)}, {"flip": 2}, {"scale": (1, 1)}]
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]):
    with pytest.raises(ValidationError):
        AugmentationSettings.model_validate(values)


def test_augmentation_for_another_batch_size_is_refused():
    with pytest.raises(ValueError, match="2 slices applied to 3"):
        apply_augmentation(_batch(3), _change(2), 16)
