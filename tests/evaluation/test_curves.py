import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.evaluation.controls import CurveSums, total
from omnisyn.evaluation.curves import measure_curves, read_curves, write_curves
from omnisyn.evaluation.results import Direction
from omnisyn.studies.slices import SliceBatch, unknown_acquisition
from omnisyn.volumes.normalize import head_mask

T1, T1C, T2 = (NAMES.index(name) for name in ("T1", "T1c", "T2"))


class ThreeContrasts:
    """Two slices a step: one with T1, T1c and T2 (T2 with fat suppression), one without T1c."""

    name = "random heads"
    simulated = True
    credits = ()

    def batch(self, step):
        generator = np.random.default_rng(step)
        images = np.zeros((2, len(NAMES), 32, 32), np.float32)
        images[:, [T1, T1C, T2], 6:26, 6:26] = generator.random((2, 3, 20, 20))
        present = np.zeros((2, len(NAMES)), bool)
        present[:, [T1, T2]] = True
        present[0, T1C] = True
        suppressed = np.zeros_like(present)
        suppressed[0, T2] = True
        images[~present] = 0
        arrays = (torch.from_numpy(array) for array in (images, present, suppressed))
        return SliceBatch(*arrays, ("a/1", "a/2"), torch.ones(2), unknown_acquisition(2))

    def validation(self):
        return ()

    def close(self):
        pass


def measured_directly(source, target, items):
    parts = []
    for step in range(3):
        images = ThreeContrasts().batch(step).images.numpy()
        one, other = images[items, source], images[items, target]
        parts.append(CurveSums.measure(one, other, head_mask([one, other])))
    return total(parts)


def assert_equal(one, other):
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_allclose(one.totals, other.totals)


@pytest.fixture(scope="module")
def curves():
    return measure_curves(ThreeContrasts(), 3)


def test_curves_of_a_source_are_those_fitted_directly(curves):
    assert_equal(curves.sums[Direction(("T1",), "T1c")], measured_directly(T1, T1C, [0]))
    assert_equal(curves.sums[Direction(("T2",), "T1")], measured_directly(T2, T1, [0, 1]))
    assert curves.slices == 6


def test_targets_with_fat_suppression_are_left_out(curves):
    assert_equal(curves.sums[Direction(("T1",), "T2")], measured_directly(T1, T2, [1]))
    assert Direction(("T1c",), "T2") not in curves.sums


def test_directions_of_two_sources_have_the_curves_of_each(curves):
    found = curves.of(Direction(("T1", "T2"), "T1c"))
    assert list(found) == ["T1", "T2"]
    assert curves.of(Direction(("T1", "T1c"), "T2")) == {}
    assert curves.of(Direction(("T1",), "FLAIR")) == {}


def test_curves_come_back_from_their_file(curves, tmp_path):
    write_curves(tmp_path / "curves.json", curves)
    back = read_curves(tmp_path / "curves.json")
    assert (back.fitted_on, back.slices) == ("random heads", 6)
    assert back.sums.keys() == curves.sums.keys()
    for direction, sums in curves.sums.items():
        assert_equal(back.sums[direction], sums)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"slices": 1}', "[" * 100_000])
def test_anything_else_is_refused(tmp_path, text):
    path = tmp_path / "curves.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError):
        read_curves(path)


def test_no_batch_gives_no_curve():
    with pytest.raises(ValueError, match="at least one batch"):
        measure_curves(ThreeContrasts(), 0)
