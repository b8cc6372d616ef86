import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError, ModelError, UsageError
from omnisyn.models.clip.model import build_clip
from omnisyn.models.clip.texts import HELD_OUT
from omnisyn.models.generator import PROMPTS, build_generator
from omnisyn.studies.seeding import generator_at
from omnisyn.training.align import Alignment, align, by_contrast, confusion_table
from omnisyn.training.artefacts import prompt_sentences, read_target_vectors, read_text_image
from omnisyn.training.prompts import drawn_sentences, held_out_sentences
from omnisyn.training.recipe import AlignSettings, load_recipe
from omnisyn.training.run import RunOptions
from omnisyn.training.text_targets import fixed_targets


def alignment(stand_in: ModuleType, **changes: object) -> Alignment:
    recipe = load_recipe(stand_in.RECIPE)
    settings: AlignSettings = recipe.align.model_copy(update=changes)
    return Alignment(build_clip(recipe.clip), settings)


def target_record(runs: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((runs / "align/final/targets.json").read_text())
    return record


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
    record = target_record(runs)
    rows = [line.split() for line in record["confusion"]]
    assert rows[0][-6:] == list(NAMES)
    assert [row[0] for row in rows[1:]] == ["T1", "T1c", "T2", "FLAIR"]
    # Two patients of two slices each.
    assert all(sum(int(count) for count in row[1:]) == 4 for row in rows[1:])


def test_final_holds_the_similarity_of_what_the_validation_patients_show(
    runs: Path, stand_in: ModuleType
) -> None:
    lines = (runs / "align/final/similarity.tsv").read_text().splitlines()
    header, *rows = [line.split("\t") for line in lines]
    assert header == ["image", *PROMPTS]
    assert [row[0] for row in rows] == ["T1", "T1c", "T2", "FLAIR", "T2 fat-suppressed"]
    assert (runs / "align/final/similarity.png").stat().st_size > 0
    model = read_text_image(runs / "align/final")
    with torch.no_grad():
        images = torch.cat([patient.images[:, :1] for patient in stand_in.Discs().validation()])
        cosines = model.encode_image(images) @ model.encode_text(prompt_sentences()).T
    expected = cosines.mean(dim=0).tolist()
    assert [float(word) for word in rows[0][1:]] == pytest.approx(expected, abs=6e-4)


def test_card_holds_the_figures_of_retrieval(runs: Path) -> None:
    figures = target_record(runs)["card"]["validation"]
    # Each patient shows five prompts.
    assert round(figures["text_to_image"] * 10, 6) in range(11)
    assert round(figures["image_to_text"] * 16, 6) in range(17)


def test_retrieval_counts_every_patient_alike(stand_in: ModuleType) -> None:
    stage = alignment(stand_in)
    counts = dict.fromkeys(NAMES, 0)
    cosines = {f"cosine with {prompt}": 0.0 for prompt in PROMPTS}
    rows = [
        {
            "patient": patient,
            "prompt": prompt,
            "contrast": prompt,
            "loss": 1.0,
            "image_to_text": found,
            "text_to_image": first,
            "accuracy_other_words": found / images,
            **counts,
            prompt: images,
            **cosines,
        }
        for patient, prompt, images, found, first in (
            ("a", "T1", 4, 4.0, 1.0),
            ("a", "T2", 4, 2.0, 0.0),
            ("b", "T2", 20, 5.0, 1.0),
        )
    ]
    figures = stage.summarize(rows).figures
    assert figures["image_to_text"] == (6 / 8 + 5 / 20) / 2
    assert figures["text_to_image"] == (1 / 2 + 1) / 2
    # As the accuracy: mean over patients, then over contrasts.
    assert figures["accuracy_other_words"] == (1 + (2 / 4 + 5 / 20) / 2) / 2


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


def test_text_tower_learns_to_give_fixed_text_targets_while_images_learn(
    stand_in: ModuleType,
) -> None:
    stage = alignment(stand_in, text_targets="opposite")
    wanted = fixed_targets("opposite", NAMES, 16, seed=0)
    optimizer = torch.optim.Adam(stage.parameters(), lr=3e-3)
    batch = stand_in.discs(generator_at(1), 2, 32, "x")
    cosines = []
    for step in range(6):
        losses = stage(batch, step, torch.Generator())
        assert losses["loss"] == losses["contrastive"] + losses["text"]
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        with torch.no_grad():
            given = stage.model.encode_text(prompt_sentences())
        cosines.append(float((given * wanted).sum(dim=1).mean()))
    assert cosines[-1] > cosines[0] + 0.1
    assert all(p.grad is not None and p.grad.any() for p in stage.model.text_tower())
    assert any(p.grad is not None and p.grad.any() for p in stage.model.image_tower())


def test_images_are_contrasted_with_fixed_text_targets_and_not_with_the_text_tower(
    stand_in: ModuleType,
) -> None:
    stage = alignment(stand_in, text_targets="orthogonal")
    batch = stand_in.discs(generator_at(1), 2, 32, "x")
    before = stage(batch, 0, torch.Generator())["contrastive"]
    with torch.no_grad():
        for parameter in stage.model.text_tower():
            parameter.add_(torch.randn(parameter.shape, generator=generator_at(2)))
    assert stage(batch, 0, torch.Generator())["contrastive"] == before


def test_fixed_text_targets_are_refused_for_class_logits_chosen_on_the_command_line(
    tmp_path: Path, stand_in: ModuleType
) -> None:
    recipe = tmp_path / "fixed.toml"
    recipe.write_text(
        stand_in.RECIPE.read_text().replace(
            'objective = "contrastive"', 'objective = "contrastive"\ntext_targets = "opposite"'
        )
    )
    options = RunOptions(recipe=recipe, out=tmp_path / "run", device="cpu", objective="class")
    with pytest.raises(InputError, match="needs the objective contrastive"):
        align(options, source=stand_in.Discs())
    assert not (tmp_path / "run").exists()


def test_vectors_too_short_for_fixed_text_targets_are_refused(stand_in: ModuleType) -> None:
    recipe = load_recipe(stand_in.RECIPE)
    clip = build_clip(recipe.clip.model_copy(update={"embed_size": 8}))
    settings = recipe.align.model_copy(update={"text_targets": "similar"})
    with pytest.raises(UsageError, match="too short"):
        Alignment(clip, settings)


def test_every_step_reads_the_prompts_in_words_drawn_for_it(stand_in: ModuleType) -> None:
    stage = alignment(stand_in)
    batch = stand_in.discs(generator_at(1), 2, 32, "x")
    with torch.no_grad():
        first, again, other = (
            float(stage(batch, 0, generator_at(seed))["loss"]) for seed in (3, 3, 4)
        )
    assert first == again
    assert first != other


def test_words_held_out_are_validated_on_and_never_trained_on(stand_in: ModuleType) -> None:
    held_out = {text for number in range(HELD_OUT) for text in held_out_sentences(number)}
    draws = generator_at(0)
    trained = {text for _ in range(1000) for text in drawn_sentences(draws)}
    assert set(prompt_sentences()) < trained
    assert not held_out & trained
    stage = alignment(stand_in)
    read: list[str] = []
    encode = stage.model.encode_text
    stage.model.encode_text = lambda texts: (read.extend(texts), encode(texts))[1]
    with torch.no_grad():
        stage.validate_patient(stand_in.Discs().validation()[0])
    assert set(read) == held_out | set(prompt_sentences())


def test_accuracy_in_other_words_is_the_share_of_wordings_that_recognise_the_contrast(
    stand_in: ModuleType,
) -> None:
    stage = alignment(stand_in)
    slices = stand_in.Discs().validation()[0]
    with torch.no_grad():
        rows = stage.validate_patient(slices)
        features = stage.model.encode_image(slices.images[:, :1])
        shares = []
        for number in range(HELD_OUT):
            prompts = stage.model.encode_text(held_out_sentences(number))
            said = by_contrast(features @ prompts.T * stage.model.logit_scale).argmax(dim=1)
            shares.append(float((said == 0).float().mean()))
    assert rows[0]["contrast"] == "T1"
    assert rows[0]["accuracy_other_words"] == sum(shares) / HELD_OUT


def test_acquisitions_are_told_apart_where_the_recipe_says_so(stand_in: ModuleType) -> None:
    batch = stand_in.discs(generator_at(1), 2, 32, "x")
    with torch.no_grad():
        without = alignment(stand_in)(batch, 0, generator_at(3))
        losses = alignment(stand_in, acquisition_weight=0.5)(batch, 0, generator_at(3))
        twice = alignment(stand_in, acquisition_weight=1.0)(batch, 0, generator_at(3))
    assert "acquisition" not in without
    assert float(losses["loss"] - losses["acquisition"]) == pytest.approx(float(without["loss"]))
    assert float(twice["acquisition"]) == pytest.approx(2 * float(losses["acquisition"]))


def test_loss_of_acquisitions_depends_on_their_facts(stand_in: ModuleType) -> None:
    stage = alignment(stand_in, acquisition_weight=1.0)
    batch = stand_in.discs(generator_at(1), 2, 32, "x")
    facts = torch.rand(batch.acquisition.shape, generator=generator_at(2)) * 1000
    with torch.no_grad():
        unknown = stage(batch, 0, generator_at(3))["acquisition"]
        known = stage(replace(batch, acquisition=facts), 0, generator_at(3))["acquisition"]
    # Eight images of eight acquisitions are harder to tell apart than five kinds of image.
    assert known > unknown


def test_schedule_starts_anew_for_the_image_tower(stand_in: ModuleType) -> None:
    stage = alignment(stand_in, objective="class", text_steps=3)
    rates = [stage.learning_rate(step) for step in range(6)]
    assert rates[:3] == rates[3:]
    assert rates[0] > rates[2]


def test_class_objective_runs_to_its_end(tmp_path: Path, stand_in: ModuleType) -> None:
    result = stand_in.train("align", tmp_path / "class", objective="class", max_steps=3)
    assert result.step == 3
    assert result.table.startswith("true")
    assert "accuracy" in result.figures
    assert "accuracy_other_words" not in result.figures


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
