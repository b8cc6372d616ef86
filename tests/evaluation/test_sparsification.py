import numpy as np
import pytest

from omnisyn.evaluation.sparsification import sparsify


@pytest.fixture
def errors() -> np.ndarray:
    return np.random.default_rng(0).exponential(0.1, (6, 40, 40))


def test_the_errors_themselves_are_the_oracle(errors: np.ndarray) -> None:
    found = sparsify(errors, 3 * errors + 1)
    np.testing.assert_allclose(found.remaining, found.oracle)
    assert found.area == pytest.approx(0)
    assert found.remaining[0] == pytest.approx(errors.mean())
    assert np.all(np.diff(found.remaining) < 0)


def test_a_constant_leaves_the_mean_error_as_it_is(errors: np.ndarray) -> None:
    found = sparsify(errors, np.zeros_like(errors))
    np.testing.assert_allclose(found.remaining, errors.mean())
    assert found.relative_area == pytest.approx(1)


def test_the_reverse_order_is_worse_than_none_and_a_noisy_one_better(errors: np.ndarray) -> None:
    noise = np.random.default_rng(1).exponential(0.05, errors.shape)
    assert sparsify(errors, -errors).relative_area > 1.5
    assert 0 < sparsify(errors, errors + noise).relative_area < 0.6


def test_the_curve_by_hand() -> None:
    found = sparsify(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 0]))
    half = np.flatnonzero(found.removed == 0.5)
    np.testing.assert_allclose(found.remaining[half], 2.5)
    np.testing.assert_allclose(found.oracle[half], 1.5)


@pytest.mark.parametrize("error", [0.0, 0.1, 0.37])
def test_equal_errors_have_no_order(errors: np.ndarray, error: float) -> None:
    for uncertainty in (errors, np.zeros_like(errors), errors > 0.1):
        assert np.isnan(sparsify(np.full_like(errors, error), uncertainty).relative_area)


def test_arrays_that_do_not_belong_together_are_refused(errors: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uncertainty"):
        sparsify(errors, errors[0])
    with pytest.raises(ValueError, match="errors"):
        sparsify(errors[:0], errors[:0])
