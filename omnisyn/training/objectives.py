"""The objectives of the three stages, each a pure function of tensors.

Legend of shapes: `n` encoded images (a slice in one contrast each), `p` pairs, `k` prompts,
`d` feature size, `c h w` channels, rows and columns. Images are in [0, 1].
Formulas: OmniSyn (arXiv 2602.08822), Algorithms 1 and 2 and its released scripts; InfoNCE as van
den Oord et al. 2018; SSIM as Wang et al. 2004 with the window of scikit-image's
`gaussian_weights=True, sigma=1.5, use_sample_covariance=False`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from omnisyn.volumes.normalize import HEAD_THRESHOLD

SSIM_RADIUS = 5
SSIM_SIGMA = 1.5


def same_slice_pairs(slices: Tensor) -> tuple[Tensor, Tensor]:
    """Every unordered pair of images of one slice.

    Args:
        slices: `[n]` integer, the slice that each image shows.

    Returns:
        Two index tensors `[p]`; pairs of a slice with itself in the same contrast are left out.
    """
    first, second = torch.triu(slices[:, None] == slices[None, :], diagonal=1).nonzero(
        as_tuple=True
    )
    return first, second


def feature_alignment(maps: Sequence[Tensor], slices: Tensor) -> Tensor:
    """L1 distance between the maps of every pair of contrasts of a slice.

    The mean is taken over pairs and over the first three of the last four maps, as the released
    script does (the paper's Algorithm 1 writes a squared distance).

    Args:
        maps: the encoder's maps, fine to coarse, each `[n, c, h, w]`.
        slices: `[n]` integer, the slice that each image shows.

    Returns:
        A scalar; zero where no slice has two contrasts.
    """
    first, second = same_slice_pairs(slices)
    compared = maps[-4:-1]
    if len(first) == 0:
        return maps[-1].sum() * 0
    # index_select and not [...]: its gradient adds in a fixed order, so that runs repeat exactly.
    distances = [
        (each.index_select(0, first) - each.index_select(0, second)).abs().mean()
        for each in compared
    ]
    return torch.stack(distances).mean()


def info_nce(deepest: Tensor, slices: Tensor, temperature: float) -> Tensor:
    """Contrast the other contrasts of a slice with all other slices of the batch.

    For anchor a and positive q: -log(e^s(a,q) / (e^s(a,q) + sum of e^s(a,r) over images r of
    other slices)), s the cosine of the globally averaged maps over the temperature; the mean over
    the positives of an anchor, then over the anchors that have one.

    Args:
        deepest: the encoder's coarsest map `[n, c, h, w]`.
        slices: `[n]` integer, the slice that each image shows.
        temperature: of the softmax, above zero.

    Returns:
        A scalar; zero where no slice has two contrasts or the batch holds a single slice.
    """
    features = functional.normalize(deepest.float().mean(dim=(2, 3)), dim=1)
    similarity = features @ features.T / temperature
    same = slices[:, None] == slices[None, :]
    positive = same & ~torch.eye(len(slices), dtype=torch.bool, device=slices.device)
    if not positive.any() or same.all():
        return deepest.sum() * 0
    others = similarity.masked_fill(same, float("-inf")).logsumexp(dim=1, keepdim=True)
    losses = torch.logaddexp(similarity, others) - similarity
    count = positive.sum(dim=1)
    per_anchor = (losses * positive).sum(dim=1) / count.clamp(min=1)
    return per_anchor.sum() / (count > 0).sum()


def retrieval_accuracy(deepest: Tensor, slices: Tensor) -> Tensor:
    """Share of images whose nearest other image (cosine) shows the same slice; `[n, c, h, w]`."""
    features = functional.normalize(deepest.float().mean(dim=(2, 3)), dim=1)
    similarity = (features @ features.T).fill_diagonal_(-2.0)
    return (slices[similarity.argmax(dim=1)] == slices).float().mean()


def nearest_text_is_right(similarity: Tensor, labels: Tensor) -> Tensor:
    """Image -> text retrieval, top 1: `[n]` bool, whether the nearest prompt of each image is its
    own.

    Args:
        similarity: `[n, k]`, images by prompts, of whatever scale.
        labels: `[n]`, the prompt of each image.
    """
    return similarity.argmax(dim=1) == labels


def nearest_image_is_right(similarity: Tensor, labels: Tensor) -> Tensor:
    """Text -> image retrieval, top 1: `[k]` bool, whether the nearest image of each prompt is one
    of its own; false for a prompt that no image shows. Arguments as above."""
    own = torch.arange(similarity.shape[1], device=similarity.device)
    return labels[similarity.argmax(dim=0)] == own


def class_logits(features: Tensor, classes: int, scale: Tensor | float) -> Tensor:
    """The first entries of a CLIP feature `[n, d]` read as class logits `[n, classes]`.

    So do the released scripts (Algorithm 2). `scale` is the temperature's inverse; it stands in
    for the length of the feature, which our towers normalize to one.
    """
    return features[:, :classes] * scale


def image_text_logits(images: Tensor, prompts: Tensor, scale: Tensor | float) -> Tensor:
    """Scaled cosine `[n, k]` of image features `[n, d]` and text features `[k, d]`, both of
    length one."""
    return images @ prompts.T * scale


def image_text_contrastive(logits: Tensor, labels: Tensor) -> Tensor:
    """The symmetric image-text loss with one text prototype per prompt.

    Images choose among the prompts; each prompt that the batch shows chooses among the images,
    and all its images are right answers of equal weight.

    Args:
        logits: `[n, k]`, images by prompts.
        labels: `[n]`, the prompt of each image.
    """
    to_text = functional.cross_entropy(logits, labels)
    shown = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
    count = shown.sum(dim=0)
    per_prompt = -(logits.log_softmax(dim=0) * shown).sum(dim=0) / count.clamp(min=1)
    to_image = per_prompt.sum() / (count > 0).sum()
    return (to_text + to_image) / 2


def prompt_separation(prompts: Tensor, scale: Tensor | float) -> Tensor:
    """How hard the prompts `[k, d]` are to tell from each other: each one's cross-entropy of
    being taken for itself among all of them.

    Sentences of an untrained text tower are almost the same vector; images that are pulled
    towards them learn nothing, and a decoder could hardly be steered by them.
    """
    own = torch.arange(len(prompts), device=prompts.device)
    return functional.cross_entropy(prompts @ prompts.T * scale, own)


def head_mask(images: Tensor, present: Tensor) -> Tensor:
    """Where the head is: the union of the contrasts above 0.05, opened once.

    The quick form of the rule of the evaluation (which also fills holes) for batches on a device.

    Args:
        images: `[batch, contrasts, h, w]`.
        present: `[batch, contrasts]` bool.

    Returns:
        `[batch, 1, h, w]` bool.
    """
    shown = images * present[:, :, None, None]
    union = (shown.amax(dim=1, keepdim=True) > HEAD_THRESHOLD).float()
    eroded = -functional.max_pool2d(-union, 3, stride=1, padding=1)
    return functional.max_pool2d(eroded, 3, stride=1, padding=1) > 0.5


def pixel_weights(mask: Tensor, margin: int, background_weight: float) -> Tensor:
    """Weights of the pixels: 1 in the head widened by `margin` pixels, else `background_weight`.

    Without the small weight outside, nothing would keep the background dark; with the same
    weight everywhere, more than half of the loss would be spent on air.
    """
    head = mask.float()
    if margin:
        head = functional.max_pool2d(head, 2 * margin + 1, stride=1, padding=margin)
    return head + (1 - head) * background_weight


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of `values [n, 1, h, w]` under `weights` of the same shape, over all images at once."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def _gaussian_band(size: int, like: Tensor) -> Tensor:
    """The matrix `[size, size]` that smooths a line of pixels with the window of the SSIM."""
    places = torch.arange(size, device=like.device)
    offsets = places[:, None] - places[None, :]
    band = torch.exp(-(offsets.float() ** 2) / (2 * SSIM_SIGMA**2))
    band = band * (offsets.abs() <= SSIM_RADIUS)
    whole = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1).float()
    return band / float(torch.exp(-(whole**2) / (2 * SSIM_SIGMA**2)).sum())


def ssim_map(prediction: Tensor, truth: Tensor, k2: float = 0.03) -> Tensor:
    """The map of structural similarity `[n, 1, h, w]` of images in [0, 1].

    Gaussian window 11, sigma 1.5, population covariance, data range 1. The frame is continued
    with zeros (air), which differs from scikit-image within five pixels of the border only.
    No gradient flows to `truth`.

    Args:
        k2: as in Wang et al. 2004: detail fainter than this, a.u., counts little.
    """
    # A variance is a small difference of large numbers: half precision would lose it.
    with torch.autocast(prediction.device.type, enabled=False):
        prediction, truth = prediction.float(), truth.float()
        # Products with two band matrices: on a CPU several times faster, gradient included, than
        # the convolutions of single channels that they stand for.
        rows = _gaussian_band(prediction.shape[-2], prediction)
        columns = _gaussian_band(prediction.shape[-1], prediction)
        moments = torch.cat([prediction, prediction * prediction, prediction * truth])
        mean_p, square_p, product = (rows @ moments @ columns).chunk(3)
        with torch.no_grad():
            mean_t, square_t = (rows @ torch.cat([truth, truth * truth]) @ columns).chunk(2)
    variance_p, variance_t = square_p - mean_p**2, square_t - mean_t**2
    covariance = product - mean_p * mean_t
    c1, c2 = 0.01**2, k2**2
    return ((2 * mean_p * mean_t + c1) * (2 * covariance + c2)) / (
        (mean_p**2 + mean_t**2 + c1) * (variance_p + variance_t + c2)
    )


def prompt_distance(features: Tensor, targets: Tensor) -> Tensor:
    """1 - cosine of features and what they are drawn to, both `[n, d]`: outputs' image features to
    their targets' text features, or text features to fixed ones."""
    return (1 - functional.cosine_similarity(features, targets, dim=1)).mean()
