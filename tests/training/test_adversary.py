import torch

from omnisyn.training.adversary import Adversary


def images(value: float) -> torch.Tensor:
    noise = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    return (value + 0.1 * noise).clamp(0, 1)


def test_each_gradient_reaches_its_own_side_alone() -> None:
    adversary = Adversary(4, seed=0)
    made = images(0.2).requires_grad_()
    fooling, judging = adversary.losses(made, images(0.6), torch.tensor([0, 1, 2, 3]))
    fooling.backward(retain_graph=True)
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in adversary.parameters())
    made.grad = None
    judging.backward()
    assert made.grad is None
    assert all(weight.grad is not None for weight in adversary.parameters())


def test_it_learns_to_tell_made_from_real_and_made_images_learn_to_pass() -> None:
    adversary, contrasts = Adversary(4, seed=0), torch.tensor([0, 1, 2, 3])
    optimizer = torch.optim.Adam(adversary.parameters(), lr=1e-2)
    first = None
    for _ in range(30):
        fooling, judging = adversary.losses(images(0.2), images(0.6), contrasts)
        first = judging.item() if first is None else first
        optimizer.zero_grad()
        judging.backward()
        optimizer.step()
    assert judging.item() < first / 2
    told, _ = adversary.losses(images(0.6), images(0.6), contrasts)
    assert told < fooling


def test_the_same_seed_gives_the_same_judge() -> None:
    first, again, other = (Adversary(4, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
