"""A recipe: every setting of the three stages in one readable TOML file.

`recipes/small.toml` is our default, `recipes/paper.toml` the publication's figures,
`recipes/adapt.toml` what weights are adapted to one's own patients with, `recipes/words.toml` what
they learn to be asked in words with. A recipe is named by its file's stem, or given as a path.
"""

from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, UsageError
from omnisyn.models.backbone import ModelSettings
from omnisyn.models.clip.model import ClipSettings
from omnisyn.settings import Settings, load_toml
from omnisyn.studies.appearance import GreyScales

Stage = Literal["pretrain", "align", "finetune"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class OptimizerSettings(Settings):
    """AdamW (Adam where the weight decay is 0), warmed up linearly, then decayed by a cosine."""

    learning_rate: float = Field(gt=0)
    final_learning_rate: float = Field(0.0, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_steps: int = Field(0, ge=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float = Field(0.0, ge=0)
    """Largest norm of the gradient; 0 leaves it as it is."""
    average_decay: float = Field(0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights; 0 keeps none. Where there is an
    average, it is what is validated and exported."""


class Mixture(Settings):
    """How a batch is shared out among its sources, where it has several; only the ratios count."""

    patients: float = Field(default=1.0, gt=0)
    """Of the data root."""
    label_maps: float = Field(default=1.0, gt=0)
    """Simulated heads of `--label-maps`."""
    procedural: float = Field(default=1.0, gt=0)
    """Simulated heads of the embedded simulation."""
    grey_scales: dict[str, GreyScales] = Field(default_factory=dict)
    """In which patients are shown beside simulated heads. The few scanners of the patients would
    else teach their grey scale to everything that looks real."""

    @field_validator("grey_scales")
    @classmethod
    def _of_contrasts(cls, scales: dict[str, GreyScales]) -> dict[str, GreyScales]:
        if unknown := sorted(set(scales) - set(NAMES)):
            raise ValueError(f"no contrast is called {unknown[0]!r}: {', '.join(NAMES)}")
        return scales


class StageSettings(Settings):
    """What every stage has."""

    steps: int = Field(gt=0)
    """Optimizer steps; one batch each."""
    batch_size: int = Field(gt=0)
    """Slices of a batch, each with all its contrasts, per process."""
    crop: int = Field(gt=0)
    """Rows and columns of a training slice."""
    mixture: Mixture = Mixture()
    any_protocol: float = Field(0.0, ge=0, le=1)
    """Share of the series of simulated heads with times from wide ranges in the place of their
    hospital's, see `simulate/any_protocol.py`."""
    validate_every: int = Field(gt=0)
    save_every: int = Field(gt=0)
    keep_checkpoints: int = Field(2, ge=1)
    log_every: int = Field(10, gt=0)
    optimizer: OptimizerSettings


class PretrainSettings(StageSettings):
    """Stage 1: the objective, and the weights of its parts.

    `contrastive` (as published) brings the contrasts of a slice together; `brainmvp` restores
    images of which most blocks were taken away, see `training/masking.py`.
    """

    objective: Literal["contrastive", "brainmvp"] = "contrastive"
    alignment_weight: float = Field(1.0, ge=0)
    contrastive_weight: float = Field(1.0, ge=0)
    temperature: float = Field(0.07, gt=0)
    reconstruction_weight: float = Field(1.0, ge=0)
    """Of the squared error of what `brainmvp` restores."""
    masked_share: float = Field(0.8, gt=0, lt=1)
    masked_block: int = Field(8, gt=0)
    """Rows and columns of a block that `brainmvp` takes away, in pixels."""


class AlignSettings(StageSettings):
    """Stage 2. With the objective `class`, the first `text_steps` of `steps` train the text tower
    alone, which is frozen from then on; with `contrastive`, both towers train together."""

    objective: Literal["class", "contrastive"] = "contrastive"
    text_steps: int = Field(0, ge=0)
    text_targets: Literal["learned", "similar", "orthogonal", "opposite"] = "learned"
    """Where the prompts' vectors lie: where training puts them, or in a fixed geometry, see
    `text_targets.py`."""
    acquisition_weight: float = Field(0.0, ge=0)
    """Weight of telling images apart by texts that say how each was acquired (TR, TE, TI, field),
    as far as that is known."""

    @model_validator(mode="after")
    def _texts_fit(self) -> "AlignSettings":
        if self.text_targets != "learned" and self.objective != "contrastive":
            raise ValueError(
                f"text_targets {self.text_targets!r} needs the objective contrastive: class logits "
                "are no vectors to pull at"
            )
        if self.acquisition_weight and self.objective != "contrastive":
            raise ValueError(
                "acquisition_weight needs the objective contrastive: class logits know "
                "contrasts only"
            )
        return self

    @model_validator(mode="after")
    def _text_steps_fit(self) -> "AlignSettings":
        if self.text_steps >= self.steps:
            raise ValueError("text_steps must be fewer than steps: the image tower needs the rest")
        return self


class FinetuneSettings(StageSettings):
    """Stage 3: which directions are trained and how the images are compared."""

    pretrained: bool = True
    """Whether the encoder begins as a pretrain run left it; else it begins from nothing."""
    aligned: bool = True
    """Whether targets are steered by the text vectors of an align run; else by orthogonal ones."""
    described: float = Field(0.0, ge=0, le=1)
    """Share of targets that are asked for by how they were acquired, the others by contrast and fat
    alone; above 0 a text tower learns to give the same vectors, see `asking.py`."""
    text_steps: int = Field(0, ge=0)
    """How many of the steps, the last ones, teach the text tower alone, without images."""
    decoder: Literal["frozen", "free"] = "free"
    """What of the decoder and the fusion is trained: all, or nothing. Then what is learned is how
    to ask weights that stay as they are."""
    encoder: Literal["frozen", "partly", "free"] = "frozen"
    """What of the encoder is trained: nothing, the half that makes the coarser maps, or all."""
    low_rank: int = Field(0, ge=0)
    """Rank of the changes that are trained in place of the kernels; 0 trains the kernels."""
    directions: int = Field(4, gt=0)
    """Directions (set of sources -> target) drawn for each slice of a batch."""
    several_sources: float = Field(0.35, ge=0, le=1)
    """Share of directions with more than one source, where the slice has that many."""
    most_sources: int = Field(3, ge=2, le=5)
    source_variation: float = Field(0.0, ge=0, le=1)
    """How strongly the sources' appearance is changed, see `studies/appearance.py`."""
    misregistration_pixels: float = Field(0.0, ge=0, le=5)
    """How far sources beside the first are moved, see `studies/misregistration.py`."""
    mse_weight: float = Field(0.0, ge=0)
    l1_weight: float = Field(0.0, ge=0)
    ssim_weight: float = Field(0.0, ge=0)
    ssim_k2: float = Field(0.03, gt=0, le=0.1)
    """Detail fainter than this, a.u., counts little in the loss; validation has the usual 0.03."""
    text_weight: float = Field(0.0, ge=0)
    """Weight of 1 - cosine of the output's CLIP image feature and the target's text feature."""
    adversarial_weight: float = Field(0.0, ge=0)
    """Weight of a PatchGAN that is trained to tell outputs from real images; 0: there is none."""
    adversarial_width: int = Field(64, ge=4)
    """Channels of the PatchGAN's first layer."""
    head_margin: int = Field(3, ge=0)
    """Pixels by which the head mask of the losses is widened."""
    background_weight: float = Field(0.1, ge=0, le=1)
    pixel_mm: float | None = Field(None, gt=0)
    """Pixel size to which synthesis magnifies coarser slices; written into the card. Weights that
    are trained on keep theirs."""

    @model_validator(mode="after")
    def _some_loss(self) -> "FinetuneSettings":
        if self.mse_weight + self.l1_weight + self.ssim_weight == 0:
            raise ValueError("one of mse_weight, l1_weight and ssim_weight must be above 0")
        return self

    @model_validator(mode="after")
    def _text_needs_an_align_run(self) -> "FinetuneSettings":
        if self.text_weight and not self.aligned:
            raise ValueError("text_weight needs the towers of an align run: aligned must be true")
        if self.described and not self.aligned:
            raise ValueError("described needs the text tower of an align run: aligned must be true")
        if self.text_steps and (not self.described or self.text_steps >= self.steps):
            raise ValueError(
                "text_steps must be fewer than steps, and described above 0: they train the text "
                "tower that learns with the decoder"
            )
        if self.decoder == "frozen" and not (self.described and self.encoder == "frozen"):
            raise ValueError(
                "with a frozen decoder the text tower alone is trained: described must be above 0, "
                "and the encoder frozen"
            )
        if self.decoder == "frozen" and (self.low_rank or self.adversarial_weight):
            raise ValueError("low-rank changes and an adversary go with a decoder that is free")
        if self.encoder == "partly" and self.low_rank:
            raise ValueError("low-rank changes go with an encoder that is frozen or free")
        return self


class Recipe(Settings):
    """The networks and the three stages."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    model: ModelSettings
    clip: ClipSettings
    pretrain: PretrainSettings
    align: AlignSettings
    finetune: FinetuneSettings

    @model_validator(mode="after")
    def _sizes_agree(self) -> "Recipe":
        # Foreign towers bring their own size, which is known once they are built.
        if self.clip.architecture == "small" and self.clip.embed_size != self.model.condition_size:
            raise ValueError(
                f"clip.embed_size is {self.clip.embed_size} and model.condition_size "
                f"{self.model.condition_size}: the generator is steered by the text vectors"
            )
        return self

    def stage(self, stage: Stage) -> StageSettings:
        """The settings of one stage."""
        settings: StageSettings = getattr(self, stage)
        return settings


def recipe_names() -> tuple[str, ...]:
    """The shipped recipes."""
    folder = resources.files("omnisyn.training") / "recipes"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path.

    A recipe with the key `base`, the name of a shipped one, says only what differs from that.

    Raises:
        UsageError: neither a shipped name nor a file.
        InputError: the file does not parse, or a key or value is wrong.
    """
    if str(name_or_path) in recipe_names():
        return load_toml(_shipped(str(name_or_path)), Recipe, _shipped)
    path = Path(name_or_path)
    if not path.is_file():
        raise UsageError(
            f"there is no recipe {path.name!r}",
            why="it is neither a shipped recipe nor a file",
            remedy=f"choose one of {', '.join(recipe_names())}, or give the path of a TOML file",
        )
    return load_toml(path, Recipe, _shipped)


def _shipped(name: str) -> Path:
    if name not in recipe_names():
        raise InputError(
            f"the base {name!r} is no shipped recipe",
            remedy=f"use one of {', '.join(recipe_names())}",
        )
    return Path(str(resources.files("omnisyn.training") / "recipes" / f"{name}.toml"))
