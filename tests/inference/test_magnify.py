import pytest
import torch

from omnisyn.inference.magnify import magnified_size, resized


@pytest.mark.parametrize(
    ("size", "pixel_mm", "finer"),
    [
        ((200, 220), (1.0, 1.0), (286, 314)),
        ((256, 256), (0.9, 0.7), (329, 256)),
        ((512, 512), (0.45, 0.45), (512, 512)),
        # Pixels of 4 mm hold nothing that would be seen on finer ones than a third of them.
        ((64, 64), (4.0, 4.0), (192, 192)),
    ],
)
def test_coarse_pixels_are_magnified_and_fine_ones_stay(size, pixel_mm, finer) -> None:
    assert magnified_size(size, pixel_mm, working_mm=0.7) == finer


def test_there_and_back_leaves_a_smooth_image_as_it_was() -> None:
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 56), indexing="ij"
    )
    image = torch.exp(-(rows**2) / 0.3 - (columns - 0.2) ** 2 / 0.1)[None, None]
    finer = resized(image, (57, 80))
    assert finer.shape == (1, 1, 57, 80)
    torch.testing.assert_close(resized(finer, (40, 56)), image, atol=0.003, rtol=0)
    # Not mirrored and not shifted: the brightest place stays where it is.
    peak = divmod(int(finer[0, 0].argmax()), 80)
    assert peak == pytest.approx((28, 48), abs=1)


def test_there_and_back_keeps_the_finest_detail() -> None:
    # Of two and a half pixels a wave.
    image = 0.5 + 0.4 * torch.sin(2 * torch.pi / 2.5 * torch.arange(60))[None, None, None]
    back = resized(resized(image.expand(1, 1, 60, 60), (100, 100)), (60, 60))
    inner = (..., slice(5, -5), slice(5, -5))
    assert back[inner].std() == pytest.approx(float(image.std()), rel=0.1)


def test_of_one_size_nothing_is_touched() -> None:
    image = torch.rand(2, 1, 8, 9)
    assert resized(image, (8, 9)) is image


def test_values_stay_in_range() -> None:
    edges = (torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    finer = resized(edges, (31, 31))
    assert (finer.min(), finer.max()) == (0, 1)
