import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import UsageError
from omnisyn.models.backbone import backbone_names
from omnisyn.models.generator import PROMPTS, Generator, build_generator
from tests.models.narrow import narrow_settings

# Every registered backbone passes through these tests.
BACKBONES = backbone_names()


def narrow(name: str) -> Generator:
    return build_generator(narrow_settings(name), seed=1).eval()


def stirred(name: str) -> Generator:
    """A narrow generator whose zero-initialised parts have been moved, as training would."""
    model = narrow(name)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model


def slices(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (50, 37), (33, 96), (512, 64)])
def test_any_size_comes_back_as_it_went_in(name: str, rows: int, columns: int) -> None:
    model = narrow(name)
    with torch.no_grad():
        features = model.encode(slices(2, 1, rows, columns))
        image = model.decode(features, model.condition(["T2", "T1c"]))
    assert features[0].shape == (2, model.channels[0], rows, columns)
    assert tuple(maps.shape[1] for maps in features) == model.channels
    assert image.shape == (2, 1, rows, columns)


@pytest.mark.parametrize("name", BACKBONES)
def test_output_lies_between_zero_and_one(name: str) -> None:
    model = stirred(name)
    with torch.no_grad():
        for _, parameter in model.decoder.named_parameters():
            parameter *= 3
        image = model(slices(1, 1, 64, 64), torch.tensor([[True]]), model.condition(["PD"]))
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0


@pytest.mark.parametrize("name", BACKBONES)
def test_padding_is_even_so_that_a_padded_image_gives_the_same(name: str) -> None:
    model = stirred(name)
    small = slices(1, 1, 60, 52)
    across, down = (-52 % model.stride) // 2, (-60 % model.stride) // 2
    framed = torch.nn.functional.pad(small, (across, across, down, down))
    with torch.no_grad():
        maps = model.encode(small)
        framed_maps = model.encode(framed)
    torch.testing.assert_close(maps[-1], framed_maps[-1])
    torch.testing.assert_close(maps[0], framed_maps[0][..., down : down + 60, across : across + 52])


@pytest.mark.parametrize("name", BACKBONES)
def test_target_steers_the_result(name: str) -> None:
    model = stirred(name)
    with torch.no_grad():
        features = [maps.expand(2, -1, -1, -1) for maps in model.encode(slices(1, 1, 64, 64))]
        first, second = model.decode(features, model.condition(["T1", "T2"]))
    assert (first - second).abs().mean() > 1e-4


@pytest.mark.parametrize("name", BACKBONES)
def test_several_sources_agree_with_encoding_each_alone(name: str) -> None:
    model = stirred(name)
    sources = slices(2, 6, 40, 64)
    present = torch.tensor([[True, False, True, False, False, True]] * 2)
    condition = model.condition(["FLAIR", "T2"])
    with torch.no_grad():
        whole = model(sources, present, condition)
        alone = [model.encode(sources[:, [i]]) for i in (0, 2, 5)]
        stacks = [torch.stack(level, dim=1) for level in zip(*alone, strict=True)]
        fused = model.fuse(stacks, torch.ones(2, 3, dtype=torch.bool))
        apart = model.decode(fused, condition)
    torch.testing.assert_close(whole, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_absent_slots_are_not_even_read(name: str) -> None:
    model = stirred(name)
    sources = slices(2, 3, 32, 64)
    present = torch.tensor([[True, False, True], [False, True, True]])
    condition = model.condition(["T2", "T2"])
    with torch.no_grad():
        clean = model(sources, present, condition)
        sources[~present] = 1000.0
        filled = model(sources, present, condition)
    assert torch.equal(clean, filled)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_weight_receives_a_gradient(name: str) -> None:
    model = stirred(name).train()
    present = torch.tensor([[True, True], [True, False]])
    image = model(slices(2, 2, 64, 64), present, model.condition(["T1", "T2"]))
    (image - 0.5).square().mean().backward()
    without = [key for key, weight in model.named_parameters() if weight.grad is None]
    assert without == []


@pytest.mark.parametrize("name", BACKBONES)
def test_encoder_and_decoder_and_fusion_are_all_there_is(name: str) -> None:
    model = narrow(name)
    parts = sum(
        weight.numel()
        for part in (model.encoder, model.decoder, model.fusion)
        for weight in part.parameters()
    )
    assert parts == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_same_seed_gives_the_same_weights(name: str) -> None:
    settings = narrow_settings(name)
    first, again, other = (build_generator(settings, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    narrow("small")
    assert torch.equal(before, torch.get_rng_state())


def test_prompts_are_the_contrasts_plain_then_fat_suppressed() -> None:
    assert PROMPTS[:6] == NAMES
    assert PROMPTS[6:] == tuple(f"{name} fat-suppressed" for name in NAMES)


def test_condition_finds_the_row_by_any_alias() -> None:
    model = narrow("small")
    rows = model.condition(["t1ce", "T2w", "T2"], fat_suppressed=[True, False, True])
    assert torch.equal(rows, model.target_vectors[[7, 2, 8]])


def test_condition_of_an_unknown_contrast_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown contrast"):
        narrow("small").condition(["CT"])


def test_target_vectors_are_kept_at_unit_length() -> None:
    model = narrow("small")
    model.set_target_vectors(torch.full((12, 16), 3.0))
    torch.testing.assert_close(model.target_vectors.norm(dim=1), torch.ones(12))
    with pytest.raises(ValueError, match="shape"):
        model.set_target_vectors(torch.zeros(6, 16))
