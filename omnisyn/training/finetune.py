"""Stage 3: one target-conditioned decoder (and the fusion of several sources before it)."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from omnisyn.contrasts import NAMES
from omnisyn.errors import ModelError
from omnisyn.listeners import Note
from omnisyn.models.clip.model import TextImageModel, build_clip
from omnisyn.models.generator import Generator, build_generator
from omnisyn.models.low_rank import add_low_rank_changes, merged_state
from omnisyn.models.weights import load_card
from omnisyn.studies.appearance import vary_appearance
from omnisyn.studies.misregistration import misregister
from omnisyn.studies.slices import SliceBatch, SliceSource
from omnisyn.training.adversary import Adversary
from omnisyn.training.artefacts import (
    RunCard,
    read_encoder,
    read_target_vectors,
    read_text_image,
    read_weights,
    write_generator,
)
from omnisyn.training.asking import Asking
from omnisyn.training.directions import draw_directions
from omnisyn.training.freezing import freeze_encoder
from omnisyn.training.objectives import (
    head_mask,
    pixel_weights,
    prompt_distance,
    ssim_map,
    weighted_mean,
)
from omnisyn.training.recipe import FinetuneSettings, Recipe, Stage
from omnisyn.training.run import (
    RunFolder,
    RunOptions,
    RunResult,
    named_runs,
    named_weights,
    newest_finished_run,
    say_to_stderr,
)
from omnisyn.training.session import Beginning, run_stage
from omnisyn.training.stage import Row, TrainingStage, Validation
from omnisyn.training.validation import direction_rows, summarize_directions


def finetune(
    options: RunOptions | None = None,
    source: SliceSource | None = None,
    say: Note = say_to_stderr,
) -> RunResult:
    """Train the generator; `final/` then holds it whole, as `models/weights.py` reads it.

    Args:
        options: of the run; none = the recipe `small` on the embedded simulation, from the newest
            finished pretrain and align runs.
        source: of the slices; None = what the options name.
        say: hears notes, one line each.

    Raises:
        ModelError: there is no pretrain or align run to start from; and see `session.run_stage`.
    """
    return run_stage("finetune", _find_starts, _build, options or RunOptions(), source, say)


class Finetuning(TrainingStage):
    """Each source of a batch is encoded once for all its targets; one optimizer step a batch."""

    stage = "finetune"

    def __init__(
        self,
        generator: Generator,
        clip: TextImageModel | None,
        settings: FinetuneSettings,
        before: Mapping[str, object],
        seed: int = 0,
        pixel_mm: float | None = None,
        text: TextImageModel | None = None,
    ) -> None:
        super().__init__()
        self.settings: FinetuneSettings = settings
        self.generator = generator
        self._encoder_frozen = settings.encoder == "frozen"
        if settings.decoder == "frozen":
            generator.requires_grad_(False)
        elif settings.low_rank:
            generator.requires_grad_(False)
            frozen = self._encoder_frozen
            for part in (generator.fusion, generator.decoder) if frozen else (generator,):
                add_low_rank_changes(part, settings.low_rank, seed)
        else:
            freeze_encoder(generator, settings.encoder)
        self.before = before
        self.pixel_mm = pixel_mm
        self.clip = clip if clip is None else clip.requires_grad_(False).eval()
        self.text = text if text is None else text.requires_grad_(False)
        self.asking: Asking | None = None
        if settings.described:
            assert text is not None
            self.asking = Asking(text, generator.target_vectors, settings.described, seed)
        # Together: their average and their best step have to be of one moment.
        trained: list[nn.Module] = [generator] if settings.decoder == "free" else []
        if self.asking is not None:
            trained.append(self.asking)
        self._trained = trained[0] if len(trained) == 1 else nn.ModuleList(trained)
        self.adversary: Adversary | None = None
        if settings.adversarial_weight:
            self.adversary = Adversary(settings.adversarial_width, seed)

    @property
    def network(self) -> nn.Module:
        """What is trained and handed on."""
        return self._trained

    @property
    def companion(self) -> nn.Module | None:
        """Trained against the network, and not handed on."""
        return self.adversary

    def train(self, mode: bool = True) -> "Finetuning":
        """What is frozen stays in evaluation mode."""
        super().train(mode)
        if self._encoder_frozen:
            self.generator.encoder.eval()
        if self.clip is not None:
            self.clip.eval()
        return self

    def forward(
        self, batch: SliceBatch | None, step: int, draws: torch.Generator
    ) -> dict[str, Tensor]:
        """The losses of one batch, see `TrainingStage`."""
        if batch is None:
            assert self.asking is not None
            words = self.asking.lesson(draws)
            return {"loss": words, "words": words}
        chosen = self.settings
        device, contrasts = batch.images.device, batch.present.shape[1]
        drawn = draw_directions(batch.present.cpu(), chosen, draws)
        groups = [each.to(device) for each in drawn if len(each)]
        if not groups:
            raise ModelError(
                "a batch without any direction",
                why="every slice has fewer than two contrasts",
                remedy="train on patients with at least two contrasts",
            )
        images = batch.images.flatten(0, 1)[:, None]
        used = torch.unique(torch.cat([each.sources.flatten() for each in groups]))
        # Encoded once; index_select and not [...]: its gradient adds in a fixed order.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._encoder_frozen):
            shown = images.index_select(0, used)
            # A first source gives the grid, here as in synthesis.
            first = torch.cat([each.sources[:, 0] for each in groups])
            further = (~torch.isin(used, first)).nonzero().flatten()
            moved = misregister(shown[further], chosen.misregistration_pixels, draws)
            shown = shown.index_copy(0, further, moved)
            varied = vary_appearance(shown, chosen.source_variation, draws)
            maps = self.generator.encode(varied, used % contrasts)
        fused = []
        for each in groups:
            rows = torch.searchsorted(used, each.sources.flatten())
            slots = [m.index_select(0, rows).view(*each.sources.shape, *m.shape[1:]) for m in maps]
            fused.append(self.generator.fuse(slots, each.filled))
        features = [torch.cat(level) for level in zip(*fused, strict=True)]
        targets = torch.cat([each.targets for each in groups])
        condition = self._condition(batch, targets, draws)
        prediction = self.generator.decode(features, condition)
        mask = head_mask(batch.images, batch.present).index_select(0, targets // contrasts)
        truth = images.index_select(0, targets)
        losses = self._losses(prediction.float(), truth, mask, condition)
        if self.asking is not None:
            losses["words"] = self.asking.lesson(draws)
            losses["loss"] = losses["loss"] + losses["words"]
        if self.adversary is not None:
            # Both sides take their step at once: the gradient of each reaches that side alone.
            fooling, judging = self.adversary.losses(prediction.float(), truth, targets % contrasts)
            losses |= {"adversarial": fooling, "adversary": judging}
            losses["loss"] = losses["loss"] + chosen.adversarial_weight * fooling + judging
        return losses

    def uses_slices(self, step: int) -> bool:
        """Whether step `step` looks at images at all."""
        return step < self.settings.steps - self.settings.text_steps

    def _condition(self, batch: SliceBatch, targets: Tensor, draws: torch.Generator) -> Tensor:
        if self.asking is not None:
            asked: Tensor = self.asking(batch, targets, draws)
            return asked
        suppressed = batch.fat_suppressed.flatten().index_select(0, targets).tolist()
        names = [NAMES[place % len(NAMES)] for place in targets.tolist()]
        return self.generator.condition(names, suppressed)

    def _losses(
        self, prediction: Tensor, truth: Tensor, mask: Tensor, condition: Tensor
    ) -> dict[str, Tensor]:
        chosen = self.settings
        weights = pixel_weights(mask, chosen.head_margin, chosen.background_weight)
        difference = prediction - truth
        parts: dict[str, tuple[float, Tensor]] = {}
        if chosen.mse_weight:
            parts["mse"] = chosen.mse_weight, weighted_mean(difference**2, weights)
        if chosen.l1_weight:
            parts["l1"] = chosen.l1_weight, weighted_mean(difference.abs(), weights)
        if chosen.ssim_weight:
            similarity = weighted_mean(ssim_map(prediction, truth, chosen.ssim_k2), weights)
            parts["ssim"] = chosen.ssim_weight, 1 - similarity
        if chosen.text_weight and self.clip is not None:
            features = self.clip.encode_image(prediction)
            parts["text"] = chosen.text_weight, prompt_distance(features, condition.detach())
        total = torch.stack([weight * part for weight, part in parts.values()]).sum()
        return {"loss": total, **{name: part for name, (_, part) in parts.items()}}

    def validate_patient(self, slices: SliceBatch) -> list[Row]:
        """One row per ordered pair of contrasts that the patient has.

        With a frozen decoder targets are asked for by how they were acquired: by their names they
        come out as ever.
        """
        conditions = None
        if self.asking is not None and self.settings.decoder == "frozen":
            conditions = partial(self.asking.as_acquired, slices)
        return direction_rows(self.generator, slices, conditions)

    def summarize(self, rows: Sequence[Row]) -> Validation:
        """Mean over patients per direction, then over directions; the score is the SSIM."""
        return summarize_directions(rows)

    def export(self, folder: Path, card: RunCard, table: str) -> None:
        """Write the product, see `TrainingStage`."""
        plain = build_generator(self.generator.settings)
        plain.load_state_dict(merged_state(self.generator))
        write_generator(folder, plain, card, self.pixel_mm, self.text, self.asking is not None)


def _find_starts(recipe: Recipe, options: RunOptions) -> tuple[str, ...]:
    runs, weights = named_runs(options), named_weights(options)
    starts = [] if weights is None else [weights]
    if weights is None and recipe.finetune.pretrained:
        starts.append(_run(runs, options, "pretrain"))
    settings = recipe.finetune
    own_tower = weights is not None and load_card(weights).text is not None
    described = settings.described > 0 and settings.decoder == "free" and not own_tower
    if settings.text_weight or described or (weights is None and settings.aligned):
        starts.append(_run(runs, options, "align"))
    return tuple(starts)


def _run(runs: Mapping[Stage, RunFolder], options: RunOptions, stage: Stage) -> str:
    found = runs.get(stage) or newest_finished_run(options, stage)
    if found is None:
        raise ModelError(
            f"finetune needs a finished {stage} run, and there is none",
            remedy=f"run `omnisyn {stage}` first, or name weights or a run with --init",
        )
    return found.path.as_posix()


def _build(beginning: Beginning) -> Finetuning:
    recipe = beginning.recipe
    resolved = RunOptions(init=beginning.starts)
    runs, weights = named_runs(resolved), named_weights(resolved)
    before: dict[str, object] = {}
    clip, text, pixel_mm = None, None, recipe.finetune.pixel_mm
    if weights is not None:
        loaded = read_weights(weights, recipe.model)
        generator, pixel_mm = loaded.generator, loaded.card.pixel_mm
        text = None if loaded.card.text is None else loaded.text_tower()
        before |= loaded.card.stages | {"weights": {"sha256": loaded.sha256}}
        if text is None and recipe.finetune.decoder == "frozen":
            # It has a space to learn, and that of no align run is it.
            text = build_clip(recipe.clip, beginning.options.seed)
    else:
        generator = build_generator(recipe.model, seed=beginning.options.seed)
        if "pretrain" in runs:
            before["pretrain"] = read_encoder(runs["pretrain"].final, generator)
    if "align" in runs:
        before["align"] = read_target_vectors(runs["align"].final, generator)
        text = read_text_image(runs["align"].final)
        if recipe.finetune.text_weight:
            # Where the text tower learns, what judges the outputs stays as it is.
            clip = read_text_image(runs["align"].final) if recipe.finetune.described else text
    return Finetuning(
        generator, clip, recipe.finetune, before, beginning.options.seed, pixel_mm, text
    )
