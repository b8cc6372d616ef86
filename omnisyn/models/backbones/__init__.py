"""One file per backbone. Importing this package registers all of them."""

from omnisyn.models.backbones import (
    brainmvp,
    resvit,
    small,
    swinunet,
    swinunetr,
    swinunetrv2,
    transunet,
    tumsyn,
    unet,
    unetr,
)

__all__ = [
    "brainmvp",
    "resvit",
    "small",
    "swinunet",
    "swinunetr",
    "swinunetrv2",
    "transunet",
    "tumsyn",
    "unet",
    "unetr",
]
