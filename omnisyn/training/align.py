"""Stage 2: the contrasts' sentences and the slices in one space.

With the objective `class` (as published, Algorithm 2) the first entries of a feature are read as
class logits: first the text tower learns to tell the sentences apart, then it is frozen and the
image tower learns the same on slices. With `contrastive` (what the paper's figure shows) images
and the twelve text prototypes are pulled together in one softmax, the prototypes are kept apart
from each other, and both towers train. Each step the prototypes are read in wordings drawn anew,
so that words are learned and not twelve strings. Where the text targets have a fixed geometry,
images are contrasted with those vectors instead, and the text tower learns to give them.
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
from omnisyn.models.clip.texts import HELD_OUT
from omnisyn.models.generator import PROMPTS
from omnisyn.settings import parse
from omnisyn.studies.slices import SliceBatch, SliceSource
from omnisyn.training.artefacts import (
    RunCard,
    prompt_sentences,
    read_text_image,
    write_text_image,
)
from omnisyn.training.encoder_stage import present_images
from omnisyn.training.objectives import (
    class_logits,
    image_text_contrastive,
    image_text_logits,
    nearest_image_is_right,
    nearest_text_is_right,
    prompt_distance,
    prompt_separation,
)
from omnisyn.training.prompts import (
    drawn_sentences,
    held_out_sentences,
    own_texts,
    prompt_labels,
)
from omnisyn.training.recipe import AlignSettings, Recipe
from omnisyn.training.run import RunOptions, RunResult, named_runs, say_to_stderr
from omnisyn.training.session import Beginning, run_stage
from omnisyn.training.similarity import (
    Similarity,
    read_similarity,
    similarity_table,
    write_similarity,
)
from omnisyn.training.stage import Row, TrainingStage, Validation, mean, scheduled_rate
from omnisyn.training.text_targets import fixed_targets

_VALIDATION_IMAGES = 64
_BETWEEN_TABLES = "\n\n"
_OTHER_WORDS = "accuracy_other_words"


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
        patients and, after an empty line, the similarity of their images and the prompts.

    Raises:
        OmnisynError: see `session.run_stage`.
    """
    return run_stage("align", _find_starts, _build, options or RunOptions(), source, say)


