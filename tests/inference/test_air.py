import numpy as np

from omnisyn.inference.air import MARGIN_MM, brightest_possible


def head(half: int = 10) -> np.ndarray:
    """A square head in the middle of air that is grainy, (2, 64, 64); none in the second slice."""
    image = np.full((2, 64, 64), 0.02, dtype=np.float32)
    image[0, 32 - half : 32 + half, 32 - half : 32 + half] = 0.5
    return image


def test_far_from_the_head_nothing_may_be_brighter_than_the_sources() -> None:
    source = head()
    found = brightest_possible({"T1": source}, (1.0, 1.0))
    edge = 42 + int(MARGIN_MM)
    assert np.all(found[0, 22:42, 22:42] == 1)
    assert np.all(found[0, 32, 42 : edge - 1] == 1)
    assert np.all(found[0, 32, edge:] == np.float32(0.02))
    assert np.all(found[1] == np.float32(0.02))
    assert np.all(source == head())


def test_a_head_that_one_source_shows_is_no_air() -> None:
    wide, narrow = head(20), head(4)
    found = brightest_possible({"T1": narrow, "T2": wide}, (1.0, 1.0))
    assert np.all(found[0, 12:52, 12:52] == 1)
    alone = brightest_possible({"T1": narrow}, (1.0, 1.0))
    assert alone[0, 13, 13] == np.float32(0.02)


def test_the_margin_is_in_millimetres() -> None:
    found = brightest_possible({"T1": head()}, (1.0, 5.0))
    assert found[0, 32, 43] == 1
    assert found[0, 32, 46] == np.float32(0.02)
    assert found[0, 46, 32] == 1


def test_a_speck_of_noise_is_no_head() -> None:
    source = head()
    source[0, 4:9, 4:9] = 0.1
    source[0, 50:60, 50:60] = 0.1
    found = brightest_possible({"T1": source}, (1.0, 1.0))
    assert np.all(found[0, 4:9, 4:9] == np.float32(0.1))
    assert np.all(found[0, 50:60, 50:60] == 1)
