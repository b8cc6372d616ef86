"""A stage as it is before its first step, of a recipe alone: for measuring what it costs."""

from omnisyn.models.clip.model import build_clip
from omnisyn.models.generator import build_generator
from omnisyn.training.align import Alignment
from omnisyn.training.finetune import Finetuning
from omnisyn.training.pretrain import encoder_stage
from omnisyn.training.recipe import Recipe, Stage
from omnisyn.training.stage import TrainingStage


def unstarted_stage(recipe: Recipe, stage: Stage, seed: int = 0) -> TrainingStage:
    """The networks of a stage, begun from nothing whatever the recipe says.

    Raises:
        UsageError: the networks cannot be built.
    """
    if stage == "pretrain":
        return encoder_stage(build_generator(recipe.model, seed), recipe.pretrain, seed)
    clip = recipe.clip.model_copy(update={"weights": None})
    if stage == "align":
        return Alignment(build_clip(clip, seed), recipe.align)
    settings = recipe.finetune
    return Finetuning(
        build_generator(recipe.model, seed),
        build_clip(clip, seed) if settings.text_weight else None,
        settings,
        {},
        seed,
        text=build_clip(clip, seed) if settings.described else None,
    )
