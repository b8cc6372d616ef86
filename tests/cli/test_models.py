"""Weights through the hub from the outside: `models push` and `pull`, and addresses as weights."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn.cli import main
from omnisyn.models.weights import verify_weights
from tests.hub_server import WRITER, HubServer

ADDRESS = "hf-hub:org/tiny"

Scan = Callable[..., Path]
Streams = pytest.CaptureFixture[str]


@pytest.fixture
def published(hub: HubServer, weights: Path) -> str:
    """The commit of the weights in the stand-in of the hub."""
    hub.create("org/tiny")
    files = {path.name: path.read_bytes() for path in (weights, weights.with_suffix(".json"))}
    return hub.add("org/tiny", files)


def test_push_prints_what_pull_takes(
    hub: HubServer, log_in: Callable[[str], None], weights: Path, capsys: Streams
) -> None:
    log_in(WRITER)
    words = ["models", "push", str(weights), ADDRESS, "--private", "--tag", "v1", "--message", "Hi"]
    assert main(words) == 0
    captured = capsys.readouterr()
    commit, use = captured.out.splitlines()
    repository = hub.repositories["org/tiny"]
    assert commit == f"commit: {repository.names['v1']}"
    assert repository.messages[repository.names["v1"]] == "Hi"
    assert repository.private
    assert captured.err.splitlines() == ["uploading tiny.safetensors, 1.0 MB"]
    address = use.removeprefix("use: --weights ")
    assert main(["models", "pull", address, "--json"]) == 0
    pulled = json.loads(capsys.readouterr().out)
    assert pulled["sha256"] == verify_weights(weights).sha256
    assert commit == f"commit: {pulled['commit']}"
    assert Path(pulled["weights"]).read_bytes() == weights.read_bytes()
    assert main(["models", "push", str(weights), ADDRESS, "--json", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)["address"] == address


def test_pull_says_what_came_and_copies_it(published: str, capsys: Streams) -> None:
    assert main(["models", "pull", ADDRESS, "--out", "mine.safetensors"]) == 0
    captured = capsys.readouterr()
    sha256 = verify_weights("mine.safetensors").sha256
    assert captured.out.splitlines() == [
        "weights: mine.safetensors",
        "card: mine.json",
        f"sha256: {sha256}",
        f"commit: {published}",
    ]
    assert captured.err == ""
    assert main(["models", "pull", ADDRESS, "--out", "mine.safetensors"]) == 3
    assert main(["models", "pull", ADDRESS, "--out", "mine.safetensors", "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pull", "org/tiny"], 2, "no address on the hub"),
        (["pull", "hf-hub:org/tiny@v9"], 4, "no such revision"),
        (["pull", "hf-hub:org/nothing"], 4, "no such repository"),
        (["pull", f"hf-hub:org/tiny#sha256={'0' * 64}"], 4, "not the pinned weights"),
        (["push", "small", "hf-hub:org/tiny"], 5, "no token"),
        (["show", "hf-hub:org/nothing"], 4, "no such repository"),
    ],
)
def test_refusals_are_one_line_and_a_code(
    words: list[str], code: int, said: str, published: str, capsys: Streams
) -> None:
    assert main(["models", *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


def test_synthesize_and_evaluate_take_an_address(
    published: str, data: Path, scan: Scan, weights: Path, capsys: Streams
) -> None:
    address = f"{ADDRESS}@{published}#sha256={verify_weights(weights).sha256}"
    common = ["--weights", address, "--device", "cpu"]
    source = scan("T1.nii.gz")
    words = ["synthesize", "--src", str(source), "--target", "T2", "--output", "out", *common]
    assert main(words) == 0
    (sidecar,) = Path("out").rglob("*T2*.json")
    assert verify_weights(weights).sha256 in sidecar.read_text()
    assert address in sidecar.read_text()
    words = ["evaluate", "--site", "sim-small", "--data", str(data), "--out", "report", *common]
    assert main(words) == 0
    wrong = address[:-4] + "0000"
    assert main(["synthesize", "--src", str(source), "--target", "PD", "--weights", wrong]) == 4
    assert "not the pinned weights" in capsys.readouterr().err


def test_variables_of_the_hub_are_heeded_by_a_process_of_its_own(
    hub: HubServer, published: str, tmp_path: Path
) -> None:
    def run(*words: str, **variables: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "omnisyn", "models", *words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ
            | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
            | variables,
        )
        return done.returncode, done.stdout, done.stderr

    fetched = run("pull", ADDRESS)
    assert fetched[0] == 0
    assert fetched[2] == ""
    asked = len(hub.requests)
    assert asked > 0
    assert run("pull", ADDRESS, HF_HUB_OFFLINE="1") == fetched
    assert len(hub.requests) == asked


def test_the_text_tower_is_told_of_and_travels(
    hub: HubServer, log_in: Callable[[str], None], worded: Path, capsys: Streams
) -> None:
    log_in(WRITER)
    assert main(["models", "push", str(worded), ADDRESS, "-q"]) == 0
    capsys.readouterr()
    assert main(["models", "pull", ADDRESS, "--out", "mine.safetensors"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "text: mine.text.safetensors"
    assert main(["models", "verify", "mine.safetensors"]) == 0
    seal = verify_weights("mine.safetensors").text
    assert seal is not None
    assert f"text tower sha256 {seal.sha256}" in capsys.readouterr().out
    assert main(["models", "show", "mine.safetensors"]) == 0
    assert seal.sha256 in capsys.readouterr().out
    Path("mine.text.safetensors").write_bytes(b"")
    assert main(["models", "verify", "mine.safetensors"]) == 4
    assert "mine.text.safetensors: the weights are cut short" in capsys.readouterr().err
