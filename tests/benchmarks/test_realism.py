import numpy as np
import pytest

from benchmarks.realism import (
    CONTRASTS,
    TISSUES,
    brain_voxels,
    figures,
    flat_detail,
    histogram_distances,
)

# T1, T2 and FLAIR of fluid, grey and white matter.
MEANS = {"fluid": (0.2, 0.9, 0.1), "grey": (0.5, 0.5, 0.7), "white": (0.8, 0.3, 0.55)}


def brain(seed=0, shift=0.0):
    """(voxels, 3), as many of each tissue."""
    draws = np.random.default_rng(seed)
    return np.concatenate(
        [draws.normal(MEANS[tissue], 0.03, (2000, 3)) + shift for tissue in TISSUES]
    )


def test_tissues_are_found_by_their_contrasts():
    found = figures(brain())
    for column, contrast in enumerate(CONTRASTS):
        for tissue in TISSUES:
            assert found[contrast][tissue] == pytest.approx(MEANS[tissue][column], abs=0.01)
    assert found["FLAIR"]["grey : white"] == pytest.approx(0.7 / 0.55, rel=0.02)
    assert found["T1"]["spread in white"] == pytest.approx(0.03, rel=0.1)


def test_a_histogram_that_is_shifted_lies_so_far_away():
    others = [brain(1), brain(2)]
    near = histogram_distances(brain(3), others)
    far = histogram_distances(brain(3, shift=0.1), others)
    assert all(near[contrast] < 0.01 for contrast in CONTRASTS)
    assert all(far[contrast] == pytest.approx(0.1, abs=0.01) for contrast in CONTRASTS)


def test_voxels_are_those_of_the_upper_half():
    image = np.zeros((8, 40, 40), dtype=np.float32)
    image[:, 5:35, 5:35] = 0.5
    image[4:, 5:35, 5:35] = 0.8
    voxels = brain_voxels(dict.fromkeys(CONTRASTS, image))
    assert voxels.shape[1] == 3
    assert voxels.min() == pytest.approx(0.5)
    assert np.mean(voxels > 0.7) >= 0.8


def test_detail_is_measured_where_tissue_is_flat():
    draws = np.random.default_rng(0)
    texture = draws.normal(0, 1, (4, 64, 64))
    bright = np.zeros((4, 64, 64))
    bright[:, 2:62, 2:62] = 0.5
    # An edge that all contrasts share is no detail.
    bright[:, 2:32, 2:62] = 0.8
    images = {
        "T1": bright + 0.02 * texture * (bright > 0),
        "T2": bright - 0.03 * texture * (bright > 0),
        "FLAIR": bright + 0.02 * draws.normal(0, 1, texture.shape) * (bright > 0),
    }
    found = flat_detail({name: image.astype(np.float32) for name, image in images.items()})
    assert found["T1"]["detail"] == pytest.approx(0.02, rel=0.15)
    assert found["T2"]["detail"] == pytest.approx(0.03, rel=0.15)
    assert found["T2"]["detail, correlation with T1"] == pytest.approx(-1, abs=0.05)
    assert found["FLAIR"]["detail, correlation with T1"] == pytest.approx(0, abs=0.15)
