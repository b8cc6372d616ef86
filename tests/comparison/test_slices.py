import torch

from omnisyn.comparison.plan import DataSettings
from omnisyn.comparison.slices import SharedSlices
from omnisyn.contrasts import NAMES
from omnisyn.studies.slices import SliceBatch, SliceSource, unknown_acquisition


class Counting:
    """Batches that hold their own number; patients of ten slices."""

    name, simulated, credits = "counting", True, ("somebody",)

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.closed = False

    def batch(self, step: int) -> SliceBatch:
        self.asked.append(step)
        return numbered(1, float(step))

    def validation(self) -> list[SliceBatch]:
        self.asked.append(-1)
        return [numbered(10, float(patient)) for patient in range(5)]

    def close(self) -> None:
        self.closed = True


def numbered(count: int, number: float) -> SliceBatch:
    present = torch.ones(count, len(NAMES), dtype=torch.bool)
    images = torch.full((count, len(NAMES), 2, 2), number)
    images[:, 0] += torch.arange(count).view(-1, 1, 1) / 100
    unknown = unknown_acquisition(count)
    return SliceBatch(images, present, ~present, ("a",) * count, torch.ones(count), unknown)


def test_batches_come_again_and_are_made_once() -> None:
    whole = Counting()
    source = SharedSlices(whole, DataSettings(batches=3))
    assert isinstance(source, SliceSource)
    seen = [float(source.batch(step).images[0, 1, 0, 0]) for step in (0, 1, 2, 3, 7, 0)]
    assert seen == [0, 1, 2, 0, 1, 0]
    assert whole.asked == [0, 1, 2]


def test_without_a_number_none_comes_twice() -> None:
    source = SharedSlices(Counting(), DataSettings())
    assert [float(source.batch(step).images[0, 1, 0, 0]) for step in (5, 900)] == [5, 900]


def test_validation_is_made_once_of_some_patients_and_some_of_their_slices() -> None:
    whole = Counting()
    source = SharedSlices(whole, DataSettings(validation_patients=2, validation_slices=3))
    first = source.validation()
    assert source.validation() is first
    assert whole.asked == [-1]
    assert [len(patient) for patient in first] == [3, 3]
    numbers = [patient.images[:, 0, 0, 0].tolist() for patient in first]
    assert numbers[0] != numbers[1]
    assert len({round(value % 1, 2) for value in numbers[0]}) == 3
    assert [len(patient.patients) for patient in first] == [3, 3]


def test_it_says_what_it_is_made_of_and_closes_it() -> None:
    whole = Counting()
    source = SharedSlices(whole, DataSettings())
    assert (source.name, source.simulated, source.credits) == ("counting", True, ("somebody",))
    source.close()
    assert whole.closed
