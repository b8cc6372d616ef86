"""One file per backbone. Importing this package registers all of them."""

from omnisyn.models.backbones import small, swinunetr

__all__ = ["small", "swinunetr"]
