"""Command line > OMNISYN_* > config file > default; an unknown key of a config file is an error."""

import os
from pathlib import Path
from typing import Any

import pytest

from omnisyn import api
from omnisyn.cli import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `omnisyn synthesize` asks of the API, instead of doing it."""
    seen: dict[str, Any] = {}

    def synthesize(
        sources: list[str], targets: list[str], output: Path, **options: Any
    ) -> list[Any]:
        seen.update(options, sources=sources, targets=targets, output=output)
        return []

    monkeypatch.setattr(api, "synthesize", synthesize)
    monkeypatch.delenv("OMNISYN_DEVICE", raising=False)
    monkeypatch.delenv("OMNISYN_WEIGHTS", raising=False)
    return seen


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text('device = "cuda:1"\nmatch-source = true\ntarget = ["T2", "PD"]\n')
    return path


def test_defaults_are_those_of_the_api(asked: dict[str, Any]) -> None:
    assert main(["synthesize", "--src", "a", "--target", "T2"]) == 0
    assert asked["device"] == "auto"
    assert asked["output"] == Path("omnisyn-out")
    assert asked["match_source"] is False


def test_the_config_file_gives_defaults(asked: dict[str, Any], config: Path) -> None:
    assert main(["synthesize", "--src", "a", "--config", str(config)]) == 0
    assert (asked["device"], asked["match_source"]) == ("cuda:1", True)
    assert asked["targets"] == ["T2", "PD"]


def test_the_environment_beats_the_config_file(
    asked: dict[str, Any], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNISYN_DEVICE", "mps")
    assert main(["synthesize", "--src", "a", "--config", str(config)]) == 0
    assert asked["device"] == "mps"


def test_the_command_line_beats_the_environment(
    asked: dict[str, Any], config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNISYN_DEVICE", "mps")
    words = ["synthesize", "--src", "a", "--config", str(config), "--device", "cpu"]
    assert main([*words, "--target", "FLAIR"]) == 0
    assert asked["device"] == "cpu"
    assert asked["targets"] == ["FLAIR"]


def test_an_unknown_key_is_refused_with_the_nearest_name(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('devise = "cpu"\n')
    assert main(["synthesize", "--src", "a", "--target", "T2", "--config", str(path)]) == 3
    assert "'devise'" in (line := capsys.readouterr().err)
    assert "'device'" in line
    assert not asked


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("device = 3", "'device' does not fit (it takes a text, not 3)"),
        ('match-source = "perhaps"', "'match-source' does not fit"),
        ('target = "T2"', "'target' does not fit (it takes a list)"),
        ("src = []", "'src' does not fit"),
        ('target = ["T2", 3]', "'target' does not fit (it takes a text, not 3)"),
        ('output = ["a"]', "'output' does not fit (it takes no list)"),
        ('output = ""', "'output' does not fit (it is empty)"),
        ("volume = 2020-01-01", "'volume' does not fit"),
        ('config = "other.toml"', "a config file cannot name another one"),
        ("no toml", "is not TOML"),
        ("volume = " + "9" * 5000, "is not TOML"),
        ("target = " + "[" * 50000, "is not TOML"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_key(
    content: str,
    told: str,
    asked: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content + "\n")
    assert main(["synthesize", "--src", "a", "--target", "T2", "--config", str(path)]) == 3
    line = capsys.readouterr().err
    assert line.startswith("omnisyn: settings.toml: ")
    assert told in line
    assert not asked


def test_a_config_that_is_no_file_is_refused(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("pipe.toml", "."):
        words = ["synthesize", "--src", "a", "--target", "T2", "--config"]
        assert main([*words, str(tmp_path / name)]) == 3
        assert "cannot read the config file (not a regular file)" in capsys.readouterr().err
    assert not asked


@pytest.mark.parametrize("words", [["-o", ""], ["--output="], ["--weights", ""], ["--truth="]])
def test_an_empty_value_is_refused(
    words: list[str], asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synthesize", "--src", "a", "--target", "T2", *words]) == 2
    assert f"omnisyn: {words[0].rstrip('=')} is empty" in capsys.readouterr().err
    assert main(["synthesize", "--src", "", "--target", "T2"]) == 2
    assert main(["inspect", ""]) == 2
    assert not asked


def test_a_truth_needs_its_contrast(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["synthesize", "--src", "a", "--target", "T2", "--truth"]
    assert main([*words, "T2.nii.gz"]) == 2
    assert "T2=PATH" in capsys.readouterr().err
    assert main([*words, "/home/secret/T2.nii.gz"]) == 2
    assert "--truth T2.nii.gz lacks" in capsys.readouterr().err
    assert main([*words, "T2=t.nii.gz"]) == 0
    assert asked["truth"] == {"T2": Path("t.nii.gz")}
