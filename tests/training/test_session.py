from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.studies.cache_files import build_cache
from omnisyn.studies.site import SiteSettings, write_site
from omnisyn.training import session
from omnisyn.training.recipe import Stage, load_recipe
from omnisyn.training.run import RunOptions
from omnisyn.training.session import accelerator_for, open_source, resolved_recipe
from omnisyn.volumes.write import write_volume


def test_options_are_written_into_the_recipe(stand_in: ModuleType) -> None:
    options = RunOptions(recipe=stand_in.RECIPE, max_steps=3, objective="class")
    recipe = resolved_recipe("align", options)
    assert (recipe.align.steps, recipe.align.objective) == (3, "class")
    assert recipe.pretrain == load_recipe(stand_in.RECIPE).pretrain


@pytest.mark.parametrize(("name", "recipe"), [("align", "paper"), ("finetune", "words")])
def test_few_steps_leave_some_with_images(name: Stage, recipe: str) -> None:
    settings = getattr(resolved_recipe(name, RunOptions(recipe=recipe, max_steps=10)), name)
    assert (settings.steps, settings.text_steps) == (10, 5)


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(max_steps=0),
        RunOptions(objective="class"),
        RunOptions(clip_weights="openai"),
    ],
)
def test_options_that_do_not_fit_the_stage_are_refused(options: RunOptions) -> None:
    with pytest.raises(UsageError):
        resolved_recipe("pretrain", options)


@pytest.mark.parametrize("device", ["gpu", "tpu:0", "cuda:x"])
def test_unknown_device_is_refused(device: str) -> None:
    with (
        pytest.raises(UsageError, match="unknown device"),
        accelerator_for(RunOptions(device=device)),
    ):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_device_that_is_named_does_not_fall_back() -> None:
    with (
        pytest.raises(UsageError, match="not on this machine"),
        accelerator_for(RunOptions(device="cuda")),
    ):
        pass


def test_one_process_may_train_in_several_precisions() -> None:
    for precision, wanted in (("float32", "no"), ("bfloat16", "bf16"), ("float32", "no")):
        with accelerator_for(RunOptions(device="cpu", precision=precision)) as accelerator:
            assert accelerator.mixed_precision == wanted


def test_half_precision_trains(tmp_path: Path, stand_in: ModuleType) -> None:
    result = stand_in.train("pretrain", tmp_path / "half", precision="bfloat16", max_steps=2)
    assert result.finished


def test_without_a_data_root_the_simulator_is_used_and_named(
    stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMNISYN_DATA", raising=False)
    heard: list[str] = []
    source = open_source(RunOptions(), load_recipe(stand_in.RECIPE).pretrain, heard.append)
    assert isinstance(source, session.SimulatedSlices)
    assert source.simulated
    assert len(heard) == 1
    assert "SIMULATED" in heard[0]


def test_a_patient_alone_is_refused_before_anything_is_trained(
    stand_in: ModuleType, tmp_path: Path
) -> None:
    geometry = Geometry.axial((4, 32, 32), (3.0, 1.0, 1.0))
    slices = np.full((4, 32, 32), 100.0, np.float32)
    slices[:, :4] = 0
    voxels = geometry.from_slices(slices)
    for name in ("T1", "T2"):
        path = tmp_path / "clinic" / "one" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_volume(path, voxels, geometry)
    build_cache(write_site(tmp_path, SiteSettings(name="clinic", role="train")))
    settings = load_recipe(stand_in.RECIPE).finetune
    with pytest.raises(InputError, match="no patient of clinic is left to validate on"):
        open_source(RunOptions(data=tmp_path), settings, lambda line: None)


def test_label_maps_are_trained_on_beside_the_procedural_heads(
    stand_in: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("OMNISYN_DATA", raising=False)
    (tmp_path / "DCA.nii.gz").touch()
    settings = load_recipe(stand_in.RECIPE).pretrain
    source = open_source(RunOptions(label_maps=(tmp_path,)), settings, lambda line: None)
    assert "1 label maps: MGH DCA" in source.name
    assert "procedural heads" in source.name
    assert any("Martinos" in name for name in source.credits)
    source.close()


def test_patients_are_mixed_with_simulated_heads_as_the_recipe_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[dict[str, Any]] = []

    class Recorded:
        name, simulated, credits, validation_patients = "", True, (), ("one",)

        def __init__(self, data: object, **options: Any) -> None:
            opened.append(options)

    (tmp_path / "DCA.nii.gz").touch()
    (tmp_path / "sites").mkdir()
    write_site(tmp_path / "sites", SiteSettings(name="clinic", role="train"))
    monkeypatch.setattr(session, "CachedSlices", Recorded)
    monkeypatch.setattr(session, "SimulatedSlices", Recorded)
    settings = load_recipe("small").finetune.model_copy(update={"any_protocol": 0.25})
    options = RunOptions(data=tmp_path / "sites", label_maps=(tmp_path,))
    open_source(options, settings, lambda line: None)
    assert [each["batch_size"] for each in opened] == [1, 3, 2]
    assert opened[0]["grey_scales"] == settings.mixture.grey_scales != {}
    assert [each.get("any_protocol") for each in opened] == [None, 0.25, 0.25]
    # What times do is learned from many scans.
    assert [each.get("visits") for each in opened] == [None, 8, 8]
    opened.clear()
    settings = load_recipe("small").finetune
    open_source(options, settings, lambda line: None)
    assert [each.get("visits") for each in opened] == [None, 4, None]
    opened.clear()
    open_source(RunOptions(data=tmp_path / "sites"), settings, lambda line: None)
    assert [each["batch_size"] for each in opened] == [6]
    assert opened[0]["grey_scales"] is None


@pytest.mark.parametrize(
    ("stage", "init", "data", "recipe"),
    [
        ("finetune", True, True, "adapt"),
        ("finetune", True, False, "small"),
        ("finetune", False, True, "small"),
        ("pretrain", False, True, "small"),
    ],
)
def test_weights_and_patients_of_ones_own_are_an_adaptation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str, init: bool, data: bool, recipe: str
) -> None:
    monkeypatch.delenv("OMNISYN_DATA", raising=False)
    options = RunOptions(init=("small",) if init else (), data=tmp_path if data else None)
    resolved = resolved_recipe(stage, options)
    assert resolved.name == recipe
    assert bool(resolved.finetune.low_rank) is (recipe == "adapt")


def test_a_recipe_that_is_named_is_taken(tmp_path: Path) -> None:
    options = RunOptions(recipe="small", init=("small",), data=tmp_path)
    assert resolved_recipe("finetune", options).name == "small"


def test_data_root_must_exist(stand_in: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        open_source(
            RunOptions(data=tmp_path / "none"), load_recipe(stand_in.RECIPE).pretrain, print
        )
