"""`omnisyn sites` from the outside."""

import json
from pathlib import Path

import pytest

import omnisyn
from omnisyn.cli import main
from omnisyn.errors import UsageError
from omnisyn.studies.cache_files import build_cache
from omnisyn.studies.site import open_site
from tests.cli.lines import error_line

Streams = pytest.CaptureFixture[str]


def test_list_says_a_line_for_each_site(data: Path, capsys: Streams) -> None:
    assert main(["sites", "list", "--data", str(data)]) == 0
    assert capsys.readouterr().out == (
        "sim-small: SIMULATED; external; 2 patients; T1 2, T2 2; unknown; cache missing\n"
    )


def test_list_as_json_is_what_python_gets(data: Path, capsys: Streams) -> None:
    assert main(["sites", "list", "--data", str(data), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == omnisyn.list_sites(data)
    assert [site["name"] for site in printed] == ["sim-small"]


def test_show_says_what_one_site_holds(data: Path, capsys: Streams) -> None:
    (data / "sim-small" / "002" / "T2.nii.gz").unlink()
    build_cache(open_site(data / "sim-small"))
    assert main(["sites", "show", "sim-small", "--data", str(data)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "site: sim-small (SIMULATED)"
    for line in (
        "role: external",
        "patients: 2 patients",
        "contrasts: T1 2, T2 1",
        "without T2: 002",
        "cache: whole",
    ):
        assert line in lines


def test_show_as_json_is_what_python_gets(
    data: Path, capsys: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNISYN_DATA", str(data))
    assert main(["sites", "show", "sim-small", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == omnisyn.show_site("sim-small")
    assert printed["patients"] == ["001", "002"]


def test_a_broken_cache_is_said_and_is_no_error(data: Path, capsys: Streams) -> None:
    build_cache(open_site(data / "sim-small"))
    (data / "sim-small" / "cache" / "001.npy").write_bytes(b"")
    assert main(["sites", "show", "sim-small", "--data", str(data)]) == 0
    assert "cache: the slice cache of site sim-small is torn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list"], 2, "no data root is given; say --data ROOT"),
        (["show", "sim-small"], 2, "no data root is given"),
        (["list", "--data", "nowhere"], 3, "the data root does not exist"),
        (["show", "theirs", "--data", "root"], 3, "there is no site theirs"),
        (["show", "external2", "--data", "root"], 3, "is not in the data root"),
    ],
)
def test_refusals_are_one_line_and_a_code(
    words: list[str], code: int, said: str, data: Path, capsys: Streams
) -> None:
    assert main(["sites", *words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in error_line(captured.err)


def test_python_is_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNISYN_DATA", raising=False)
    with pytest.raises(UsageError, match="no data root"):
        omnisyn.list_sites()
