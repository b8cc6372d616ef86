"""Slice batches: what they hold, and how validation slices are thinned."""

from itertools import pairwise

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.studies.slices import SliceBatch, StudySlice, evenly_thinned, stack_slices

NAN = float("nan")
T2_T1 = ((4500.0, 95.0, 160.0, 3.0), (550.0, 12.0, 0.5, 3.0))


def _flags(count: int) -> torch.Tensor:
    return torch.ones(count, 6, dtype=torch.bool)


def test_batch_keeps_everything_when_it_moves():
    pixels = torch.tensor([0.7, 0.9])
    facts = torch.rand(2, 6, 4)
    names = ("a/1", "a/2")
    batch = SliceBatch(torch.rand(2, 6, 4, 5), _flags(2), ~_flags(2), names, pixels, facts)
    moved = batch.to("cpu")
    assert len(moved) == 2
    assert torch.equal(moved.images, batch.images)
    assert torch.equal(moved.present, batch.present)
    assert torch.equal(moved.fat_suppressed, batch.fat_suppressed)
    assert moved.patients == batch.patients
    assert torch.equal(moved.pixel_mm, pixels)
    assert torch.equal(moved.acquisition, facts)


@pytest.mark.parametrize(
    ("shape", "flags", "pixels", "facts"),
    [
        ((2, 5, 4, 4), _flags(2), 2, 4),
        ((3, 6, 4, 4), _flags(3), 2, 4),
        ((2, 6, 4, 4), None, 2, 4),
        ((2, 6, 4, 4), _flags(2), 3, 4),
        ((2, 6, 4, 4), _flags(2), 2, 3),
    ],
)
def test_batch_of_another_shape_is_refused(
    shape: tuple[int, ...], flags: torch.Tensor | None, pixels: int, facts: int
):
    present = torch.ones(2, 6) if flags is None else flags
    with pytest.raises(ValueError, match="must be"):
        SliceBatch(
            torch.zeros(shape),
            present,
            _flags(2),
            ("a/1", "a/2"),
            torch.ones(pixels),
            torch.zeros(2, 6, facts),
        )


def test_slices_of_different_sizes_and_contrasts_share_one_frame():
    first = StudySlice(torch.full((2, 3, 5), 0.5), ("T2", "T1"), (True, False), "a/1", 0.7, T2_T1)
    half = torch.ones(1, 4, 2, dtype=torch.float16)
    second = StudySlice(half, ("MRA",), (False,), "b/1", 0.9, ((25.0, 4.0, NAN, 1.5),))
    first.images[0] = 0.25
    batch = stack_slices([first, second])
    assert batch.images.shape == (2, 6, 4, 5)
    assert batch.images.dtype == torch.float32
    t1, t2, mra = (NAMES.index(name) for name in ("T1", "T2", "MRA"))
    assert torch.equal(batch.images[0, t2, :3], torch.full((3, 5), 0.25))
    assert torch.equal(batch.images[0, t1, :3], torch.full((3, 5), 0.5))
    assert torch.equal(batch.images[1, mra, :, :2], torch.ones(4, 2))
    assert float(batch.images.sum()) == pytest.approx(15 * 0.75 + 8)
    assert batch.present.nonzero().tolist() == [[0, t1], [0, t2], [1, mra]]
    assert batch.fat_suppressed.nonzero().tolist() == [[0, t2]]
    assert batch.patients == ("a/1", "b/1")
    assert batch.pixel_mm.tolist() == pytest.approx([0.7, 0.9])
    assert batch.acquisition[0, [t2, t1]].tolist() == [list(facts) for facts in T2_T1]
    assert batch.acquisition[1, mra].isnan().tolist() == [False, False, True, False]
    assert batch.acquisition.isfinite().sum() == 8 + 3


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
