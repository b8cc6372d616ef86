import pytest
import torch

from omnisyn.errors import UsageError
from omnisyn.studies.mixed import MixedSlices, concatenate, parts_of_batch
from omnisyn.studies.slices import SliceBatch


class Constant:
    """A source whose every pixel is one value."""

    def __init__(self, name, value, size, simulated=False, side=8):
        self.name, self.value, self.size = name, value, size
        self.simulated, self.side, self.closed = simulated, side, False
        self.credits = (name.upper(), "all")

    def batch(self, step):
        images = torch.full((self.size, 6, self.side, self.side), self.value + step)
        flags = torch.ones(self.size, 6, dtype=torch.bool)
        pixels = torch.full((self.size,), float(self.side))
        facts = torch.full((self.size, 6, 4), self.value)
        return SliceBatch(images, flags, ~flags, (self.name,) * self.size, pixels, facts)

    def validation(self):
        return [self.batch(0)]

    def close(self):
        self.closed = True


def mixed():
    made = []

    def opener(name, value, simulated):
        def open_with(size):
            made.append(Constant(name, value, size, simulated))
            return made[-1]

        return open_with

    whole = MixedSlices([opener("a", 0.1, False), opener("b", 0.5, True)], (3, 2))
    return whole, made


def test_every_batch_holds_slices_of_every_source():
    whole, _ = mixed()
    batch = whole.batch(2)
    assert batch.patients == ("a", "a", "a", "b", "b")
    assert batch.images[:, 0, 0, 0].tolist() == pytest.approx([2.1, 2.1, 2.1, 2.5, 2.5])
    assert batch.pixel_mm.tolist() == [8.0] * 5
    assert batch.acquisition[:, 5, 3].tolist() == pytest.approx([0.1] * 3 + [0.5] * 2)


def test_it_says_what_it_is_of():
    whole, _ = mixed()
    assert whole.name == "a + b"
    assert whole.simulated
    assert whole.credits == ("A", "all", "B")


def test_validation_is_that_of_all_sources():
    whole, _ = mixed()
    assert [batch.patients[0] for batch in whole.validation()] == ["a", "b"]


def test_closing_closes_all():
    whole, made = mixed()
    whole.close()
    assert all(source.closed for source in made)


@pytest.mark.parametrize(
    ("batch_size", "shares", "parts"),
    [
        (6, (1, 3, 2), [1, 3, 2]),
        (12, (1, 3, 2), [2, 6, 4]),
        (6, (1, 1, 1), [2, 2, 2]),
        (5, (1.0, 1.0), [3, 2]),
        (4, (1, 100), [1, 3]),
        (2, (1, 100), [1, 1]),
        (7, (0.5,), [7]),
    ],
)
def test_a_batch_is_shared_out(batch_size, shares, parts):
    assert parts_of_batch(batch_size, shares) == parts


def test_a_batch_too_small_for_all_is_refused():
    with pytest.raises(UsageError):
        parts_of_batch(1, (1, 1))


def test_smaller_images_get_zeros():
    batch = concatenate([Constant("a", 1.0, 1, side=4).batch(0), Constant("b", 1.0, 1).batch(0)])
    assert batch.images.shape == (2, 6, 8, 8)
    assert float(batch.images[0, 0].sum()) == 16
    assert float(batch.images[1, 0].sum()) == 64
