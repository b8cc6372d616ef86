from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from omnisyn.inference.way_back import INVERTED, changed_on_the_way, likeliest

# Of three tissues. A model that knows nothing else takes every value for the nearest tissue.
# No two of them differ by brightness as a whole alone, taken for each other.
LEVELS = {"T1": (0.9, 0.5, 0.2), "T1c": (0.9, 0.6, 0.2), "T2": (0.3, 0.75, 1.0)}
LEVELS["FLAIR"] = (0.5, 0.8, 0.2)
KNOWN = tuple(LEVELS)


def synthesize(sources: Mapping[str, np.ndarray], targets: Sequence[str]) -> dict[str, np.ndarray]:
    ((name, slices),) = sources.items()
    tissue = np.abs(slices[..., None] - np.array(LEVELS[name])).argmin(axis=-1)
    return {
        target: np.where(slices > 0, np.array(LEVELS[target])[tissue], 0).astype(np.float32)
        for target in targets
    }


def image(contrast: str) -> np.ndarray:
    """Three tissues in rings in air, (2, 24, 24)."""
    rows, columns = np.mgrid[:24, :24] - 11.5
    distance = np.hypot(rows, columns)
    rings = [distance < 4, distance < 8, distance < 11]
    return np.stack([np.select(rings, LEVELS[contrast], 0.0)] * 2).astype(np.float32)


def inverted(slices: np.ndarray) -> np.ndarray:
    return ((1 - slices) * (slices > 0)).astype(np.float32)


@pytest.mark.parametrize("contrast", KNOWN)
def test_what_is_given_as_itself_comes_back_least_changed(contrast: str) -> None:
    changed = changed_on_the_way(synthesize, image(contrast), contrast, KNOWN)
    assert min(changed.values()) == changed[contrast] == 0
    assert next(iter(changed)) == contrast
    assert likeliest(changed, contrast) == contrast


@pytest.mark.parametrize("given_as", ["T1", "FLAIR"])
def test_what_is_given_as_another_contrast_is_told_as_its_own(given_as: str) -> None:
    changed = changed_on_the_way(synthesize, image("T2"), given_as, KNOWN)
    assert changed["T2"] == 0 < changed[given_as]
    assert likeliest(changed, given_as) == "T2"


def test_an_inverted_image_is_told_as_that() -> None:
    changed = changed_on_the_way(synthesize, inverted(image("T1")), "T1", KNOWN)
    assert likeliest(changed, "T1") == INVERTED


def test_the_difference_is_a_mean_over_the_head_alone() -> None:
    shown = image("T1")
    middle = shown == np.float32(0.9)
    changed_there = np.where(middle, shown - 0.05, shown).astype(np.float32)
    wide = np.pad(changed_there, ((0, 0), (9, 0), (0, 30)))
    changed = changed_on_the_way(synthesize, wide, "T1", KNOWN)
    share = middle.sum() / (shown > 0).sum()
    assert changed["T1"] == pytest.approx(0.05 * share, rel=1e-4)


def test_brightness_as_a_whole_does_not_count() -> None:
    """Another protocol gives another grey scale, and no other contrast."""
    shown = image("T1")
    shifted = np.where(shown > 0, shown - 0.05, 0).astype(np.float32)
    changed = changed_on_the_way(synthesize, shifted, "T1", KNOWN)
    assert changed["T1"] == pytest.approx(0, abs=1e-6)


def test_t1_and_t1c_are_not_held_against_each_other() -> None:
    assert set(changed_on_the_way(synthesize, image("T1c"), "T1c", KNOWN)) == {
        "T1c",
        "T2",
        "FLAIR",
        INVERTED,
    }
    assert "T1c" not in changed_on_the_way(synthesize, image("T1"), "T1", KNOWN)


def test_only_what_the_weights_know_is_tried() -> None:
    assert list(changed_on_the_way(synthesize, image("T1"), "T1", ("T1", "T2"))) == [
        "T1",
        "T2",
        INVERTED,
    ]
    assert changed_on_the_way(synthesize, image("T1"), "T1", ("T1",)) == {}
    assert likeliest({}, "T1") == "T1"


def test_another_explanation_must_be_clearly_better() -> None:
    assert likeliest({"T1": 0.1, "T2": 0.09}, "T1") == "T1"
    assert likeliest({"T1": 0.1, "T2": 0.08}, "T1") == "T2"
    assert likeliest({"T2": 0.0}, "T1c") == "T1c"


def test_air_alone_is_changed_by_nothing() -> None:
    changed = changed_on_the_way(synthesize, np.zeros((1, 8, 8), np.float32), "T1", KNOWN)
    assert set(changed.values()) == {0.0}
