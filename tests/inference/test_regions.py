import pytest
import torch

from omnisyn.inference.regions import framed, region_means


def test_zeros_come_below_and_right_up_to_the_stride() -> None:
    images, regions = framed(8, torch.ones(2, 1, 9, 16), torch.ones(2, 3, 9, 16))
    assert images.shape == (2, 1, 16, 16)
    assert regions.shape == (2, 3, 16, 16)
    assert images[:, :, :9].eq(1).all()
    assert not images[:, :, 9:].any()
    assert not regions[:, :, 9:].any()


def test_a_region_counts_with_its_share_of_a_maps_pixel() -> None:
    maps = torch.tensor([[[[1.0, 5.0], [3.0, 7.0]]]])
    regions = torch.zeros(1, 2, 8, 8)
    regions[0, 0, :4] = 1
    regions[0, 1, :, :4] = 1
    regions[0, 1, :4, 4:6] = 1
    found = region_means(maps, regions)
    assert found.shape == (1, 2, 1)
    assert found[0, 0, 0] == 3
    assert found[0, 1, 0] == pytest.approx((1 + 3 + 0.5 * 5) / 2.5)


def test_an_empty_region_gives_zeros() -> None:
    assert not region_means(torch.ones(1, 4, 2, 2), torch.zeros(1, 1, 8, 8)).any()


def test_half_precision_is_pooled_in_full() -> None:
    maps = torch.full((1, 1, 64, 64), 100.0, dtype=torch.float16)
    found = region_means(maps, torch.ones(1, 1, 64, 64))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(100)
