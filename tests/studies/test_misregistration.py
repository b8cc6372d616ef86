import torch

from omnisyn.studies.misregistration import misregister


def spots(count=40):
    """A blurred spot in the middle of each image, off the centre of rotation."""
    axis = torch.arange(48, dtype=torch.float32)
    rows, columns = torch.meshgrid(axis - 20, axis - 27, indexing="ij")
    return torch.exp(-(rows**2 + columns**2) / 18).expand(count, 1, 48, 48).contiguous()


def places(images):
    axis = torch.arange(48, dtype=torch.float32)
    total = images.sum(dim=(1, 2, 3))
    rows = (images.sum(dim=3)[:, 0] @ axis) / total
    columns = (images.sum(dim=2)[:, 0] @ axis) / total
    return torch.stack([rows, columns], dim=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_moves_at_zero():
    before = spots()
    assert misregister(before, 0.0, generator()) is before


def test_every_image_moves_by_its_own_part_of_what_is_allowed():
    moves = places(misregister(spots(), 0.8, generator())) - torch.tensor([20.0, 27.0])
    assert float(moves.abs().max()) < 0.8 + 0.1
    assert float(moves.abs().max()) > 0.6
    assert moves[:, 0].min() < -0.3
    assert moves[:, 1].max() > 0.3
    assert len(moves[:, 0].unique()) == len(moves)


def test_images_are_moved_and_not_blurred():
    before = spots()
    after = misregister(before, 0.8, generator())
    assert float(after.amax(dim=(1, 2, 3)).min()) > 0.95
    assert 0 <= float(after.min()) <= float(after.max()) <= 1
    assert torch.equal(after, misregister(before, 0.8, generator()))
