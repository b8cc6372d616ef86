import torch

from omnisyn.studies.pixels import pixel_average


def test_each_pixel_is_the_mean_of_what_it_covers():
    pixels = pixel_average(4, 6)
    torch.testing.assert_close(pixels.sum(dim=1), torch.ones(4))
    samples = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 3.0])
    torch.testing.assert_close(pixels @ samples, torch.tensor([1.0, 1 / 3, 0.0, 2.0]))
