"""Weights of a very narrow network, for whatever needs some and does not ask what they make."""

from pathlib import Path

from omnisyn.models.card import CardDescription
from omnisyn.models.generator import Generator, ModelSettings, build_generator
from omnisyn.models.weights import save_weights


def tiny_generator() -> Generator:
    """A fresh one, always the same."""
    return build_generator(ModelSettings(backbone="small", width=4, fusion_heads=1), seed=1)


def save_tiny(path: Path, generator: Generator | None = None) -> Path:
    """Write weights (NAME.safetensors) with their card; returns their path."""
    description = CardDescription(
        name="tiny", recipe="test", trained_on="nothing at all", simulated=True
    )
    save_weights(path, generator or tiny_generator(), description)
    return path
