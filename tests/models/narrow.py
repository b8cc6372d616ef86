"""The narrowest settings that a backbone can have, for tests that every one of them passes."""

from omnisyn.models.backbone import ModelSettings, backbone_class


def narrow_settings(name: str) -> ModelSettings:
    return ModelSettings(backbone=name, width=backbone_class(name).width_step, condition_size=16)
