import pytest
import torch

from omnisyn.errors import UsageError
from omnisyn.models.fusion import Fusion, SourceAttention


def trained_fusion(channels: tuple[int, ...] = (8, 16)) -> Fusion:
    """A fusion whose scores have left their zero start."""
    torch.manual_seed(3)
    fusion = Fusion(channels, heads=4)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter)
    return fusion


def maps_of(sources: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sources)
    return [
        torch.randn(2, sources, 8, 12, 10, generator=generator),
        torch.randn(2, sources, 16, 6, 5, generator=generator),
    ]


def test_one_source_passes_unchanged() -> None:
    features = maps_of(1)
    fused = trained_fusion()(features, torch.ones(2, 1, dtype=torch.bool))
    assert all(torch.equal(one, many[:, 0]) for one, many in zip(fused, features, strict=True))


def test_one_present_source_of_many_passes_unchanged() -> None:
    features = maps_of(6)
    present = torch.zeros(2, 6, dtype=torch.bool)
    present[0, 4] = present[1, 2] = True
    fused = trained_fusion()(features, present)
    for one, many in zip(fused, features, strict=True):
        assert torch.equal(one, torch.stack([many[0, 4], many[1, 2]]))


@pytest.mark.parametrize("sources", [2, 3, 6])
def test_order_of_sources_has_no_effect(sources: int) -> None:
    fusion, features = trained_fusion(), maps_of(sources)
    present = torch.ones(2, sources, dtype=torch.bool)
    present[1, 0] = sources < 3
    order = torch.randperm(sources, generator=torch.Generator().manual_seed(1))
    straight = fusion(features, present)
    shuffled = fusion([maps[:, order] for maps in features], present[:, order])
    for one, other in zip(straight, shuffled, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("fill", [1e6, float("inf"), float("nan")])
def test_absent_sources_have_no_influence(fill: float) -> None:
    fusion, features = trained_fusion(), maps_of(4)
    present = torch.tensor([[True, False, True, False], [False, True, True, True]])
    clean = fusion(features, present)
    for maps in features:
        maps[~present] = fill
    for one, other in zip(clean, fusion(features, present), strict=True):
        assert torch.equal(one, other)


def test_absent_slots_give_the_same_as_no_slots() -> None:
    fusion, features = trained_fusion(), maps_of(4)
    present = torch.tensor([[True, False, True, False]] * 2)
    with_slots = fusion(features, present)
    without = fusion([maps[:, [0, 2]] for maps in features], present[:, [0, 2]])
    for one, other in zip(with_slots, without, strict=True):
        torch.testing.assert_close(one, other)


def test_training_sets_out_from_the_mean() -> None:
    features = maps_of(3)
    fused = Fusion((8, 16), heads=4)(features, torch.ones(2, 3, dtype=torch.bool))
    torch.testing.assert_close(fused[0], features[0].mean(dim=1))


def test_scores_are_learned_from_the_start() -> None:
    fusion, features = Fusion((8, 16), heads=4), maps_of(3)
    fused = fusion(features, torch.ones(2, 3, dtype=torch.bool))
    sum(maps.square().sum() for maps in fused).backward()
    for level in fusion.levels:
        assert level.score.weight.grad.abs().max() > 0  # type: ignore[union-attr]


def test_a_source_is_judged_beside_the_others() -> None:
    # The share of the first source against the second must change with the third.
    fusion = trained_fusion((8,))
    maps = maps_of(3)[0]
    changed = maps.clone()
    changed[:, 2] += 3
    present = torch.ones(2, 3, dtype=torch.bool)
    ratios = []
    for version in (maps, changed):
        weights = shares(fusion, version, present)
        ratios.append(weights[:, 0] / weights[:, 1])
    assert (ratios[0] - ratios[1]).abs().max() > 0.01


def test_fine_maps_are_weighed_by_what_the_coarsest_say() -> None:
    fusion, features = trained_fusion(), maps_of(2)
    present = torch.ones(2, 2, dtype=torch.bool)
    before = fusion(features, present)[0]
    features[1][:, 0] += torch.randn(16, 1, 1, generator=torch.Generator().manual_seed(5))
    assert (fusion(features, present)[0] - before).abs().max() > 0.01


def shares(fusion: Fusion, maps: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Weights [batch, sources, heads, rows, columns] that the fusion gives the sources."""
    level = fusion.levels[0]
    kept = []
    handle = level.score.register_forward_hook(lambda *call: kept.append(call[2]))
    fusion([maps], present)
    handle.remove()
    scores = kept[0].view(*maps.shape[:2], level.heads, *maps.shape[3:])
    return torch.softmax(scores, dim=1)


def test_item_without_any_source_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one present source"):
        trained_fusion()(maps_of(2), torch.tensor([[True, True], [False, False]]))


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(UsageError, match="5 fusion heads do not divide 8 channels"):
        SourceAttention(8, kinds=16, heads=5)
