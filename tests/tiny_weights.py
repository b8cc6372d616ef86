"""Weights of a very narrow network, for whatever needs some and does not ask what they make."""

from pathlib import Path

import torch

from omnisyn.models.card import CardDescription
from omnisyn.models.clip.assembly import assemble
from omnisyn.models.clip.families.small import small_shape
from omnisyn.models.clip.text_image import TextImageModel
from omnisyn.models.generator import Generator, ModelSettings, build_generator
from omnisyn.models.weights import save_weights
from omnisyn.training.artefacts import prompt_sentences


def tiny_generator() -> Generator:
    """A fresh one, always the same."""
    return build_generator(ModelSettings(backbone="small", width=4, fusion_heads=1), seed=1)


def listening_generator() -> Generator:
    """The same, but that a fresh network does not listen to its target yet; noise makes it."""
    generator = tiny_generator()
    draws = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=draws)
    return generator


def tiny_tower(seed: int = 3) -> TextImageModel:
    """A fresh text tower, far narrower than any that is trained; the same for the same seed."""
    shape = small_shape(128)
    narrow = {"width": 16, "heads": 1, "layers": 1}
    text = {**shape.model["text_cfg"], **narrow}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tower = assemble(shape.model_copy(update={"model": {**shape.model, "text_cfg": text}}))
        # A fresh one hears all texts as nearly the same.
        torch.nn.init.normal_(tower.clip.token_embedding.weight)
    return tower.eval()


def save_worded(path: Path) -> Path:
    """Write weights that know words: a text tower beside, whose vectors the targets have."""
    generator, tower = listening_generator(), tiny_tower()
    with torch.no_grad():
        generator.set_target_vectors(tower.encode_text(prompt_sentences()))
    return save_tiny(path, generator, tower)


def save_tiny(
    path: Path, generator: Generator | None = None, tower: TextImageModel | None = None
) -> Path:
    """Write weights (NAME.safetensors) with their card; returns their path."""
    description = CardDescription(
        name="tiny",
        recipe="test",
        trained_on="nothing at all",
        simulated=True,
        described=tower is not None,
    )
    save_weights(path, generator or tiny_generator(), description, text=tower)
    return path
