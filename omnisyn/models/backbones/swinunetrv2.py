"""`swinunetrv2`: SwinUNETR with a residual convolution block before each Swin stage.

"SwinUNETR-V2", He et al. 2023, as MONAI has it; published width 48. Nothing else differs from
`swinunetr`.
"""

from __future__ import annotations

from typing import ClassVar

from omnisyn.models.backbone import register_backbone
from omnisyn.models.backbones.swinunetr import SwinUnetr


@register_backbone("swinunetrv2")
class SwinUnetrV2(SwinUnetr):
    """Maps as `swinunetr` has them."""

    version_2: ClassVar[bool] = True
