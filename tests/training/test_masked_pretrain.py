import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch

from omnisyn.errors import UsageError
from omnisyn.models.generator import build_generator
from omnisyn.training.artefacts import read_encoder
from omnisyn.training.masked_pretrain import MaskedPretraining
from omnisyn.training.pretrain import pretrain
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions
from omnisyn.training.session import resolved_recipe


def run(stand_in: ModuleType, out: Path, **options: object) -> Path:
    chosen = RunOptions(
        recipe=stand_in.RECIPE,
        out=out,
        device="cpu",
        objective="brainmvp",
        **options,  # type: ignore[arg-type]
    )
    return pretrain(chosen, source=stand_in.Discs()).folder


def encoder_of(folder: Path) -> bytes:
    return (folder / "final/encoder.safetensors").read_bytes()


def test_a_run_hands_on_an_encoder_that_finetune_takes(
    tmp_path: Path, stand_in: ModuleType
) -> None:
    folder = run(stand_in, tmp_path / "masked")
    plain = load_recipe(stand_in.RECIPE)
    generator = build_generator(plain.model)
    card = read_encoder(folder / "final", generator)
    assert {"reconstruction", "contrastive", "loss"} == set(card["validation"])


def test_a_resumed_run_ends_as_an_unbroken_one(tmp_path: Path, stand_in: ModuleType) -> None:
    folder = run(stand_in, tmp_path / "run")
    whole = encoder_of(folder)
    # What a run has that was killed after its last checkpoint but one.
    shutil.rmtree(sorted((folder / "checkpoints").iterdir())[-1])
    shutil.rmtree(folder / "final")
    assert encoder_of(run(stand_in, folder)) == whole


def test_restoring_is_learned(tmp_path: Path, stand_in: ModuleType) -> None:
    recipe = load_recipe(stand_in.RECIPE)
    stage = MaskedPretraining(build_generator(recipe.model), recipe.pretrain, seed=0)
    patient = stand_in.Discs().validation()[0]
    optimizer = torch.optim.Adam([p for p in stage.parameters() if p.requires_grad], lr=3e-3)
    with torch.no_grad():
        before = stage.validate_patient(patient)[0]
    for step in range(40):
        losses = stage(patient, step, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        after = stage.validate_patient(patient)[0]
        assert stage.validate_patient(patient)[0] == after
    assert float(after["reconstruction"]) < 0.7 * float(before["reconstruction"])


def test_an_objective_of_another_stage_is_refused() -> None:
    with pytest.raises(UsageError, match="contrastive or brainmvp"):
        resolved_recipe("pretrain", RunOptions(objective="class"))
    with pytest.raises(UsageError, match="no objective"):
        resolved_recipe("finetune", RunOptions(objective="brainmvp"))
    with pytest.raises(UsageError, match="only finetune"):
        resolved_recipe("align", RunOptions(adversarial=True))
    assert resolved_recipe("finetune", RunOptions(adversarial=True)).finetune.adversarial_weight
