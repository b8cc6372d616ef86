import pytest
import torch

from omnisyn.contrasts import CONTRASTS
from omnisyn.models.clip.model import ClipSettings, TextImageModel, build_clip


@pytest.fixture
def small() -> TextImageModel:
    return build_clip(ClipSettings(), seed=1).eval()


def slices(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def test_texts_and_images_become_unit_vectors_of_one_space(small: TextImageModel) -> None:
    with torch.no_grad():
        texts = small.encode_text([entry.describe() for entry in CONTRASTS])
        images = small.encode_image(slices(3, 1, 60, 44))
    assert texts.shape == (6, small.embed_size) == (6, 128)
    assert images.shape == (3, 128)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(images.norm(dim=1), torch.ones(3))


def test_different_texts_and_images_differ(small: TextImageModel) -> None:
    with torch.no_grad():
        texts = small.encode_text([entry.describe() for entry in CONTRASTS])
        # The batch's own statistics: those that an untrained tower keeps fit no image.
        small.clip.visual.train()
        images = small.encode_image(slices(3, 1, 64, 64))
        small.clip.visual.eval()
    for vectors in (texts, images):
        similarity = vectors @ vectors.T - torch.eye(len(vectors))
        assert similarity.max() < 0.9999


def test_gradient_reaches_every_pixel(small: TextImageModel) -> None:
    images = slices(1, 1, 70, 90).requires_grad_()
    small.encode_image(images)[:, :3].sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).float().mean() > 0.99


def test_aspect_is_kept_by_padding(small: TextImageModel) -> None:
    bright = small.preprocess(torch.ones(1, 1, 64, 128))[0, 0]
    air = small.preprocess(torch.zeros(1, 1, 128, 128))[0, 0]
    assert bright.shape == (128, 128)
    torch.testing.assert_close(bright[:31], air[:31])
    torch.testing.assert_close(bright[-31:], air[-31:])
    assert (bright[34:94] > air[34:94]).all()


def test_images_get_the_models_own_mean_and_deviation(small: TextImageModel) -> None:
    got = small.preprocess(torch.full((1, 1, 128, 128), 0.7))
    torch.testing.assert_close(got, torch.full((1, 3, 128, 128), (0.7 - 0.2) / 0.25))


def test_towers_and_temperature_are_all_there_is(small: TextImageModel) -> None:
    image, text = list(small.image_tower()), list(small.text_tower())
    assert not {id(weight) for weight in image} & {id(weight) for weight in text}
    assert len(image) + len(text) + 1 == len(list(small.parameters()))


def test_text_tower_is_small_enough_to_ship(small: TextImageModel) -> None:
    assert sum(weight.numel() for weight in small.text_tower()) <= 6_000_000


def test_logit_scale_starts_at_the_published_temperature(small: TextImageModel) -> None:
    torch.testing.assert_close(small.logit_scale, torch.tensor(1 / 0.07))


def test_same_seed_gives_the_same_model(small: TextImageModel) -> None:
    again, other = (build_clip(ClipSettings(), seed=seed) for seed in (1, 2))
    for name, weight in small.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert any(
        not torch.equal(weight, other.state_dict()[name])
        for name, weight in small.state_dict().items()
    )
