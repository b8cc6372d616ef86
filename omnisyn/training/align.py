"""Stage 2: the contrasts' sentences and the slices in one space.

With the objective `class` (as published, Algorithm 2) the first entries of a feature are read as
class logits: first the text tower learns to tell the sentences apart, then it is frozen and the
image tower learns the same on slices. With `contrastive` (what the paper's figure shows) images
and the twelve text prototypes are pulled together in one softmax, the prototypes are kept apart
from each other, and both towers train.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnisyn.contrasts import NAMES
from omnisyn.errors import ModelError, UsageError
from omnisyn.listeners import Note
from omnisyn.models.clip.model import TextImageModel, build_clip
from omnisyn.studies.slices import SliceBatch, SliceSource
from omnisyn.training.artefacts import (
    RunCard,
    prompt_sentences,
    read_text_image,
    write_text_image,
)
from omnisyn.training.objectives import (
    class_logits,
    image_text_contrastive,
    image_text_logits,
    prompt_separation,
)
from omnisyn.training.pretrain import present_images
from omnisyn.training.recipe import AlignSettings, Recipe
from omnisyn.training.run import RunOptions, RunResult, named_runs, say_to_stderr
from omnisyn.training.session import Beginning, run_stage
from omnisyn.training.stage import Row, TrainingStage, Validation, mean, scheduled_rate

_VALIDATION_IMAGES = 64


def align(
    options: RunOptions | None = None,
    source: SliceSource | None = None,
    say: Note = say_to_stderr,
) -> RunResult:
    """Train the text-image model; `final/` then holds it and the generator's target vectors.

    Args:
        options: of the run; none = the recipe `small` on the embedded simulation.
        source: of the slices; None = what the options name.
        say: hears notes, one line each.

    Returns:
        The result, whose `table` is the confusion matrix of the contrasts on the validation
        patients.

    Raises:
        OmnisynError: see `session.run_stage`.
    """
    return run_stage("align", _find_starts, _build, options or RunOptions(), source, say)


class Alignment(TrainingStage):
    """The text-image model and its objective."""

    stage = "align"

    def __init__(self, model: TextImageModel, settings: AlignSettings) -> None:
        super().__init__()
        self.settings: AlignSettings = settings
        self.before = {}
        self.model = model
        self.sentences = prompt_sentences()

    @property
    def network(self) -> nn.Module:
        """What is trained and handed on."""
        return self.model

    @property
    def _by_class(self) -> bool:
        return self.settings.objective == "class"

    def uses_slices(self, step: int) -> bool:
        """Not while the text tower trains alone."""
        return not self._by_class or step >= self.settings.text_steps

    def learning_rate(self, step: int) -> float:
        """The schedule runs once for each tower where they train one after the other."""
        first, all_steps = self.settings.text_steps, self.settings.steps
        if not self._by_class:
            return super().learning_rate(step)
        if step < first:
            return scheduled_rate(self.settings.optimizer, step, first)
        return scheduled_rate(self.settings.optimizer, step - first, all_steps - first)

    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch, see `TrainingStage`."""
        if batch is None:
            return self._text_losses()
        images, places = present_images(batch)
        contrasts = places % len(NAMES)
        features = self.model.encode_image(images)
        parts: dict[str, Tensor] = {}
        if self._by_class:
            logits = class_logits(features, len(NAMES), self.model.logit_scale)
            loss = functional.cross_entropy(logits, contrasts)
        else:
            prompts = self.model.encode_text(self.sentences)
            suppressed = batch.fat_suppressed.flatten().index_select(0, places)
            labels = contrasts + len(NAMES) * suppressed
            logits = image_text_logits(features, prompts, self.model.logit_scale)
            contrastive = image_text_contrastive(logits, labels)
            separation = prompt_separation(prompts, self.model.logit_scale)
            loss = contrastive + separation
            parts = {"contrastive": contrastive, "separation": separation}
        return {"loss": loss, **parts, "accuracy": _accuracy(logits, contrasts)}

    def _text_losses(self) -> dict[str, Tensor]:
        features = self.model.encode_text(self.sentences)
        logits = class_logits(features, len(NAMES), self.model.logit_scale)
        contrasts = torch.arange(len(self.sentences), device=logits.device) % len(NAMES)
        loss = functional.cross_entropy(logits, contrasts)
        return {"loss": loss, "accuracy": _accuracy(logits, contrasts)}

    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """One row per contrast of the patient: mean loss, and how often it was taken for which."""
        images, places = present_images(slices)
        contrasts = places % len(NAMES)
        parts = [self.model.encode_image(part) for part in torch.split(images, _VALIDATION_IMAGES)]
        features = torch.cat(parts)
        if self._by_class:
            logits = class_logits(features, len(NAMES), self.model.logit_scale)
        else:
            prompts = self.model.encode_text(self.sentences)
            logits = by_contrast(image_text_logits(features, prompts, self.model.logit_scale))
        losses = functional.cross_entropy(logits.float(), contrasts, reduction="none")
        said = logits.argmax(dim=1)
        rows: list[Row] = []
        for number in torch.unique(contrasts).tolist():
            chosen = contrasts == number
            row: Row = {"contrast": NAMES[number], "loss": float(losses[chosen].mean())}
            counts = torch.bincount(said[chosen], minlength=len(NAMES)).tolist()
            rows.append(row | dict(zip(NAMES, counts, strict=True)))
        return rows

    def summarize(self, rows: Sequence[Row]) -> Validation:
        """Mean over patients, then over contrasts; the score is the loss with its sign turned."""
        losses, recalls, confusion = {}, {}, {}
        for name in NAMES:
            own = [row for row in rows if row["contrast"] == name]
            if own:
                losses[name] = mean([float(row["loss"]) for row in own])
                shares = [_share(row, name) for row in own]
                recalls[name] = mean(shares)
                confusion[name] = [sum(int(row[other]) for row in own) for other in NAMES]
        loss, accuracy = mean(list(losses.values())), mean(list(recalls.values()))
        figures = {"loss": loss, "accuracy": accuracy}
        figures |= {f"accuracy_{name}": value for name, value in recalls.items()}
        return Validation(-loss, figures, confusion_table(confusion))

    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product, see `TrainingStage`."""
        with torch.no_grad():
            vectors = self.model.encode_text(self.sentences)
        write_text_image(folder, self.model, vectors, card, table)


def by_contrast(prompt_logits: Tensor) -> Tensor:
    """Logits of the contrasts `[n, 6]` from those of their prompts `[n, 12]`: the probabilities
    of a contrast's two sentences add up."""
    plain, suppressed = prompt_logits.chunk(2, dim=1)
    return torch.logaddexp(plain, suppressed)


