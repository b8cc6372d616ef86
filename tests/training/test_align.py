import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import ModelError, UsageError
from omnisyn.models.clip.model import build_clip
from omnisyn.models.generator import PROMPTS, build_generator
from omnisyn.studies.seeding import generator_at
from omnisyn.training.align import Alignment, align, by_contrast, confusion_table
from omnisyn.training.artefacts import prompt_sentences, read_target_vectors, read_text_image
from omnisyn.training.recipe import AlignSettings, load_recipe
from omnisyn.training.run import RunOptions


def alignment(stand_in: ModuleType, **changes: object) -> Alignment:
    recipe = load_recipe(stand_in.RECIPE)
    settings: AlignSettings = recipe.align.model_copy(update=changes)
    return Alignment(build_clip(recipe.clip), settings)


def test_sentences_are_twelve_and_in_the_order_of_the_prompts() -> None:
    sentences = prompt_sentences()
    assert len(set(sentences)) == len(PROMPTS) == 12


def test_final_holds_the_model_and_the_vectors_it_gives(runs: Path, stand_in: ModuleType) -> None:
    generator = build_generator(load_recipe(stand_in.RECIPE).model)
    read_target_vectors(runs / "align/final", generator)
    model = read_text_image(runs / "align/final")
    with torch.no_grad():
        expected = model.encode_text(prompt_sentences())
    assert torch.allclose(generator.target_vectors, expected, atol=1e-6)


def test_result_holds_the_confusion_matrix_of_the_validation_patients(runs: Path) -> None:
    record = json.loads((runs / "align/final/targets.json").read_text())
    rows = [line.split() for line in record["confusion"]]
    assert rows[0][-6:] == list(NAMES)
    assert [row[0] for row in rows[1:]] == ["T1", "T1c", "T2", "FLAIR"]
    # Two patients of two slices each.
    assert all(sum(int(count) for count in row[1:]) == 4 for row in rows[1:])


def test_class_objective_trains_the_text_tower_first_and_then_freezes_it(
    stand_in: ModuleType,
) -> None:
    stage = alignment(stand_in, objective="class", text_steps=2)
    assert [stage.uses_slices(step) for step in range(4)] == [False, False, True, True]
    stage(None, 0, torch.Generator())["loss"].backward()
    assert all(p.grad is None for p in stage.model.image_tower())
    assert any(p.grad is not None for p in stage.model.text_tower())
    stage.zero_grad()
    stage(stand_in.discs(generator_at(1), 2, 32, "x"), 2, torch.Generator())["loss"].backward()
    assert all(p.grad is None for p in stage.model.text_tower())
    assert any(p.grad is not None for p in stage.model.image_tower())


def test_contrastive_objective_trains_both_towers(stand_in: ModuleType) -> None:
    stage = alignment(stand_in, objective="contrastive")
    stage(stand_in.discs(generator_at(1), 2, 32, "x"), 0, torch.Generator())["loss"].backward()
    assert any(p.grad is not None for p in stage.model.text_tower())
    assert any(p.grad is not None for p in stage.model.image_tower())


def test_schedule_starts_anew_for_the_image_tower(stand_in: ModuleType) -> None:
    stage = alignment(stand_in, objective="class", text_steps=3)
    rates = [stage.learning_rate(step) for step in range(6)]
    assert rates[:3] == rates[3:]
    assert rates[0] > rates[2]


def test_class_objective_runs_to_its_end(tmp_path: Path, stand_in: ModuleType) -> None:
    result = stand_in.train("align", tmp_path / "class", objective="class", max_steps=3)
    assert result.step == 3
    assert result.table.startswith("true")


def test_a_contrast_has_the_probability_of_both_its_sentences() -> None:
    probabilities = torch.rand(3, 12, generator=torch.Generator().manual_seed(0))
    expected = probabilities[:, :6] + probabilities[:, 6:]
    assert torch.allclose(by_contrast(probabilities.log()).exp(), expected)


def test_confusion_table_has_a_row_per_true_contrast() -> None:
    lines = confusion_table({"T2": [1, 0, 7, 0, 0, 0]}).splitlines()
    assert lines[1].split() == ["T2", "1", "0", "7", "0", "0", "0"]


def test_vectors_of_another_length_are_refused(runs: Path, stand_in: ModuleType) -> None:
    settings = load_recipe(stand_in.RECIPE).model.model_copy(update={"condition_size": 8})
    with pytest.raises(ModelError, match="run align with the same recipe"):
        read_target_vectors(runs / "align/final", build_generator(settings))


def test_align_goes_on_from_an_align_run_only(runs: Path, stand_in: ModuleType) -> None:
    options = RunOptions(
        recipe=stand_in.RECIPE, out=runs / "never", device="cpu", init=(str(runs / "pretrain"),)
    )
    with pytest.raises(UsageError, match="starts from an align run"):
        align(options, source=stand_in.Discs())
