import itertools
import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch.nn import functional

from omnisyn.evaluation import metrics
from omnisyn.training.objectives import (
    class_logits,
    feature_alignment,
    head_mask,
    image_text_contrastive,
    image_text_logits,
    info_nce,
    nearest_image_is_right,
    nearest_text_is_right,
    pixel_weights,
    prompt_distance,
    prompt_separation,
    retrieval_accuracy,
    same_slice_pairs,
    ssim_map,
    weighted_mean,
)
from omnisyn.volumes import normalize

SLICES = torch.tensor([0, 0, 0, 1, 1, 2])


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_maps(generator: torch.Generator) -> list[torch.Tensor]:
    sizes = [(2, 16), (2, 8), (4, 8), (8, 4), (8, 2), (16, 1)]
    return [torch.randn(6, c, s, s, generator=generator) for c, s in sizes]


def test_pairs_are_all_pairs_within_a_slice() -> None:
    first, second = same_slice_pairs(SLICES)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (1, 2),
        (3, 4),
    ]


def test_alignment_is_the_mean_over_pairs_and_over_the_first_three_of_the_last_four_maps(
    generator: torch.Generator,
) -> None:
    maps = random_maps(generator)
    expected = np.mean(
        [
            float((maps[level][i] - maps[level][j]).abs().mean())
            for level in (2, 3, 4)
            for i, j in ((0, 1), (0, 2), (1, 2), (3, 4))
        ]
    )
    assert float(feature_alignment(maps, SLICES)) == pytest.approx(expected, rel=1e-5)


def test_alignment_of_equal_maps_is_zero() -> None:
    maps = [torch.ones(6, 2, 4, 4)] * 6
    assert float(feature_alignment(maps, SLICES)) == 0


def test_alignment_without_pairs_is_zero_and_still_has_a_gradient(
    generator: torch.Generator,
) -> None:
    maps = [each.requires_grad_() for each in random_maps(generator)]
    loss = feature_alignment(maps, torch.arange(6))
    loss.backward()
    assert float(loss.detach()) == 0
    assert maps[-1].grad is not None


def test_info_nce_equals_the_loop_over_anchors(generator: torch.Generator) -> None:
    deepest = torch.randn(6, 5, 2, 2, generator=generator)
    features = functional.normalize(deepest.mean(dim=(2, 3)), dim=1)
    anchors = []
    for a in range(6):
        positives = [q for q in range(6) if q != a and SLICES[q] == SLICES[a]]
        negatives = [r for r in range(6) if SLICES[r] != SLICES[a]]
        if not positives:
            continue
        away = sum(math.exp(float(features[a] @ features[r]) / 0.07) for r in negatives)
        losses = []
        for q in positives:
            near = math.exp(float(features[a] @ features[q]) / 0.07)
            losses.append(-math.log(near / (near + away)))
        anchors.append(sum(losses) / len(losses))
    expected = sum(anchors) / len(anchors)
    assert float(info_nce(deepest, SLICES, 0.07)) == pytest.approx(expected, rel=1e-4)


def test_info_nce_falls_when_contrasts_of_a_slice_agree(generator: torch.Generator) -> None:
    own = torch.randn(3, 8, 1, 1, generator=generator)
    noise = torch.randn(6, 8, 1, 1, generator=generator)
    agreeing = own[SLICES] + 0.01 * noise
    assert info_nce(agreeing, SLICES, 0.07) < 0.5 * info_nce(noise, SLICES, 0.07)


@pytest.mark.parametrize("slices", [torch.arange(6), torch.zeros(6, dtype=torch.long)])
def test_info_nce_without_positives_or_negatives_is_zero(
    slices: torch.Tensor, generator: torch.Generator
) -> None:
    assert float(info_nce(torch.randn(6, 4, 1, 1, generator=generator), slices, 0.07)) == 0


def test_retrieval_counts_images_whose_nearest_image_shows_their_slice() -> None:
    directions = torch.eye(3)[torch.tensor([0, 0, 0, 1, 2, 2])]
    # Images 3, 4 and 5: only 4 and 5 are alike, and they show different slices.
    accuracy = retrieval_accuracy(directions[:, :, None, None], SLICES)
    assert float(accuracy) == pytest.approx(3 / 6)


def test_class_logits_are_the_first_entries() -> None:
    features = torch.arange(16.0).view(2, 8)
    assert class_logits(features, 6, 2.0).tolist() == (2 * features[:, :6]).tolist()


def test_contrastive_is_lowest_when_images_lie_on_their_prompts() -> None:
    prompts = torch.eye(12)
    labels = torch.tensor([0, 0, 3, 8])
    right = image_text_contrastive(image_text_logits(prompts[labels], prompts, 20.0), labels)
    wrong = image_text_contrastive(
        image_text_logits(prompts[labels.roll(2)], prompts, 20.0), labels
    )
    # Two images share a prompt, so that prompt's choice among images stays undecided: log 2 / 3.
    assert float(right) == pytest.approx(math.log(2) / 6, abs=1e-4)
    assert wrong > 5


def test_separation_is_zero_for_orthogonal_prompts_and_largest_for_equal_ones() -> None:
    assert float(prompt_separation(torch.eye(12), 50.0)) == pytest.approx(0, abs=1e-6)
    same = torch.eye(12)[:1].expand(12, -1)
    assert float(prompt_separation(same, 50.0)) == pytest.approx(math.log(12))


