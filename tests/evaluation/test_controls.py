import numpy as np
import pytest

from omnisyn.evaluation.controls import (
    BINS,
    BLIND,
    COPY,
    ORACLE,
    SHIFTED,
    CurveSums,
    bin_indices,
    build_controls,
    shift_by_one,
    total,
)


def random_pair(seed):
    generator = np.random.default_rng(seed)
    source = generator.random((2, 40, 40), dtype=np.float32)
    target = np.clip((1 - source) ** 2 + generator.normal(0, 0.1, source.shape), 0, 1)
    return source, target.astype(np.float32)


EVERYWHERE = np.ones((2, 40, 40), bool)


def squared_error(image, truth):
    return float(np.mean((image - truth) ** 2))


def test_bins_cover_the_unit_interval_with_one_in_the_last():
    edges = np.array([0.0, 0.999 / BINS, 1 / BINS, 0.999999, 1.0])
    assert bin_indices(edges).tolist() == [0, 0, 1, BINS - 1, BINS - 1]


def test_curve_of_a_monotone_remap_is_nearly_perfect():
    source, _ = random_pair(0)
    truth = np.sqrt(source)
    controls = build_controls(truth, {"T1": source}, EVERYWHERE, {})
    assert squared_error(controls.images[ORACLE], truth) < 1e-4


def test_curve_is_the_mean_target_per_bin():
    source = np.array([0.1, 0.1, 0.9])
    sums = CurveSums.measure(source, np.array([0.2, 0.4, 0.7]), np.ones(3, bool))
    assert sums.curve().apply(source) == pytest.approx([0.3, 0.3, 0.7])


def test_empty_bins_are_interpolated_and_the_ends_continued():
    source = np.array([0.25, 0.75])
    curve = CurveSums.measure(source, np.array([0.2, 0.6]), np.ones(2, bool)).curve()
    assert curve.apply(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.2, 0.4, 0.6])
    assert np.isfinite(curve.levels).all()


def test_no_voxel_gives_no_curve():
    assert total([]).curve() is None


def test_oracle_is_at_least_as_good_as_any_blind_curve():
    source, truth = random_pair(1)
    for seed in range(2, 8):
        others = {"T1": CurveSums.measure(*random_pair(seed), EVERYWHERE)}
        images = build_controls(truth, {"T1": source}, EVERYWHERE, others).images
        assert squared_error(images[ORACLE], truth) <= squared_error(images[BLIND], truth)


def test_curves_are_fitted_in_the_mask_alone():
    source, truth = random_pair(1)
    half = EVERYWHERE.copy()
    half[:, :, 20:] = False
    spoiled = np.where(half, truth, 1).astype(np.float32)
    fitted = [CurveSums.measure(source, image, half).totals for image in (truth, spoiled)]
    np.testing.assert_array_equal(*fitted)


def test_blind_curve_is_missing_without_other_patients():
    source, truth = random_pair(1)
    controls = build_controls(truth, {"T1": source}, EVERYWHERE, {})
    assert set(controls.images) == {COPY, ORACLE, SHIFTED}


def test_several_sources_give_each_control_its_best_one():
    source, truth = random_pair(1)
    noise = np.random.default_rng(9).random(source.shape, dtype=np.float32)
    near = np.clip(truth + 0.05, 0, 1)
    sources = {"T1": noise, "T2": source, "PD": near}
    others = {
        name: CurveSums.measure(image, truth, EVERYWHERE)
        for name, image in sources.items()
        if name != "PD"
    }
    controls = build_controls(truth, sources, EVERYWHERE, others)
    assert controls.sources == {COPY: "PD", BLIND: "T2", ORACLE: "PD"}


def test_shift_moves_by_one_column_and_repeats_the_border():
    volume = np.arange(6.0).reshape(1, 2, 3)
    assert shift_by_one(volume).tolist() == [[[0, 0, 1], [3, 3, 4]]]
