"""Slice batches: what they hold, and how validation slices are thinned."""

from itertools import pairwise

import pytest
import torch

from omnisyn.studies.slices import SliceBatch, evenly_thinned


def _flags(count: int) -> torch.Tensor:
    return torch.ones(count, 6, dtype=torch.bool)


def test_batch_keeps_everything_when_it_moves():
    batch = SliceBatch(torch.rand(2, 6, 4, 5), _flags(2), ~_flags(2), ("a/1", "a/2"))
    moved = batch.to("cpu")
    assert len(moved) == 2
    assert torch.equal(moved.images, batch.images)
    assert torch.equal(moved.present, batch.present)
    assert torch.equal(moved.fat_suppressed, batch.fat_suppressed)
    assert moved.patients == batch.patients


@pytest.mark.parametrize(
    ("shape", "flags"), [((2, 5, 4, 4), _flags(2)), ((3, 6, 4, 4), _flags(3)), ((2, 6, 4, 4), None)]
)
def test_batch_of_another_shape_is_refused(shape: tuple[int, ...], flags: torch.Tensor | None):
    present = torch.ones(2, 6) if flags is None else flags
    with pytest.raises(ValueError, match="must be"):
        SliceBatch(torch.zeros(shape), present, _flags(2), ("a/1", "a/2"))


def test_thinning_is_even_ordered_and_never_more_than_asked():
    assert evenly_thinned(range(5), 8) == [0, 1, 2, 3, 4]
    assert evenly_thinned(range(100), 1) == [50]
    assert evenly_thinned(range(10, 50), 4) == [15, 25, 35, 45]
    thinned = evenly_thinned(range(107), 24)
    steps = [after - before for before, after in pairwise(thinned)]
    assert len(thinned) == 24
    assert set(steps) == {4, 5}


def test_thinning_to_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        evenly_thinned(range(5), 0)
