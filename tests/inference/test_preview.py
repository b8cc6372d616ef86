import io

import matplotlib.image
import numpy as np
import pytest

from omnisyn.inference.preview import evenly_in_head, preview_png

SPACING = (4.0, 1.0, 1.0)


@pytest.fixture
def slices() -> np.ndarray:
    """(slices, rows, columns): empty below slice 3; brighter on the patient's right."""
    volume = np.zeros((12, 40, 30), dtype=np.float32)
    volume[3:, 5:35, 4:15] = 0.9
    volume[3:, 5:35, 15:26] = 0.4
    return volume


def picture(content: bytes) -> np.ndarray:
    """The pixels of a PNG file, (rows, columns, 3)."""
    return matplotlib.image.imread(io.BytesIO(content), format="png")[..., :3]


def draw(slices: np.ndarray, truth: np.ndarray | None = None, **options: object) -> bytes:
    settings = {"slice_spacing": SPACING, "simulated": False, "model": "echo", **options}
    return preview_png({"T1": slices}, "T2", 1 - slices, truth=truth, **settings)


def test_equal_runs_draw_equal_files(slices: np.ndarray) -> None:
    assert draw(slices) == draw(slices)


def test_the_truth_adds_two_columns(slices: np.ndarray) -> None:
    without, with_truth = picture(draw(slices)), picture(draw(slices, slices))
    assert with_truth.shape[1] == pytest.approx(2 * without.shape[1], abs=2)
    assert with_truth.shape[0] == without.shape[0]


def test_the_expected_error_adds_a_column(slices: np.ndarray) -> None:
    without, with_map = picture(draw(slices)), picture(draw(slices, expected_error=0.2 * slices))
    assert with_map.shape[1] == pytest.approx(1.5 * without.shape[1], abs=2)


def test_it_says_what_is_odd_about_the_sources(slices: np.ndarray) -> None:
    plain, odd = picture(draw(slices)), picture(draw(slices, headlines=["T1 LOOKS INVERTED"]))
    assert len(odd) > len(plain)
    # Red, not the yellow of every synthetic image, which still stands below it.
    bright = odd[len(plain) - 25 :].reshape(-1, 3)
    bright = bright[bright[:, 0] > 0.8]
    red = bright[:, 0] > 2 * bright[:, 1]
    assert red.any()
    assert not red.all()
    other = picture(draw(slices, headlines=["T1 LOOKS LIKE FLAIR (score 0.91)"]))
    assert other.shape == odd.shape
    assert not np.array_equal(other, odd)


def test_the_patients_right_is_on_the_left_of_the_picture(slices: np.ndarray) -> None:
    pixels = picture(draw(slices)).mean(axis=2)
    height, width = pixels.shape
    panel = pixels[height // 8 : -height // 8, : width // 2]
    left, right = np.array_split(panel, 2, axis=1)
    assert left.mean() > 1.5 * right.mean()


def test_the_title_says_what_was_asked(slices: np.ndarray) -> None:
    plain = picture(draw(slices))
    texts = ("TR 4000 ms, TE 90 ms, fat suppressed", "TR 4000 ms, TE 30 ms, fat suppressed")
    first, second, long = (picture(draw(slices, asked=text)) for text in (*texts, "dark $x$ " * 50))
    assert first.shape == second.shape == long.shape
    more = len(first) - len(plain)
    assert 20 < more < 60
    # Below it all is as it was.
    np.testing.assert_array_equal(first[-500:], plain[-500:])
    for other in (second, long):
        changed = np.argwhere((first != other).any(axis=2))
        assert len(changed)
        # Above the images, over the column of what was made.
        assert changed[:, 0].max() < 55 + more
        assert changed[:, 1].min() > plain.shape[1] / 2


def test_it_says_that_a_patient_is_simulated(slices: np.ndarray) -> None:
    assert draw(slices, simulated=True) != draw(slices, simulated=False)


def test_a_thick_slice_keeps_its_shape(slices: np.ndarray) -> None:
    square = picture(draw(slices)).shape
    stretched = picture(draw(slices, slice_spacing=(4.0, 2.0, 1.0))).shape
    assert stretched[1] == square[1]
    assert stretched[0] > 1.8 * square[0]


@pytest.mark.parametrize("shape", [(4, 300, 1), (4, 1, 300)])
def test_a_line_of_voxels_makes_a_picture_of_common_size(shape: tuple[int, int, int]) -> None:
    line = np.random.default_rng(0).uniform(0.1, 1, shape).astype(np.float32)
    height, width, _ = picture(draw(line)).shape
    assert max(height, width) < 6000


def test_slices_are_spread_over_the_head_and_nowhere_else(slices: np.ndarray) -> None:
    assert evenly_in_head([slices], 3) == [10, 7, 4]
    assert evenly_in_head([slices], 99) == list(range(11, 2, -1))
    assert evenly_in_head([np.zeros_like(slices)], 2) == [9, 3]
