"""Random numbers of a step follow from the seed and the step alone."""

import pytest
import torch

from omnisyn.studies.seeding import generator_at


def test_same_counters_give_the_same_numbers_and_others_do_not():
    first = torch.rand(8, generator=generator_at(4, 7))
    assert torch.equal(first, torch.rand(8, generator=generator_at(4, 7)))
    for other in ((4, 8), (5, 7), (7, 4), (4, 7, 1)):
        assert not torch.equal(first, torch.rand(8, generator=generator_at(*other)))


def test_neighbouring_steps_are_uncorrelated():
    numbers = torch.stack([torch.rand(500, generator=generator_at(0, step)) for step in range(20)])
    between = torch.corrcoef(numbers) - torch.eye(20)
    assert between.abs().max() < 0.25


def test_negative_counters_are_refused():
    with pytest.raises(ValueError, match="negative"):
        generator_at(0, -1)
