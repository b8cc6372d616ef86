from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.inference.familiarity import (
    Familiarity,
    FamiliarityStatistics,
    examine,
    examined_slices,
    fit_familiarity,
    uprightness,
)
from omnisyn.inference.way_back import INVERTED
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.generator import Generator, build_generator
from omnisyn.studies.slices import SliceBatch, unknown_acquisition

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return build_generator(ModelSettings(backbone="small", width=4, fusion_heads=1), seed=1).eval()


def head(seed: int, contrast: str) -> np.ndarray:
    """Two tissues and a bright nose, (4, 64, 64): T1 is bright inside, T2 outside."""
    draws = np.random.default_rng(seed)
    radius = 24 + draws.uniform(-1, 1)
    rows, columns = np.mgrid[:64, :64] - 31.5 + draws.uniform(-1, 1, 2)[:, None, None]
    distance = np.hypot(rows, 1.2 * columns)
    inner, outer = (0.8, 0.3) if contrast == "T1" else (0.2, 0.9)
    image = np.where(distance < 0.7 * radius, inner, np.where(distance < radius, outer, 0))
    image[np.hypot(rows + 0.6 * radius, columns) < 6] = 1.0
    image[rows > 0.4 * radius] *= 0.5
    noisy = image + draws.normal(0, 0.01, image.shape) * (image > 0)
    return np.stack([noisy.clip(0, 1)] * 4).astype(np.float32)


@pytest.fixture(scope="module")
def statistics(generator: Generator) -> FamiliarityStatistics:
    return fit_familiarity(generator, patients(6), CPU)


def patients(count: int) -> list[SliceBatch]:
    batches = []
    for number in range(count):
        images = torch.zeros(4, len(NAMES), 64, 64)
        present = torch.zeros(4, len(NAMES), dtype=torch.bool)
        for contrast in ("T1", "T2"):
            channel = NAMES.index(contrast)
            images[:, channel] = torch.from_numpy(head(number, contrast))
            present[:, channel] = True
        suppressed, names = torch.zeros_like(present), (f"{number}",) * 4
        unknown = unknown_acquisition(4)
        batches.append(SliceBatch(images, present, suppressed, names, torch.ones(4), unknown))
    return batches


def seen(
    generator: Generator,
    statistics: FamiliarityStatistics,
    slices: np.ndarray,
    given_as: str,
    changed: Mapping[str, float] | None = None,
) -> Familiarity:
    """Where nothing else is said, the given contrast is changed least on the way back."""
    way_back = changed or {given_as: 0.0}
    return examine(generator, examined_slices(slices), given_as, statistics, way_back, CPU)


def test_statistics_know_only_the_contrasts_that_are_there(
    statistics: FamiliarityStatistics,
) -> None:
    assert sorted(statistics.contrasts) == ["T1"] * 6 + ["T2"] * 6
    assert len(statistics.descriptions) == 12
    assert statistics.limit > 0
    assert np.all(statistics.spread > 0)


def test_a_limit_needs_two_patients(generator: Generator) -> None:
    with pytest.raises(ValueError, match="two patients"):
        fit_familiarity(generator, patients(1), CPU)


@pytest.mark.parametrize("contrast", ["T1", "T2"])
def test_another_head_of_the_kind_is_familiar(
    generator: Generator, statistics: FamiliarityStatistics, contrast: str
) -> None:
    found = seen(generator, statistics, head(100, contrast), contrast)
    assert found.warning is None
    assert found.looks_like == contrast
    assert found.score < 1


def test_a_mislabelled_contrast_is_told_as_what_it_looks_like(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    found = seen(generator, statistics, head(100, "T1"), "T1", {"T1": 0.2, "T2": 0.1})
    assert found.other_contrast
    assert found.warning == "the T1 looks like T2: check which contrast it is"
    # An agent alone is no reason to warn, nor is a contrast that nothing is known of.
    agent = seen(generator, statistics, head(100, "T1"), "T1c", {"T1c": 0.1, "T2": 0.2})
    assert agent.warning is None
    assert agent.looks_like == "T1"
    assert seen(generator, statistics, head(100, "T1"), "PD").warning is None


def test_a_head_upside_down_is_noticed(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    turned = np.ascontiguousarray(np.rot90(head(100, "T1"), 2, (1, 2)))
    found = seen(generator, statistics, turned, "T1")
    assert found.warning == "the T1 looks upside down in its plane: check the image"


def test_a_head_on_its_side_is_noticed(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    assert uprightness(head(100, "T1")) > 0.1
    for turns in (1, 3):
        lying = np.ascontiguousarray(np.rot90(head(100, "T1"), turns, (1, 2)))
        found = seen(generator, statistics, lying, "T1")
        assert found.warning == "the T1 looks turned by 90° in its plane: check the image"


def test_an_inverted_image_is_noticed(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    found = seen(generator, statistics, head(100, "T1"), "T1", {"T1": 0.2, INVERTED: 0.1})
    assert found.warning == "the T1 looks inverted: check the image"
    assert not found.other_contrast


def test_weights_that_cannot_find_the_way_back_say_nothing_of_the_contrast(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    found = examine(generator, examined_slices(head(100, "T1")), "T1", statistics, {}, CPU)
    assert found.warning is None
    assert found.looks_like == "T1"


def test_noise_is_unlike_anything(generator: Generator, statistics: FamiliarityStatistics) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (4, 64, 64)).astype(np.float32)
    found = seen(generator, statistics, noise, "T1")
    assert found.score > 1
    assert found.warning is not None
    assert found.told()["Score"] == pytest.approx(found.score, abs=1e-3)


def test_the_air_around_the_head_does_not_matter(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    small = np.pad(head(3, "T1"), ((0, 0), (8, 8), (8, 8)))
    wide = np.pad(small, ((0, 0), (32, 5), (0, 40)))
    found = seen(generator, statistics, small, "T1")
    assert seen(generator, statistics, wide, "T1") == found
    assert found.score < 1


def test_a_score_of_one_is_the_limit(
    generator: Generator, statistics: FamiliarityStatistics
) -> None:
    found = seen(generator, statistics, head(100, "T1"), "T1")
    at_limit = replace(found, limit=found.distance)
    assert at_limit.score == 1
    assert at_limit.warning is None
    assert replace(found, limit=found.distance / 1.01).warning is not None


def test_a_headline_says_in_a_few_words_what_the_warning_does() -> None:
    fine = Familiarity("T1", "T1", 0.9, 1.0, fault=None)
    assert fine.headline is None
    odd = {
        "T1 IS UNLIKE THE TRAINING DATA (score 2.00): see the sidecar": replace(fine, distance=2.0),
        "T1 LOOKS LIKE FLAIR (score 0.90): see the sidecar": replace(fine, looks_like="FLAIR"),
        "T1 LOOKS INVERTED (score 0.90): see the sidecar": replace(fine, fault="inverted"),
    }
    assert [each.headline for each in odd.values()] == list(odd)
    assert all(each.warning is not None for each in odd.values())
