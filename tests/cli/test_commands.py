"""The other commands from the outside: what they print, and how they refuse."""

import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from monai.networks.nets import SwinUNETR

import omnisyn.training.align
import omnisyn.training.finetune
import omnisyn.training.pretrain
from omnisyn.cli import main
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.models.backbone import backbone_names
from omnisyn.models.weights import load_weights
from omnisyn.studies.slices import SliceBatch
from omnisyn.training.run import RunOptions
from tests.inference.ellipses import ellipses

Scan = Callable[..., Path]
Streams = pytest.CaptureFixture[str]
RECIPES = resources.files("omnisyn.training").joinpath("recipes")


def test_evaluate_prints_the_table_and_where_the_report_lies(
    data: Path, weights: Path, capsys: Streams
) -> None:
    words = ["evaluate", "--site", "sim-small", "--data", str(data), "--out", "report"]
    assert main([*words, "--weights", str(weights), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    assert "T1→T2" in out
    assert "T2→T1" in out
    report = Path(out.splitlines()[-1])
    assert report.parent == Path("report")
    assert "SIMULATED" in report.read_text(encoding="utf-8")

    assert main([*words, "--weights", str(weights), "--device", "cpu"]) == 3
    assert "exists already" in capsys.readouterr().err

    assert main([*words, "--weights", str(weights), "--overwrite", "--json", "-q"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert "SIMULATED" in json.dumps(summary) or '"simulated": true' in json.dumps(summary)


def test_evaluate_scores_predictions_that_synthesize_wrote(
    data: Path, weights: Path, capsys: Streams
) -> None:
    site = data / "sim-small"
    synthesize = ["synthesize", "--src", str(site), "--target", "T2", "-o", "made", "-q"]
    assert main([*synthesize, "--weights", str(weights), "--device", "cpu"]) == 0
    capsys.readouterr()
    words = ["evaluate", "--site", "sim-small", "--data", str(data), "--predictions", "made"]
    assert main([*words, "--out", "report"]) == 0
    out = capsys.readouterr().out
    assert "T1→T2" in out
    assert "T2→T1" not in out


def test_evaluate_exits_with_6_when_a_patient_cannot_be_scored(
    data: Path, weights: Path, capsys: Streams
) -> None:
    (data / "sim-small" / "002" / "T2.nii.gz").write_bytes(b"")
    words = ["evaluate", "--site", "all", "--data", str(data), "--out", "report"]
    assert main([*words, "--weights", str(weights), "--device", "cpu"]) == 6
    captured = capsys.readouterr()
    assert "report.html" in captured.out
    assert "failed: sim-small/002" in captured.err


@pytest.mark.parametrize("with_data", [True, False], ids=["data root", "embedded"])
def test_external2_is_the_public_dataset_and_nothing_else(
    data: Path, weights: Path, with_data: bool, capsys: Streams
) -> None:
    root = ["--data", str(data)] if with_data else []
    assert main(["evaluate", "--site", "external2", *root, "--weights", str(weights), "-q"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "--site sim-external2" in line
    assert "fetch" in line


def test_prepare_makes_a_site_of_a_folder(scan: Scan, capsys: Streams) -> None:
    for patient in ("a", "b"):
        scan(f"hospital/{patient}/T1.nii.gz")
        scan(f"hospital/{patient}/T2.nii.gz", seed=1)
    assert main(["prepare", "hospital", "--out", "root/ours", "--role", "internal"]) == 0
    captured = capsys.readouterr()
    assert captured.out == str(Path("root/ours")) + "\n"
    assert "2 patients" in captured.err
    assert 'role = "internal"' in Path("root/ours/site.toml").read_text()
    assert main(["prepare", "hospital", "--out", "root/ours"]) == 3
    assert main(["prepare", "hospital", "--out", "root/theirs", "--role", "friend"]) == 2
    assert "train, internal, external" in capsys.readouterr().err


def test_prepare_says_its_plan_and_who_failed(scan: Scan, capsys: Streams) -> None:
    scan("hospital/a/T1.nii.gz")
    scan("hospital/b/T1.nii.gz")
    Path("hospital/b/T2.nii.gz").write_bytes(b"no image")
    assert main(["prepare", "hospital", "--out", "root/ours", "--dry-run"]) == 0
    assert "    T2: NIfTI, 1 file, named T2" in capsys.readouterr().out.splitlines()
    assert not Path("root").exists()
    assert main(["prepare", "hospital", "--out", "root/ours", "--jobs", "1"]) == 6
    captured = capsys.readouterr()
    assert captured.out == str(Path("root/ours")) + "\n"
    assert "ours/b failed and is left out: b/T2" in captured.err
    assert "1 of 2 patients failed" in captured.err
    assert Path("root/ours/preparation/report.html").is_file()


def test_fetch_needs_the_published_archive(capsys: Streams) -> None:
    Path("primary_data.zip").write_bytes(b"PK")
    call = ["fetch", "external2", "--out", "root/external2", "--from", "primary_data.zip"]
    assert main(call) == 3
    assert "not the published archive" in capsys.readouterr().err
    assert not Path("root").exists()
    assert main(["fetch", "brats", "--out", "root/brats"]) == 2
    assert "use external2" in capsys.readouterr().err


def test_models_are_listed_shown_and_verified(weights: Path, capsys: Streams) -> None:
    assert main(["models", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert isinstance(listed["weights"], list)
    assert {each["name"] for each in listed["backbones"]} == set(backbone_names())
    assert main(["models", "list"]) == 0
    assert "backbone resvit: residual convolutions with" in capsys.readouterr().out
    assert main(["models", "show", str(weights), "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["name"] == "tiny"
    assert main(["models", "show", str(weights)]) == 0
    assert "trained_on: nothing at all" in capsys.readouterr().out
    assert main(["models", "verify", str(weights), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["sha256"] == card["sha256"]


def test_models_verify_says_so_when_nothing_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("omnisyn.api.verify_models", lambda *_: [])
    assert main(["models", "verify"]) == 0
    assert "ships no weights" in capsys.readouterr().err


def test_a_published_checkpoint_becomes_weights_to_go_on_from(
    tmp_path: Path, capsys: Streams
) -> None:
    recipe = tmp_path / "narrow.toml"
    recipe.write_text(
        RECIPES.joinpath("paper.toml").read_text().replace("width = 48", "width = 12")
    )
    torch.save(SwinUNETR(1, 2, feature_size=12, spatial_dims=2).state_dict(), tmp_path / "a.pt")
    out = tmp_path / "start.safetensors"
    call = ["models", "convert", str(tmp_path / "a.pt"), "--recipe", str(recipe), "--out", str(out)]
    assert main([*call, "--trained-on", "nobody"]) == 0
    assert "the decoder is drawn afresh: 2 have another shape" in capsys.readouterr().err
    card = load_weights(out).card
    assert (card.name, card.trained_on, card.simulated) == ("start", "nobody", False)
    assert card.stages["converted"] == {"checkpoint": "a.pt", "halves": ["encoder"]}
    assert main([*call, "--trained-on", "nobody"]) == 3


def test_weights_are_calibrated_once_and_then_say_how_sure_they_are(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Streams
) -> None:
    copy = tmp_path / weights.name
    for path in (weights, weights.with_suffix(".json")):
        shutil.copy(path, tmp_path)

    class Ellipses:
        name, simulated, credits = "ellipses", True, ()

        def __init__(self, *_: object, validation_patients: int, **__: object) -> None:
            self.count = validation_patients

        def validation(self) -> list[SliceBatch]:
            return ellipses(self.count)

    monkeypatch.delenv("OMNISYN_DATA", raising=False)
    monkeypatch.setattr("omnisyn.inference.calibrate.SimulatedSlices", Ellipses)
    arguments = ["models", "calibrate", str(copy), "--patients", "3", "--device", "cpu"]
    assert main(arguments) == 0
    written = Path(capsys.readouterr().out.strip())
    assert written == tmp_path / "tiny.calibration.safetensors"
    calibration = Synthesizer.load(copy, "cpu").calibration
    assert calibration is not None
    assert (calibration.measured_on, calibration.patients) == ("ellipses", 3)
    assert main(arguments) == 3
    assert "the output exists already" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_models_verify_exits_with_4_on_damage(
    weights: Path, tmp_path: Path, capsys: Streams
) -> None:
    copy = tmp_path / weights.name
    copy.write_bytes(weights.read_bytes()[:-1])
    copy.with_suffix(".json").write_bytes(weights.with_suffix(".json").read_bytes())
    assert main(["models", "verify", str(copy)]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "tiny.safetensors" in captured.err


def test_doctor_examines_and_fails_without_whole_weights(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: Streams
) -> None:
    from omnisyn.models import weights as module

    monkeypatch.setattr(module, "weights_folder", lambda: weights.parent)
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["weights"] == {"tiny": "whole"}
    assert report["cache"]["writable"] == "yes"
    assert {"python", "torch"} <= set(report["versions"])
    assert report["devices"]["auto"]

    monkeypatch.setattr(module, "weights_folder", lambda: None)
    assert main(["doctor"]) == 4
    assert "no weights ship" in capsys.readouterr().err


def test_simulate_refuses_before_it_simulates(tmp_path: Path, capsys: Streams) -> None:
    assert main(["simulate", "nowhere", "--out", "root"]) == 2
    assert main(["simulate", "demo", "--out", "root", "--site", "sim-nowhere"]) == 2
    assert main(["simulate", "example", "--out", "root", "--seed", "3"]) == 2
    (tmp_path / "root" / "sim-external2").mkdir(parents=True)
    (tmp_path / "root" / "sim-external2" / "site.toml").touch()
    capsys.readouterr()
    assert main(["simulate", "demo", "--out", "root", "--site", "sim-external2"]) == 3
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["pretrain", "align", "finetune"])
def test_training_options_reach_the_stage(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: Streams
) -> None:
    seen: list[RunOptions] = []

    def run(options: RunOptions, say: Callable[[str], None]) -> SimpleNamespace:
        seen.append(options)
        say("a note")
        return SimpleNamespace(folder=Path("runs/one"), table="T1 as T1")

    monkeypatch.setattr(getattr(omnisyn.training, stage), stage, run)
    assert main([stage]) == 0
    assert capsys.readouterr() == ("T1 as T1\nruns/one\n", "a note\n")
    words = ["--recipe", "paper", "--data", "root", "--out", "runs/x", "--init", "a", "--init", "b"]
    words += ["--seed", "5", "--device", "cpu", "--precision", "bfloat16", "--max-steps", "7"]
    words += ["--max-time", "2m", "--resume", "never", "--save-every", "9"]
    words += ["--label-maps", "maps", "--label-maps", "more"]
    assert main([stage, *words]) == 0
    expected = RunOptions(
        recipe="paper",
        data=Path("root"),
        out=Path("runs/x"),
        init=("a", "b"),
        seed=5,
        device="cpu",
        precision="bfloat16",
        max_steps=7,
        max_time=120.0,
        resume="never",
        save_every=9,
        label_maps=(Path("maps"), Path("more")),
    )
    assert seen == [RunOptions(), expected]
    capsys.readouterr()
    assert main([stage, "--precision", "half"]) == 2
    assert main([stage, "--max-time", "soon"]) == 2
    assert len(seen) == 2


def test_align_takes_an_objective_and_pretrained_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RunOptions] = []

    def run(options: RunOptions, say: Callable[[str], None]) -> SimpleNamespace:
        seen.append(options)
        return SimpleNamespace(folder=Path("runs/one"), table="")

    monkeypatch.setattr(omnisyn.training.align, "align", run)
    assert main(["align", "--objective", "class", "--clip-weights", "openai"]) == 0
    assert (seen[0].objective, seen[0].clip_weights) == ("class", "openai")
    monkeypatch.undo()
    assert main(["align", "--objective", "guess"]) == 2


def test_pretrain_takes_an_objective_and_finetune_an_adversary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[RunOptions] = []

    def run(options: RunOptions, say: Callable[[str], None]) -> SimpleNamespace:
        seen.append(options)
        return SimpleNamespace(folder=Path("runs/one"), table="")

    monkeypatch.setattr(omnisyn.training.pretrain, "pretrain", run)
    monkeypatch.setattr(omnisyn.training.finetune, "finetune", run)
    assert main(["pretrain", "--objective", "brainmvp"]) == 0
    assert main(["finetune", "--adversarial"]) == 0
    assert main(["finetune"]) == 0
    assert [each.objective for each in seen] == ["brainmvp", None, None]
    assert [each.adversarial for each in seen] == [False, True, False]


def test_compare_names_the_comparisons_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", "backbone"]) == 2
    assert "backbones-small" in capsys.readouterr().err