class Alignment(TrainingStage):
    """The text-image model and its objective.

    Args:
        model: with its towers.
        settings: of the stage.
        contrasts: to which fixed text targets give their geometry.
        seed: turns these targets.

    Raises:
        UsageError: the model's vectors are too short for the text targets.
    """

    stage = "align"
    text_targets: Tensor | None

    def __init__(
        self,
        model: TextImageModel,
        settings: AlignSettings,
        contrasts: Sequence[str] = NAMES,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings: AlignSettings = settings
        self.before = {}
        self.model = model
        self.sentences = prompt_sentences()
        targets = (
            None
            if settings.text_targets == "learned"
            else fixed_targets(settings.text_targets, contrasts, model.embed_size, seed)
        )
        self.register_buffer("text_targets", targets, persistent=False)

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
        if self._by_class:
            logits = class_logits(features, len(NAMES), self.model.logit_scale)
            loss = functional.cross_entropy(logits, contrasts)
            return {"loss": loss, "accuracy": _accuracy(logits, contrasts)}
        labels = prompt_labels(batch, places)
        logits, parts = self._text_image_losses(features, labels, drawn_sentences(draws))
        if weight := self.settings.acquisition_weight:
            texts = own_texts(batch, places, draws)
            parts["acquisition"] = weight * self._acquisition_loss(features, *texts)
        loss = torch.stack(list(parts.values())).sum()
        return {"loss": loss, **parts, "accuracy": _accuracy(logits, contrasts)}

    def _text_image_losses(
        self, features: Tensor, labels: Tensor, sentences: Sequence[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits `[n, 12]` of image features, and the losses whose sum is minimized."""
        scale = self.model.logit_scale
        prompts = self.model.encode_text(sentences)
        targets = prompts if self.text_targets is None else self.text_targets
        logits = image_text_logits(features, targets, scale)
        parts = {"contrastive": image_text_contrastive(logits, labels)}
        if self.text_targets is None:
            parts["separation"] = prompt_separation(prompts, scale)
        else:
            parts["text"] = prompt_distance(prompts, self.text_targets)
        return logits, parts

    def _acquisition_loss(self, features: Tensor, texts: Sequence[str], own: Tensor) -> Tensor:
        """Images and the texts of how they were acquired tell each other apart."""
        vectors = self.model.encode_text(texts)
        logits = image_text_logits(features, vectors, self.model.logit_scale)
        return image_text_contrastive(logits, own)

    def _text_losses(self) -> dict[str, Tensor]:
        features = self.model.encode_text(self.sentences)
        logits = class_logits(features, len(NAMES), self.model.logit_scale)
        contrasts = torch.arange(len(self.sentences), device=logits.device) % len(NAMES)
        loss = functional.cross_entropy(logits, contrasts)
        return {"loss": loss, "accuracy": _accuracy(logits, contrasts)}

    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """One row per prompt (contrast and fat state) that the patient's images show: mean loss,
        which contrast they were taken for, whether prompt and images find each other, and the mean
        cosine with every prompt."""
        images, places = present_images(slices)
        labels = prompt_labels(slices, places)
        contrasts = labels % len(NAMES)
        parts = [self.model.encode_image(part) for part in torch.split(images, _VALIDATION_IMAGES)]
        features = torch.cat(parts)
        prompts = self.model.encode_text(self.sentences)
        cosines = image_text_logits(features, prompts, 1.0).float()
        if self._by_class:
            logits = class_logits(features, len(NAMES), self.model.logit_scale)
        else:
            logits = by_contrast(cosines * self.model.logit_scale)
        losses = functional.cross_entropy(logits.float(), contrasts, reduction="none")
        right = None if self._by_class else self._right_in_other_words(features, contrasts)
        said = logits.argmax(dim=1)
        text_found = nearest_text_is_right(cosines, labels)
        image_found = nearest_image_is_right(cosines, labels)
        rows: list[Row] = []
        for number in torch.unique(labels).tolist():
            chosen = labels == number
            row: Row = {
                "patient": slices.patients[0],
                "prompt": PROMPTS[number],
                "contrast": NAMES[number % len(NAMES)],
                "loss": float(losses[chosen].mean()),
                "image_to_text": float(text_found[chosen].sum()),
                "text_to_image": float(image_found[number]),
            }
            if right is not None:
                row[_OTHER_WORDS] = float(right[chosen].mean())
            counts = torch.bincount(said[chosen], minlength=len(NAMES)).tolist()
            row |= dict(zip(NAMES, counts, strict=True))
            means = cosines[chosen].mean(dim=0).tolist()
            rows.append(row | dict(zip(map(_cosine_with, PROMPTS), means, strict=True)))
        return rows

    def _right_in_other_words(self, features: Tensor, contrasts: Tensor) -> Tensor:
        """`[n]`, with what share of the held-out wordings the contrast of each image is
        recognised. Class logits know no words."""
        right = []
        for number in range(HELD_OUT):
            prompts = self.model.encode_text(held_out_sentences(number))
            logits = by_contrast(image_text_logits(features, prompts, self.model.logit_scale))
            right.append(logits.argmax(dim=1) == contrasts)
        return torch.stack(right).float().mean(dim=0)

    def summarize(self, rows: Sequence[Row]) -> Validation:
        """Mean over patients, then over contrasts; the score is the loss with its sign turned.
        Retrieval: mean over patients. Two tables: confusion and similarity."""
        losses, recalls, other_words, confusion = {}, {}, {}, {}
        for name in NAMES:
            own = [row for row in rows if row["contrast"] == name]
            if own:
                losses[name] = mean([float(row["loss"]) for row in own])
                shares = [float(row[name]) / _images(row) for row in own]
                recalls[name] = mean(shares)
                if not self._by_class:
                    other_words[name] = mean([float(row[_OTHER_WORDS]) for row in own])
                confusion[name] = [sum(int(row[other]) for row in own) for other in NAMES]
        loss, accuracy = mean(list(losses.values())), mean(list(recalls.values()))
        figures = {"loss": loss, "accuracy": accuracy}
        if not self._by_class:
            figures[_OTHER_WORDS] = mean(list(other_words.values()))
        figures |= _retrieval(rows)
        figures |= {f"accuracy_{name}": value for name, value in recalls.items()}
        tables = (confusion_table(confusion), similarity_table(_similarity(rows)))
        return Validation(-loss, figures, _BETWEEN_TABLES.join(tables))

    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product, see `TrainingStage`."""
        with torch.no_grad():
            vectors = self.model.encode_text(self.sentences)
        confusion, similarity = table.split(_BETWEEN_TABLES)
        write_text_image(folder, self.model, vectors, card, confusion)
        write_similarity(folder, read_similarity(similarity), card.simulated)


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


def _images(row: Row) -> float:
    return sum(float(row[name]) for name in NAMES)


def _retrieval(rows: Sequence[Row]) -> dict[str, float]:
    """Top-1 retrieval, mean over patients: image -> text over a patient's images, text -> image
    over the prompts that they show."""
    to_text, to_image = [], []
    for patient in dict.fromkeys(row["patient"] for row in rows):
        own = [row for row in rows if row["patient"] == patient]
        found = sum(float(row["image_to_text"]) for row in own)
        to_text.append(found / sum(map(_images, own)))
        to_image.append(mean([float(row["text_to_image"]) for row in own]))
    return {"image_to_text": mean(to_text), "text_to_image": mean(to_image)}


def _similarity(rows: Sequence[Row]) -> Similarity:
    """Mean over the patients that have images of the kind."""
    shown = {row["prompt"] for row in rows}
    return {
        prompt: [
            mean([float(row[_cosine_with(text)]) for row in rows if row["prompt"] == prompt])
            for text in PROMPTS
        ]
        for prompt in PROMPTS
        if prompt in shown
    }


def _cosine_with(prompt: str) -> str:
    return f"cosine with {prompt}"


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
    # Once more: an objective that the command line chose has not been checked against the rest.
    settings = parse(AlignSettings, recipe.align.model_dump(), where=f"recipe {recipe.name}, align")
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
    return Alignment(model, settings, recipe.model.contrasts, options.seed)
