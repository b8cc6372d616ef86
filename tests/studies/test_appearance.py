import torch

from omnisyn.studies.appearance import vary_appearance


def images(count=64):
    ramp = torch.linspace(0, 1, 32).expand(count, 1, 32, 32).clone()
    ramp[:, :, :8] = 0
    return ramp


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_changes_at_strength_zero():
    before = images()
    assert vary_appearance(before, 0.0, generator()) is before


def test_about_half_of_the_images_change_and_each_in_its_own_way():
    before = images()
    after = vary_appearance(before, 1.0, generator())
    changed = (after != before).flatten(1).any(dim=1)
    assert 16 < int(changed.sum()) < 48
    means = after[changed].mean(dim=(1, 2, 3))
    assert len(means.unique()) == len(means)


def test_air_stays_dark_and_nothing_leaves_the_unit_range():
    after = vary_appearance(images(), 1.0, generator())
    assert float(after.min()) >= 0
    assert float(after.max()) <= 1
    # Two pixels from the head the widest blur has ended.
    assert float(after[:, :, :5].max()) < 0.02


def test_a_stronger_change_changes_more():
    before = images()
    weak, strong = (
        (vary_appearance(before, strength, generator()) - before).abs().mean()
        for strength in (0.2, 1.0)
    )
    assert 0 < float(weak) < float(strong)


def test_the_same_seed_changes_alike():
    first, second = (vary_appearance(images(), 1.0, generator(3)) for _ in range(2))
    assert torch.equal(first, second)