@pytest.mark.parametrize("k2", [0.03, 0.015])
def test_ssim_is_that_of_scikit_image_away_from_the_border(
    generator: torch.Generator, k2: float
) -> None:
    truth = torch.rand(2, 1, 40, 33, generator=generator)
    prediction = (truth + 0.3 * torch.rand(2, 1, 40, 33, generator=generator)).clamp(0, 1)
    found = ssim_map(prediction, truth, k2)
    for one in range(2):
        _, expected = structural_similarity(
            prediction[one, 0].numpy(),
            truth[one, 0].numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            K2=k2,
            full=True,
        )
        inner = (slice(5, -5), slice(5, -5))
        assert np.allclose(found[one, 0].numpy()[inner], expected[inner], atol=1e-4)


def test_ssim_of_an_image_with_itself_is_one_and_pulls_the_prediction_to_the_truth(
    generator: torch.Generator,
) -> None:
    truth = torch.rand(1, 1, 24, 24, generator=generator)
    assert torch.allclose(ssim_map(truth, truth), torch.ones(()), atol=1e-4)
    prediction = (truth * 0.5).requires_grad_()
    before = ssim_map(prediction, truth).mean()
    before.backward()
    assert prediction.grad is not None
    after = ssim_map(prediction.detach() + prediction.grad, truth).mean()
    assert after > before


def test_a_smaller_constant_asks_for_fainter_detail(generator: torch.Generator) -> None:
    truth = 0.5 + 0.01 * torch.randn(1, 1, 40, 40, generator=generator)
    smooth = torch.full_like(truth, 0.5)
    inner = (..., slice(5, -5), slice(5, -5))
    usual, faint = (float(ssim_map(smooth, truth, k2)[inner].mean()) for k2 in (0.03, 0.015))
    assert usual > 0.85
    assert faint < 0.75


def test_head_mask_is_the_union_without_specks_and_without_absent_contrasts() -> None:
    images = torch.zeros(1, 2, 20, 20)
    images[0, 0, 4:10, 4:10] = 0.5
    images[0, 0, 15, 15] = 0.5
    images[0, 1, 10:14, 4:10] = 0.5
    both = head_mask(images, torch.tensor([[True, True]]))
    one = head_mask(images, torch.tensor([[True, False]]))
    assert int(both.sum()) == 10 * 6
    assert int(one.sum()) == 6 * 6


def test_quick_head_mask_and_ssim_agree_with_those_of_the_evaluation() -> None:
    noise = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :112]
    radius = np.hypot((rows - 62) / 50, (columns - 55) / 42)
    tissue = 0.5 + 0.3 * np.sin(rows / 6) * np.cos(columns / 9)
    head = np.where((radius < 1) & (np.abs(radius - 0.8) > 0.05), tissue, 0.0)
    slices = [
        np.abs(each + 0.012 * noise.normal(size=head.shape)).astype(np.float32)[None]
        for each in (head, 0.6 * np.sqrt(head))
    ]
    ours = head_mask(torch.from_numpy(np.stack(slices, axis=1)), torch.ones(1, 2, dtype=torch.bool))
    theirs = normalize.head_mask(slices)
    # The quick form leaves the dark ring open, which the evaluation fills; elsewhere they agree.
    solid = ours[0, 0].numpy() | ((np.abs(radius - 0.8) <= 0.06) & theirs[0])
    assert np.mean(solid != theirs[0]) < 0.005
    found = ssim_map(*(torch.from_numpy(each[None]) for each in slices))[0, 0].numpy()
    expected = metrics.ssim_map(*(each[0].astype(np.float64) for each in slices))
    assert np.abs(found - expected)[5:-5, 5:-5].max() < 1e-3


def test_weights_are_one_in_the_widened_head_and_small_outside() -> None:
    mask = torch.zeros(1, 1, 21, 21, dtype=torch.bool)
    mask[0, 0, 10, 10] = True
    weights = pixel_weights(mask, margin=2, background_weight=0.1)
    assert int((weights == 1).sum()) == 25
    assert float(weights.min()) == pytest.approx(0.1)
    values = torch.where(weights == 1, 1.0, 0.0)
    expected = 25 / (25 + 0.1 * (21 * 21 - 25))
    assert float(weighted_mean(values, weights)) == pytest.approx(expected)


def test_prompt_distance_is_zero_for_equal_and_two_for_opposite_vectors() -> None:
    vectors = torch.eye(4)
    assert float(prompt_distance(vectors, vectors)) == pytest.approx(0)
    assert float(prompt_distance(vectors, -vectors)) == pytest.approx(2)


def test_losses_keep_their_value_when_images_change_their_order(
    generator: torch.Generator,
) -> None:
    maps = random_maps(generator)
    for order in itertools.islice(itertools.permutations(range(6)), 100, 104):
        moved = torch.tensor(order)
        shuffled = [each[moved] for each in maps]
        assert torch.allclose(
            info_nce(shuffled[-1], SLICES[moved], 0.1), info_nce(maps[-1], SLICES, 0.1), rtol=1e-4
        )
        assert torch.allclose(
            feature_alignment(shuffled, SLICES[moved]), feature_alignment(maps, SLICES), rtol=1e-4
        )


def test_retrieval_asks_each_image_for_its_text_and_each_text_for_an_image_of_its_own() -> None:
    similarity = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.7, 0.0], [0.2, 0.6, 0.5]])
    labels = torch.tensor([0, 1, 1])
    assert nearest_text_is_right(similarity, labels).tolist() == [True, False, True]
    # The third text's nearest image shows the second.
    assert nearest_image_is_right(similarity, labels).tolist() == [True, True, False]
