"""Command line > OMNISYN_* > config file > default; an unknown key of a config file is an error."""

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
    ("content", "code"), [('device = 3\nmatch-source = "perhaps"\n', 2), ("no toml", 3)]
)
def test_a_wrong_type_or_syntax_is_refused(
    content: str, code: int, asked: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)
    assert main(["synthesize", "--src", "a", "--target", "T2", "--config", str(path)]) == code
    assert not asked


def test_a_truth_needs_its_contrast(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["synthesize", "--src", "a", "--target", "T2", "--truth"]
    assert main([*words, "T2.nii.gz"]) == 2
    assert "T2=PATH" in capsys.readouterr().err
    assert main([*words, "T2=t.nii.gz"]) == 0
    assert asked["truth"] == {"T2": Path("t.nii.gz")}
