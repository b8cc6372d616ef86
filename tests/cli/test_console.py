"""Results on stdout; notes, warnings and progress on stderr; bars on a terminal only."""

import json
import re
import subprocess
import sys
import warnings

import pytest

from omnisyn.cli.console import Console

Streams = pytest.CaptureFixture[str]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only stderr becomes a terminal; results go to a file or a pipe.

    Not a fixture: pytest exchanges the streams once more before a test begins.
    """
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")


def work(console: Console) -> None:
    with console.progress() as progress:
        progress(1, 2, "half")
        console.result("a path")
        console.note("a note")
        progress(2, 2, "whole")


def test_without_a_terminal_there_is_no_bar(capsys: Streams) -> None:
    work(Console())
    assert capsys.readouterr() == ("a path\n", "a note\n")


def test_results_reach_a_pipe_while_a_bar_is_shown(
    capsys: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    work(Console())
    out, err = capsys.readouterr()
    assert out == "a path\n"
    assert "2/2" in err
    assert "a note" in err


def test_quiet_shows_no_bar(capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    console = Console()
    console.verbosity = -1
    work(console)
    assert capsys.readouterr() == ("a path\n", "")


def test_no_color_is_respected(capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9;]*m")
    work(Console())
    assert coloured.search(capsys.readouterr().err)
    monkeypatch.setenv("NO_COLOR", "1")
    work(Console())
    text = capsys.readouterr().err
    assert "2/2" in text
    assert not coloured.search(text)


def test_json_never_holds_nan(capsys: Streams) -> None:
    Console().json({"direction": "T1→T2"})
    assert json.loads(capsys.readouterr().out) == {"direction": "T1→T2"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        Console().json({"figure": float("nan")})


def test_what_is_written_for_people_is_one_line_without_controls(capsys: Streams) -> None:
    console = Console()
    forged = "a\x1b[31m\nb\x9b2K\u202e\x07c"
    console.result(forged)
    console.note(forged)
    console.error(forged)
    assert capsys.readouterr() == ("a[31m b2Kc\n", "a[31m b2Kc\nomnisyn: a[31m b2Kc\n")
    console.result("  kept    apart")
    console.table("one\n  two\x1b")
    assert capsys.readouterr().out == "  kept    apart\none\n  two\n"


def test_json_is_ascii_and_says_the_same(capsys: Streams) -> None:
    value = {"a": "é\x9b\n\ud800"}
    Console().json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == value


def test_names_are_no_markup_of_the_bar(capsys: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    with Console().progress() as progress:
        progress(1, 2, "patient [/1]")
    assert "patient [/1]" in capsys.readouterr().err


def test_a_warning_is_one_line_and_those_for_developers_wait_for_v(capsys: Streams) -> None:
    console = Console()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = console.warning
        warnings.warn("mind the\nstep", UserWarning, stacklevel=1)
        warnings.warn("old name", FutureWarning, stacklevel=1)
        assert capsys.readouterr().err == "warning: mind the step\n"
        console.verbosity = 1
        warnings.warn("old name", FutureWarning, stacklevel=1)
        assert capsys.readouterr().err == "warning: old name\n"


def test_a_full_stderr_does_not_change_the_exit_code() -> None:
    with open("/dev/full", "w") as full:
        for words, code in ((["inspect", "nowhere"], 3), (["inspect", "--nope"], 2)):
            done = subprocess.run(
                [sys.executable, "-m", "omnisyn", *words],
                stdout=subprocess.DEVNULL,
                stderr=full,
                check=False,
            )
            assert done.returncode == code
