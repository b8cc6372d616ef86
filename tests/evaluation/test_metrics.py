import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.metrics import structural_similarity

from omnisyn.errors import InputError
from omnisyn.evaluation.metrics import choose_slices, scale_count, score, score_all, ssim_map
from omnisyn.volumes.normalize import head_mask

ROWS, COLUMNS = 96, 88
RULE = {
    "data_range": 1.0,
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
}


def make_head(slices=3, seed=0):
    """A bright ellipse with textured tissue on a black background, (slices, rows, columns)."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    inside = ((rows - 48) / 36) ** 2 + ((columns - 43) / 30) ** 2 < 1
    texture = ndimage.gaussian_filter(generator.normal(size=(slices, ROWS, COLUMNS)), (0, 1.5, 1.5))
    texture = 0.5 + 0.9 * texture
    return (np.clip(texture, 0.1, 1) * inside).astype(np.float32)


def distortions(truth):
    """Three predictions that are wrong in known ways, by name."""
    return {
        "nothing": np.zeros_like(truth),
        "shift": np.roll(truth, 1, axis=2),
        "blur": ndimage.gaussian_filter(truth, (0, 1, 1)),
    }


@pytest.fixture
def truth():
    return make_head()


@pytest.fixture
def head(truth):
    return head_mask([truth])


def test_ssim_map_equals_the_library(truth):
    one = truth[0].astype(float)
    other = ndimage.gaussian_filter(one, 1.0)
    _, expected = structural_similarity(one, other, full=True, **RULE)
    np.testing.assert_allclose(ssim_map(one, other), expected, rtol=0, atol=1e-12)


def test_full_frame_is_the_library_mean_with_both_backgrounds_zero(truth, head):
    generator = np.random.default_rng(1)
    prediction = np.clip(truth + generator.normal(0, 0.1, truth.shape), 0, 1)
    found = score(truth, prediction, head).values
    pairs = [
        (one.astype(float) * mask, other * mask)
        for one, other, mask in zip(truth, prediction, head, strict=True)
    ]
    expected = [structural_similarity(one, other, **RULE) for one, other in pairs]
    assert found["ssim_frame"] == pytest.approx(np.mean(expected), abs=1e-12)
    in_head = [
        structural_similarity(one, other, full=True, **RULE)[1][mask].mean()
        for (one, other), mask in zip(pairs, head, strict=True)
    ]
    assert found["ssim_head"] == pytest.approx(np.mean(in_head), abs=1e-12)


@pytest.mark.parametrize("corner", [(0, 0), (30, 0), (46, 60), (3, 7)])
def test_only_the_surroundings_of_the_head_need_computing(corner):
    generator = np.random.default_rng(6)
    head = np.zeros((1, 70, 84), bool)
    head[0, corner[0] : corner[0] + 24, corner[1] : corner[1] + 24] = True
    truth, prediction = (generator.random(head.shape) * head for _ in range(2))
    found = score(truth, prediction, head).values
    expected, whole = structural_similarity(truth[0], prediction[0], full=True, **RULE)
    assert found["ssim_frame"] == pytest.approx(expected, abs=1e-12)
    assert found["ssim_head"] == pytest.approx(whole[head[0]].mean(), abs=1e-12)


def test_psnr_pools_the_squared_error_over_the_head_of_the_volume(truth, head):
    prediction = truth.astype(float)
    prediction[0] = np.clip(prediction[0] - 0.2 * head[0], 0, 1)
    error = (prediction - truth)[head]
    found = score(truth, prediction, head).values
    assert found["psnr_head"] == pytest.approx(-10 * np.log10(np.mean(error**2)))
    assert found["psnr_frame"] == pytest.approx(-10 * np.log10(np.sum(error**2) / truth.size))
    assert found["mae_head"] == pytest.approx(np.abs(error).mean())
    assert found["nmse_head"] == pytest.approx(
        np.sum(error**2) / np.sum(truth[head].astype(float) ** 2)
    )


def test_known_distortions_rank_as_on_real_slices(truth, head):
    distorted = {**distortions(truth), "background": truth + np.float32(0.02) * ~head}
    scores, _ = score_all(truth, distorted, head)
    values = {name: found.values for name, found in scores.items()}
    assert values["nothing"]["ssim_head"] < 0.02
    assert values["nothing"]["ssim_frame"] > 0.3
    assert 0.3 < values["shift"]["ssim_head"] < values["blur"]["ssim_head"] < 1
    assert values["shift"]["psnr_head"] < values["blur"]["psnr_head"]
    for name in ("shift", "blur"):
        assert values[name]["ssim_frame"] > values[name]["ssim_head"]
        assert values[name]["psnr_frame"] > values[name]["psnr_head"]
    assert values["background"]["ssim_head"] == 1
    assert math.isinf(values["background"]["psnr_head"])


def test_identical_images_are_perfect_with_infinite_psnr(truth, head):
    found = score(truth, truth.copy(), head).values
    assert found["ssim_head"] == pytest.approx(1)
    assert found["ssim_frame"] == pytest.approx(1)
    assert found["ms_ssim_head"] == pytest.approx(1)
    assert found["psnr_head"] == math.inf
    assert found["mae_head"] == 0


def test_a_wrong_gain_is_an_error_and_is_not_mended(truth, head):
    found = score(truth, 0.5 * truth, head).values
    half = truth[head].astype(float) / 2
    assert found["psnr_head"] == pytest.approx(-10 * np.log10(np.mean(half**2)))


def test_predictions_are_clipped_and_the_share_is_told(truth, head):
    wild = truth.copy()
    wild[head] += np.where(np.arange(head.sum()) % 2 == 0, 2.0, 0.0)
    found = score(truth, wild, head)
    assert found.values == score(truth, np.clip(wild, 0, 1), head).values
    assert found.clipped == pytest.approx(0.5, abs=0.02)


def test_values_outside_the_head_neither_help_nor_hurt(truth, head):
    generator = np.random.default_rng(2)
    prediction = ndimage.gaussian_filter(truth, (0, 1, 1))
    noisy = np.where(head, prediction, generator.random(truth.shape))
    assert score(truth, noisy, head).values == score(truth, prediction, head).values


def test_slices_with_little_head_are_left_out_and_counted(truth, head):
    head = head.copy()
    head[1] = False
    head[1, :4, :4] = True
    chosen = choose_slices(truth, head)
    assert chosen.scored == (0, 2)
    assert (chosen.without_head, chosen.constant) == (1, 0)


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_constant_and_empty_slices_are_left_out_and_counted(truth, head, level):
    truth = truth.copy()
    truth[2] = level
    scores, chosen = score_all(truth, {"model": np.zeros_like(truth)}, head)
    assert chosen.scored == (0, 1)
    assert chosen.constant == 1
    assert np.isfinite(scores["model"].values["psnr_head"])


def test_a_volume_without_any_scored_slice_has_undefined_figures(truth, head):
    found = score(np.zeros_like(truth), truth, head)
    assert all(math.isnan(value) for value in found.values.values())


def test_the_tumour_is_scored_apart(truth, head):
    tumour = np.zeros_like(head)
    tumour[1, 40:50, 40:50] = True
    prediction = truth.copy()
    prediction[1, 40:50, 40:50] = 0
    found = score(truth, prediction, head, {"tumour": tumour, "lesions": np.zeros_like(head)})
    inside = truth[tumour].astype(float)
    assert found.values["psnr_tumour"] == pytest.approx(-10 * np.log10(np.mean(inside**2)))
    assert found.values["ssim_tumour"] < 0.1 < found.values["ssim_head"]
    assert math.isnan(found.values["psnr_lesions"])
    assert "ms_ssim_tumour" not in found.values


def test_multiscale_similarity_of_one_scale_is_plain_similarity():
    generator = np.random.default_rng(3)
    truth = generator.random((1, 21, 21))
    head = np.ones(truth.shape, bool)
    found = score(truth, generator.random(truth.shape), head).values
    assert scale_count((21, 21)) == 1
    assert found["ms_ssim_frame"] == pytest.approx(max(found["ssim_frame"], 0), abs=1e-12)


def test_multiscale_similarity_forgives_fine_noise_more_than_a_lost_structure(truth, head):
    generator = np.random.default_rng(4)
    noisy = truth + 0.08 * generator.standard_normal(truth.shape)
    lost = truth.copy()
    lost[:, 30:66, 25:60] = 0.5
    noise, loss = (score(truth, image, head).values["ms_ssim_head"] for image in (noisy, lost))
    assert loss < noise < 1


@pytest.mark.parametrize(("side", "scales"), [(10, 0), (11, 1), (22, 2), (175, 4), (176, 5)])
def test_number_of_scales_follows_the_frame(side, scales):
    assert scale_count((side, 300)) == scales


def test_a_frame_smaller_than_the_window_has_figures_in_the_head_only():
    truth = np.random.default_rng(5).random((2, 9, 9))
    found = score(truth, truth / 2, np.ones(truth.shape, bool)).values
    assert 0 < found["ssim_head"] < 1
    assert math.isnan(found["ssim_frame"])
    assert math.isnan(found["ms_ssim_head"])


def test_another_shape_is_refused(truth, head):
    with pytest.raises(InputError, match="shape"):
        score(truth, truth[:, :-1], head)


def test_values_that_are_not_finite_are_refused(truth, head):
    broken = truth.copy()
    broken[1, 40, 40] = np.nan
    with pytest.raises(InputError, match="not finite"):
        score(truth, broken, head)


NPC_SLICES = Path(__file__).parents[3] / "shared" / "data" / "npc_t2" / "mini_test" / "images"


@pytest.mark.skipif(not NPC_SLICES.is_dir(), reason="the real NPC slices are not here")
def test_figures_on_real_slices_are_those_the_rule_was_measured_with():
    images = [
        np.asarray(Image.open(path).convert("L").resize((224, 224), Image.Resampling.BILINEAR))
        for path in sorted(NPC_SLICES.glob("*.jpg"))
    ]
    truth = np.stack(images) / 255.0
    distorted = distortions(truth)
    expected = {"nothing": (0.004, 8.9), "shift": (0.78, 22.5), "blur": (0.91, 28.3)}
    figures = {name: [] for name in distorted}
    # The table's PSNR is a mean over slices, so every slice counts as a volume here.
    for index, head in enumerate(head_mask([truth])):
        one = slice(index, index + 1)
        parts = {name: images[one] for name, images in distorted.items()}
        scores, _ = score_all(truth[one], parts, head[np.newaxis])
        for name, found in scores.items():
            figures[name].append([found.values["ssim_head"], found.values["psnr_head"]])
    for name, (similarity, ratio) in expected.items():
        mean = np.mean(figures[name], axis=0)
        assert mean[0] == pytest.approx(similarity, abs=0.006), name
        assert mean[1] == pytest.approx(ratio, abs=0.15), name
