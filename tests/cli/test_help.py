"""Help imports little and nothing heavy; the benchmark `help` shows how soon it answers."""

import json
import subprocess
import sys

import pytest

from omnisyn.cli.verbs import VERBS

HEAVY = [
    "torch",
    "numpy",
    "monai",
    "SimpleITK",
    "nibabel",
    "matplotlib",
    "scipy",
    "rich",
    "open_clip",
]
MOST_MODULES = 330
"""What help imports now, and a fifth more; torch alone would bring a thousand."""

_PROBE = f"""
import json, sys
from omnisyn.cli import main
code = main(sys.argv[1:])
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"code": code, "modules": len(sys.modules), "heavy": heavy}}))
"""

OF_MODELS = [["models", name] for name in ("list", "show", "pull", "push", "convert")]
OF_SITES = [["sites", name] for name in ("list", "show")]
COMMANDS = [[], *([name] for name in VERBS), *OF_MODELS, *OF_SITES]


def probe(*arguments: str) -> tuple[dict[str, object], str]:
    """Run the command in a process of its own; what it cost, and what it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"},
    )
    *lines, last = finished.stdout.splitlines()
    return json.loads(last), "\n".join(lines)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "omnisyn")
def test_help_is_light(words: list[str]) -> None:
    found, text = probe(*words, "--help")
    assert found["code"] == 0
    assert text.startswith(f"Usage: omnisyn {' '.join(words)}".rstrip())
    assert "\x1b" not in text
    assert found["heavy"] == []
    assert found["modules"] < MOST_MODULES


def test_importing_the_package_is_light() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, omnisyn.api; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "omnisyn.api" in loaded
    assert not set(HEAVY) & set(loaded)


def test_every_verb_is_in_the_help_and_says_what_the_table_says() -> None:
    _, text = probe("--help")
    for name, verb in VERBS.items():
        assert f"{name} " in text
        assert verb.summary.split(".")[0][:30] in " ".join(text.split())
