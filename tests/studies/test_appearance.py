import math

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.studies.appearance import GreyScales, vary_appearance, vary_protocol


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


def test_some_images_lose_their_darkest_grey_values_and_none_its_brightest():
    dark = torch.full((200, 1, 16, 16), 0.05)
    bright = torch.full((200, 1, 16, 16), 0.8)
    black = vary_appearance(dark, 0.25, generator()).flatten(1).amax(dim=1) == 0
    assert 0.05 < float(black.float().mean()) < 0.3
    assert float(vary_appearance(bright, 0.25, generator()).min()) > 0.4


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


def test_a_protocol_moves_grey_values_in_order_and_keeps_both_ends():
    before = torch.linspace(0, 1, 9).expand(50, len(NAMES), 1, 9).contiguous()
    scales = {"T1": GreyScales(slope=(1.2, 2.0), shift=(-1.0, -0.5))}
    after = vary_protocol(before, scales, generator())
    t1 = after[:, NAMES.index("T1"), 0]
    assert bool((t1.diff(dim=1) > 0).all())
    assert t1[:, 0].tolist() == [0.0] * 50
    assert t1[:, -1].tolist() == [1.0] * 50
    # At 0.5 the logit is 0, so that the shift alone counts.
    middle = torch.logit(t1[:, 4])
    assert float(middle.min()) >= -1.0
    assert float(middle.max()) <= -0.5
    slopes = (torch.logit(t1[:, 6]) - torch.logit(t1[:, 2])) / (2 * torch.logit(before[0, 0, 0, 6]))
    assert 1.2 <= float(slopes.min()) < 1.4
    assert 1.8 < float(slopes.max()) <= 2.001
    others = [place for place, name in enumerate(NAMES) if name != "T1"]
    assert torch.equal(after[:, others], before[:, others])


def test_a_slope_leaves_its_pivot_where_the_shift_puts_it():
    before = torch.full((50, len(NAMES), 1, 2), 0.8)
    before[..., 1] = 0.4
    scales = {"T1": GreyScales(slope=(1.5, 2.5), shift=(0.2, 0.2), pivot=0.8)}
    pivot, below = torch.logit(vary_protocol(before, scales, generator())[:, 0, 0]).unbind(dim=1)
    assert pivot.tolist() == pytest.approx([math.log(0.8 / 0.2) + 0.2] * 50, abs=1e-4)
    distances = (pivot - below) / float(
        torch.logit(before[0, 0, 0, 0]) - torch.logit(before[0, 0, 0, 1])
    )
    assert 1.5 <= float(distances.min()) < 1.7
    assert 2.3 < float(distances.max()) <= 2.501


@pytest.mark.parametrize(
    ("slope", "shift"),
    [((2.0, 1.0), (0.0, 0.0)), ((0.0, 1.0), (0.0, 0.0)), ((1.0, 1.0), (1.0, 0.0))],
)
def test_a_protocol_out_of_order_is_refused(slope, shift):
    with pytest.raises(ValueError, match="two numbers"):
        GreyScales(slope=slope, shift=shift)
