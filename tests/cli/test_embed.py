"""`omnisyn embed` from the outside."""

from collections.abc import Callable
from pathlib import Path

import pytest

import omnisyn
from omnisyn.cli import main
from omnisyn.models.generator import ModelSettings, build_generator
from omnisyn.training.artefacts import RunCard, write_encoder
from omnisyn.training.run import RunFolder

Scan = Callable[..., Path]


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A finished pretrain run of a very narrow network."""
    run = RunFolder(tmp_path / "runs" / "stage one")
    run.final.mkdir(parents=True)
    run.update(stage="pretrain", finished=True, step=3)
    generator = build_generator(ModelSettings(backbone="small", width=4, fusion_heads=1), seed=7)
    write_encoder(
        run.final, generator, RunCard("pretrain", "test", 7, "discs", True, 3, 3, 1.0, {}, {})
    )
    return run.path


def test_a_folder_of_patients_gives_a_file_each_on_stdout(
    data: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = str(data / "sim-small")
    words = ["embed", "--src", site, "-o", "out", "--weights", str(weights), "--device", "cpu"]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "out/001/embedding.safetensors",
        "out/002/embedding.safetensors",
    ]
    (first, second) = (omnisyn.read_embedding(path) for path in captured.out.splitlines())
    assert (first.patient, second.patient) == ("001", "002")
    assert list(first.scans) == ["T1", "T2"]

    assert main(words) == 6
    assert "the output exists already" in capsys.readouterr().err
    assert main([*words, "--skip-existing"]) == 0
    assert capsys.readouterr().out == ""


def test_the_encoder_of_a_pretrain_run_is_taken(
    scan: Scan, pretrained: Path, weights: Path
) -> None:
    source = str(scan("T1.nii.gz"))
    words = ["embed", "--src", source, "--device", "cpu", "--patient", "H1", "--weights"]
    assert main([*words, str(pretrained), "--out", "run.safetensors"]) == 0
    assert main([*words, str(weights), "--out", "weights.safetensors"]) == 0
    of_run, of_weights = (
        omnisyn.read_embedding(f"{name}.safetensors") for name in ("run", "weights")
    )
    assert of_run.patient == "H1"
    assert of_run.description["Model"]["Name"] == "stage one"
    assert of_run.description["Model"]["TrainedOn"] == "discs"
    one, other = (each.scans["T1"].volume["level5"] for each in (of_run, of_weights))
    assert one.shape == other.shape
    assert (one != other).any()


def test_a_run_that_is_cut_short_or_damaged_is_a_fault_of_the_model(
    scan: Scan, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["embed", "--src", str(scan("T1.nii.gz")), "--weights", str(pretrained)]
    file = pretrained / "final" / "encoder.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert main(words) == 4
    assert "cut short" in capsys.readouterr().err
    (pretrained / "final" / "encoder.json").unlink()
    assert main(words) == 4
    assert "run the stage again" in capsys.readouterr().err
    assert not Path("omnisyn-embeddings").exists()


def test_a_scan_that_tells_no_contrast_is_refused(
    scan: Scan, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = scan("scan.nii.gz")
    words = ["embed", "--weights", str(weights), "--device", "cpu", "--src"]
    assert main([*words, str(source)]) == 3
    assert "nothing says which contrast" in capsys.readouterr().err
    assert main([*words, f"T2={source}"]) == 0
    (path,) = capsys.readouterr().out.splitlines()
    assert list(omnisyn.read_embedding(path).scans) == ["T2"]
