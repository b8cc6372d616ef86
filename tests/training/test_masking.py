import torch

from omnisyn.training.masking import draw_masks, other_contrasts, shown_templates


def draws(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_asked_share_of_whole_blocks_goes() -> None:
    gone = draw_masks(torch.zeros(5, 1, 40, 80), 0.8, 8, draws())
    blocks = gone.view(5, 5, 8, 10, 8).float().mean(dim=(2, 4))
    assert set(blocks.unique().tolist()) == {0.0, 1.0}
    assert blocks.mean(dim=(1, 2)).tolist() == [blocks[0].mean()] * 5
    assert abs(float(blocks.mean()) - 0.8) < 0.01
    assert not torch.equal(gone[0], gone[1])


def test_a_frame_that_blocks_do_not_divide_is_covered() -> None:
    assert draw_masks(torch.zeros(1, 1, 37, 21), 0.99, 8, draws()).all()


def test_the_other_image_is_of_the_same_slice_where_there_is_one() -> None:
    slices = torch.tensor([4, 4, 7, 9, 9, 9])
    for seed in range(5):
        others = other_contrasts(slices, draws(seed))
        assert torch.equal(slices[others], slices)
        assert others[2] == 2
        assert all(others[place] != place for place in (0, 1, 3, 4, 5))


def test_templates_are_those_of_the_contrasts_and_learn() -> None:
    templates = torch.rand(6, 1, 16, 16, generator=draws()).requires_grad_()
    shown = shown_templates(templates, torch.tensor([5, 0]), 16, 16)
    assert torch.equal(shown[0], templates[5])
    assert shown_templates(templates, torch.tensor([5, 0]), 24, 40).shape == (2, 1, 24, 40)
    shown.sum().backward()
    assert templates.grad is not None
    assert templates.grad.flatten(1).abs().sum(dim=1).gt(0).tolist() == [True, *[False] * 4, True]