def confusion_table(confusion: Mapping[str, Sequence[int]]) -> str:
    """The confusion matrix as text: a row per true contrast, a column per recognised one."""
    lines = ["true \\ said" + "".join(f"{name:>8}" for name in NAMES)]
    for name, counts in confusion.items():
        lines.append(f"{name:<11}" + "".join(f"{count:>8}" for count in counts))
    return "\n".join(lines)


def _share(row: Row, name: str) -> float:
    return float(row[name]) / sum(float(row[other]) for other in NAMES)


def _accuracy(logits: Tensor, contrasts: Tensor) -> Tensor:
    return (logits.argmax(dim=1) % len(NAMES) == contrasts).float().mean()


def _find_starts(recipe: Recipe, options: RunOptions) -> tuple[str, ...]:
    runs = named_runs(options)
    if len(runs) < len(options.init) or set(runs) - {"align"}:
        raise UsageError(
            "align starts from an align run or from CLIP weights",
            remedy="give an align run to --init, or weights to --clip-weights",
        )
    if runs and options.clip_weights is not None:
        raise UsageError(
            "both an align run and CLIP weights are given to start from", remedy="give one"
        )
    return options.init


def _build(beginning: Beginning) -> Alignment:
    recipe, options = beginning.recipe, beginning.options
    runs = named_runs(options)
    if runs:
        model = read_text_image(runs["align"].final)
    else:
        if recipe.clip.architecture != "small" and recipe.clip.weights is None:
            beginning.say(
                f"no CLIP weights given: {recipe.clip.architecture} is trained from nothing"
            )
        model = build_clip(recipe.clip, seed=options.seed)
    if model.embed_size != recipe.model.condition_size:
        raise ModelError(
            "the text-image model does not fit the generator",
            why=f"its vectors have {model.embed_size} entries, the generator takes "
            f"{recipe.model.condition_size}",
            remedy="change condition_size in the recipe",
        )
    return Alignment(model, recipe.align)
