import pytest
from accelerate import init_empty_weights

from omnisyn.errors import UsageError
from omnisyn.models.backbone import (
    ModelSettings,
    backbone_class,
    backbone_names,
    build_backbone,
    register_backbone,
)
from tests.models.narrow import narrow_settings

# Millions of parameters in 2D at published width, one channel in and out (networks.md).
PUBLISHED = {
    "swinunetr": 25.1,
    "swinunetrv2": 28.7,
    "unet": 18.9,
    "unetr": 87.3,
    "swinunet": 27.2,
    "transunet": 67.0,
    "resvit": 123.0,
}
OF_THE_COMPARISON = {*PUBLISHED, "brainmvp", "tumsyn"}


def test_ours_and_the_nine_of_the_comparison_are_registered() -> None:
    assert {*OF_THE_COMPARISON, "small"} <= set(backbone_names())


@pytest.mark.parametrize("name", backbone_names())
def test_its_two_halves_are_all_of_it_and_share_nothing(name: str) -> None:
    backbone = build_backbone(narrow_settings(name))
    assert len(backbone.channels) >= 2
    inside = {id(weight) for weight in backbone.parameters()}
    halves = [*backbone.encoder.parameters(), *backbone.decoder.parameters()]
    assert {id(weight) for weight in halves} == inside
    assert len(halves) == len(inside)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_as_many_as_published(name: str) -> None:
    width = backbone_class(name).published_width
    with init_empty_weights():
        backbone = build_backbone(ModelSettings(backbone=name, width=width, condition_size=512))
    millions = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
    # The condition, which none of the publications has, is counted as well.
    assert millions == pytest.approx(PUBLISHED[name], rel=0.05)


def test_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'swinunetr'"):
        build_backbone(ModelSettings(backbone="swinunet-r"))


def test_a_name_is_registered_once_only() -> None:
    with pytest.raises(ValueError, match="two backbones are called 'small'"):
        register_backbone("small")(backbone_class("small"))


@pytest.mark.parametrize(
    "name", [name for name in backbone_names() if backbone_class(name).width_step > 4]
)
def test_an_impossible_width_is_refused(name: str) -> None:
    width = backbone_class(name).width_step + 4
    with pytest.raises(UsageError, match=f"{name} cannot be {width} channels wide; choose a mul"):
        build_backbone(ModelSettings(backbone=name, width=width))
