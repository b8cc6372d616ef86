import torch
from torch.utils.flop_counter import FlopCounterMode

from omnisyn.models.backbone import ModelSettings
from omnisyn.models.backbones.small import ResidualBlock, bounded, knot_weights
from omnisyn.models.generator import build_generator

SIZE = 224


def operations_per_slice(settings: ModelSettings) -> int:
    """Floating-point operations to encode one source and decode one target, counted by torch.

    On the device "meta" nothing is computed, so the published width costs no time here.
    """
    model = build_generator(settings).to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        features = model.encode(torch.empty(1, 1, SIZE, SIZE, device="meta"))
        model.decode(features, torch.empty(1, model.settings.condition_size, device="meta"))
    return counter.get_total_flops()


def test_small_has_at_most_eight_million_parameters() -> None:
    model = build_generator(ModelSettings(backbone="small"))
    assert sum(weight.numel() for weight in model.parameters()) <= 8_000_000


def test_small_needs_five_times_fewer_operations_than_paper() -> None:
    small = ModelSettings(backbone="small")
    paper = ModelSettings(backbone="swinunetr", width=48, condition_size=512)
    assert operations_per_slice(paper) >= 5 * operations_per_slice(small)


def test_result_does_not_depend_on_the_air_around_the_head() -> None:
    torch.manual_seed(1)
    encoder = build_generator(ModelSettings(width=4), seed=1).backbone.encoder
    with torch.no_grad():
        for block in encoder.blocks.modules():
            if isinstance(block, ResidualBlock):
                torch.nn.init.normal_(block.second.weight, std=0.1)
        head = torch.rand(1, 1, 64, 64)
        close = encoder(torch.nn.functional.pad(head, (512, 512, 512, 512)))
        wide = encoder(torch.nn.functional.pad(head, (640, 640, 640, 640)))
    # The deepest map alone looks at the whole frame.
    for level in range(5):
        place, size = 512 >> level, 64 >> level
        more = 640 >> level
        near = close[level][..., place : place + size, place : place + size]
        far = wide[level][..., more : more + size, more : more + size]
        assert near.std() > 0
        torch.testing.assert_close(near, far)


def test_knot_weights_sum_to_one_and_give_the_grey_value_back() -> None:
    images = torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(1))
    images[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    weights = knot_weights(images)
    count = weights.shape[1]
    torch.testing.assert_close(weights.sum(dim=1, keepdim=True), torch.ones_like(images))
    assert int((weights > 1e-6).sum(dim=1).max()) <= 2
    knots = torch.linspace(0, 1, count).view(1, -1, 1, 1)
    torch.testing.assert_close((weights * knots).sum(dim=1, keepdim=True), images)


def test_curves_alone_can_give_any_piecewise_linear_map_of_the_source() -> None:
    model = build_generator(ModelSettings(width=4), seed=1)
    images = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    decoder = model.backbone.decoder
    before = model.decode(model.encode(images), model.condition(["T2", "T2"]))
    with torch.no_grad():
        decoder.last.weight.zero_()
        decoder.last.bias.zero_()
        knots = knot_weights(images).shape[1]
        decoder.coefficients.bias[4 : 4 + knots] = torch.linspace(1, 0, knots)
        inverted = model.decode(model.encode(images), model.condition(["T2", "T2"]))
    torch.testing.assert_close(inverted, 1 - images)
    assert not torch.allclose(before, inverted)


def test_two_sources_can_each_bring_their_grey_values() -> None:
    model = build_generator(ModelSettings(), seed=1)
    images = torch.rand(1, 2, 32, 32, generator=torch.Generator().manual_seed(1))
    present = torch.ones(1, 2, dtype=torch.bool)
    finest = model.encode(images[0][:, None])[0]
    heads, size = model.settings.fusion_heads, finest.shape[1] // model.settings.fusion_heads
    knots = [head for head in range(heads) if head * size >= model.settings.width]
    own = [finest[:, head * size : (head + 1) * size] for head in knots]
    assert len(knots) == 2
    assert torch.equal(own[0], own[1])
    torch.testing.assert_close(own[0], knot_weights(images[0][:, None]))
    assert model.encode_sources(images, present)[0].shape == (1, *finest.shape[1:])


def test_residual_block_starts_as_the_identity() -> None:
    maps = torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ResidualBlock(8)(maps), maps)


def test_bounded_pulls_strays_back_and_pushes_none_further_out() -> None:
    values = torch.tensor([-0.5, -0.5, 0.3, 1.5, 1.5], requires_grad=True)
    result = bounded(values)
    assert result.tolist() == [0.0, 0.0, torch.tensor(0.3).item(), 1.0, 1.0]
    result.backward(torch.tensor([-1.0, 1.0, 2.0, 1.0, -1.0]))
    assert values.grad is not None
    assert values.grad.tolist() == [-1.0, 0.0, 2.0, 1.0, 0.0]


def test_maps_have_their_channels_innermost_in_memory() -> None:
    model = build_generator(ModelSettings(width=8))
    features = model.encode(torch.rand(2, 1, 64, 64))
    assert all(maps.is_contiguous(memory_format=torch.channels_last) for maps in features)
