import pytest

from omnisyn.errors import UsageError
from omnisyn.models.backbone import (
    ModelSettings,
    backbone_names,
    build_backbone,
    register_backbone,
)


def test_both_recipes_backbones_are_registered() -> None:
    assert {"small", "swinunetr"} <= set(backbone_names())


@pytest.mark.parametrize("name", backbone_names())
def test_a_backbone_keeps_its_promises(name: str) -> None:
    backbone = build_backbone(ModelSettings(backbone=name, width=12, condition_size=16))
    assert len(backbone.channels) >= 2
    assert backbone.channels[0] >= 12
    inside = {id(weight) for weight in backbone.parameters()}
    halves = [*backbone.encoder.parameters(), *backbone.decoder.parameters()]
    assert {id(weight) for weight in halves} == inside
    assert len(halves) == len(inside)


def test_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'swinunetr'"):
        build_backbone(ModelSettings(backbone="swinunet-r"))


def test_a_name_is_registered_once_only() -> None:
    with pytest.raises(ValueError, match="two backbones are called 'small'"):
        register_backbone("small")(build_backbone)


def test_swinunetr_of_an_impossible_width_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 12"):
        build_backbone(ModelSettings(backbone="swinunetr", width=20))
