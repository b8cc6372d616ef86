"""Whatever happens in a command becomes one line on stderr and the documented exit code."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from omnisyn import api
from omnisyn.cli import main
from omnisyn.errors import (
    InputError,
    ModelError,
    OmnisynError,
    PartialFailure,
    ResourceError,
    UsageError,
)
from tests.cli.lines import error_line


def failing(fault: BaseException) -> Callable[..., object]:
    """A function of the API that only raises."""

    def function(*arguments: object, **options: object) -> object:
        raise fault

    return function


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (UsageError("wrong"), 2),
        (InputError("wrong"), 3),
        (ModelError("wrong"), 4),
        (ResourceError("wrong"), 5),
        (PartialFailure("wrong"), 6),
        (MemoryError(), 5),
        (OSError(errno.ENOSPC, "No space left on device", "/data/secret/out.nii.gz"), 5),
        (PermissionError(errno.EACCES, "Permission denied", "/data/secret/out.nii.gz"), 5),
        (ConnectionResetError("reset"), 5),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/data/secret/out.nii.gz"), 3),
        (UnicodeEncodeError("utf-8", "secret\udcfc", 6, 7, "surrogates not allowed"), 3),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a fault of ours"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_fault_has_its_exit_code_and_one_line(
    fault: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(api, "list_models", failing(fault))
    assert main(["models", "list"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "secret" not in error_line(captured.err)


def test_an_unexpected_fault_shows_its_first_line_without_folders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = RuntimeError("cannot read /data/John Doe/secret/a.dcm\nTraceback\n File /usr/lib/x.py")
    monkeypatch.setattr(api, "list_models", failing(fault))
    assert main(["models", "list"]) == 1
    line = error_line(capsys.readouterr().err)
    assert line.startswith("omnisyn: unexpected RuntimeError: cannot read a.dcm (run again")
    assert "Traceback" not in line


def run_with(redirection: str, *words: str, **variables: str) -> tuple[int, str, str]:
    """`omnisyn WORDS REDIRECTION` in a shell: its exit code, stdout and stderr."""
    command = f'"{sys.executable}" -m omnisyn {shlex.join(words)} {redirection}'
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    return done.returncode, done.stdout, done.stderr


def test_a_closed_stream_is_no_fault() -> None:
    assert run_with("2>&-", "models", "list")[0] == 0
    assert run_with("2>&-", "models", "show", "nothing") == (4, "", "")
    assert run_with(">&-", "models", "list") == (0, "", "")
    assert run_with(">&-", "--version") == (0, "", "")


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("models", "list")])
def test_a_reader_that_leaves_ends_with_141_and_no_word(words: tuple[str, ...]) -> None:
    assert run_with("| true", *words) == (141, "", "")


def test_a_reader_of_errors_that_leaves_ends_with_141() -> None:
    assert run_with("2>&1 >&- | true", "models", "show", "nothing")[0] == 141


def test_letters_that_the_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    code, out, err = run_with("", "inspect", str(tmp_path / "é.nii.gz"), PYTHONIOENCODING="ascii")
    assert code == 3
    assert "\\xe9.nii.gz" in out
    assert "\\xe9.nii.gz" in err


def test_out_of_memory_on_a_gpu_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")
    monkeypatch.setattr(api, "list_models", failing(fault))
    assert main(["models", "list"]) == ResourceError.exit_code
    assert "out of memory" in error_line(capsys.readouterr().err)


def test_the_traceback_waits_for_vv(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "list_models", failing(InputError("wrong")))
    main(["models", "list", "-v"])
    assert "Traceback" not in capsys.readouterr().err
    main(["models", "list", "-vv"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["synthesise"], "synthesize"),
        (["synthesize", "--src", "T1.nii.gz", "--targets", "T2"], "--target"),
        (["synthesize", "--target", "T2"], "--src"),
        (["pretrain", "--max-steps", "many"], "--max-steps"),
        (["models", "shwo"], "shwo"),
    ],
)
def test_usage_errors_are_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == UsageError.exit_code
    assert expected in error_line(capsys.readouterr().err)


def test_the_bare_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: omnisyn")


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    import omnisyn

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"omnisyn {omnisyn.__version__}\n"


def test_quiet_silences_notes_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def simulate(*arguments: object, **options: object) -> list[Path]:
        options["note"]("a note")  # type: ignore[operator]
        return [Path("site")]

    monkeypatch.setattr(api, "simulate", simulate)
    assert main(["simulate", "demo", "--out", "x"]) == 0
    assert capsys.readouterr() == ("site\n", "a note\n")
    assert main(["simulate", "demo", "--out", "x", "-q"]) == 0
    assert capsys.readouterr() == ("site\n", "")


_WAITING = """\
import time
try:
    print('ready', flush=True)
    time.sleep(30)
finally:
    print('unwound', flush=True)
"""


@pytest.mark.parametrize(
    ("what", "printed"),
    [
        ("exec(open('waiting.py').read())", "unwound\n"),
        # In the middle of torch's import an exception aborts the process: -6, and a page of text.
        ("import waiting", ""),
    ],
    ids=["work", "import"],
)
def test_termination_exits_with_143_and_unwinds_but_for_an_import(
    tmp_path: Path, what: str, printed: str
) -> None:
    (tmp_path / "waiting.py").write_text(_WAITING)
    program = (
        "import sys\n"
        "from omnisyn import api\n"
        "from omnisyn.cli import main\n"
        f"def wait(*a, **k):\n    {what}\n"
        "api.list_models = wait\n"
        "sys.exit(main(['models', 'list']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)
    assert rest == printed
    assert process.returncode == 143


def test_errors_have_distinct_exit_codes() -> None:
    classes = [OmnisynError, *OmnisynError.__subclasses__()]
    assert len({each.exit_code for each in classes}) == len(classes)
