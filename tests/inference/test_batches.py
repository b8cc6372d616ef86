import numpy as np
import pytest
import torch

from omnisyn.errors import ResourceError
from omnisyn.inference.batches import BATCH_PIXELS, in_batches


def run(count: int, most: int, fitting: int) -> tuple[list[list[int]], list[str], list[int]]:
    """Work through `count` slices of which `fitting` fit at a time and memory holds `most`."""
    worked: list[list[int]] = []
    heard: list[str] = []
    told: list[int] = []

    def work(chosen: np.ndarray) -> None:
        if len(chosen) > most:
            raise MemoryError
        worked.append(chosen.tolist())

    in_batches(
        np.arange(10, 10 + count),
        work,
        torch.device("cpu"),
        pixels=BATCH_PIXELS["cpu"] // fitting,
        size=(7, 9),
        remedy="buy more",
        note=heard.append,
        done=told.append,
    )
    return worked, heard, told


def test_every_slice_comes_once_and_in_order() -> None:
    worked, heard, told = run(5, most=9, fitting=2)
    assert worked == [[10, 11], [12, 13], [14]]
    assert (heard, told) == ([], [2, 4, 5])


def test_a_batch_is_halved_once() -> None:
    worked, heard, told = run(5, most=2, fitting=4)
    assert worked == [[10, 11], [12, 13], [14]]
    assert heard == ["out of memory: going on with 2 slices at a time"]
    assert told == [2, 4, 5]


@pytest.mark.parametrize(("most", "fitting"), [(1, 4), (0, 1)])
def test_memory_that_stays_short_is_told(most: int, fitting: int) -> None:
    with pytest.raises(ResourceError, match="slices of 7 × 9") as told:
        run(5, most=most, fitting=fitting)
    assert told.value.remedy == "buy more"


def test_no_slices_are_no_work() -> None:
    assert run(0, most=1, fitting=1) == ([], [], [])
