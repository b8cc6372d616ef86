import torch

from omnisyn.studies.pixels import move_in_plane, pixel_average


def test_each_pixel_is_the_mean_of_what_it_covers():
    pixels = pixel_average(4, 6)
    torch.testing.assert_close(pixels.sum(dim=1), torch.ones(4))
    samples = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 3.0])
    torch.testing.assert_close(pixels @ samples, torch.tensor([1.0, 1 / 3, 0.0, 2.0]))


def test_images_move_by_their_own_pixels_and_turn_about_the_middle():
    images = torch.zeros(2, 1, 9, 9)
    images[:, :, 4, 6] = 1
    zero, quarter = torch.zeros(2), torch.tensor([0.0, torch.pi / 2])
    moved = move_in_plane(images, torch.tensor([1.0, 0.0]), zero, quarter, (9, 9))
    assert divmod(int(moved[0].argmax()), 9) == (5, 6)
    assert divmod(int(moved[1].argmax()), 9) == (6, 4)
    assert float(moved.amax(dim=(1, 2, 3)).min()) > 0.99
