"""`omnisyn inspect` from the outside."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.cli import main

Scan = Callable[..., Path]


def test_a_volume_is_described(scan: Scan, capsys: pytest.CaptureFixture[str]) -> None:
    path = scan("sub-01_T1w.nii.gz")
    shape = nibabel.load(path).shape

    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out

    assert "sub-01_T1w.nii.gz: NIfTI" in out
    assert "contrast     T1, confidence 70% (named T1)" in out
    assert f"{' x '.join(map(str, shape))} voxels" in out


def test_json_holds_the_same_for_every_volume_of_a_folder(
    scan: Scan, capsys: pytest.CaptureFixture[str]
) -> None:
    first = scan("T1.nii.gz")
    scan("T2.nii.gz").with_name("T2.json").write_text('{"Contrast": "FLAIR"}')

    assert main(["inspect", str(first.parent), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)

    assert [(entry["name"], entry["contrast"], entry["confidence"]) for entry in entries] == [
        ("T1.nii.gz", "T1", 0.7),
        ("T2.nii.gz", "FLAIR", 1.0),
    ]
    assert all(entry["refusal"] is None for entry in entries)


def test_a_refused_volume_is_told_with_why_and_remedy_and_exit_3(
    scan: Scan, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = scan("T1.nii.gz"), scan("T2.nii.gz")
    cut.write_bytes(cut.read_bytes()[:-20])

    assert main(["inspect", str(whole.parent)]) == 3
    captured = capsys.readouterr()

    assert "T1.nii.gz: NIfTI\n  contrast" in captured.out
    assert "refused      the gzip file is cut short" in captured.out
    assert "remedy       fetch or export the file again" in captured.out
    assert captured.err.count("\n") == 1
    assert "1 of 2 volumes would be refused" in captured.err


def test_a_folder_that_cannot_be_read_is_told_and_exit_3(
    scan: Scan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    top = scan("data/T1.nii.gz").parent
    (top / "locked").mkdir()
    scandir = os.scandir

    def locked(place: str) -> object:
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", locked)
    assert main(["inspect", str(top)]) == 3
    captured = capsys.readouterr()
    assert "locked: folder\n  refused      the folder cannot be read\n" in captured.out
    assert "1 of 2" in captured.err
    assert str(top) not in captured.out + captured.err


def test_words_of_a_header_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    import pydicom
    import pydicom.data

    exam = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm"))
    exam.SeriesDescription = "T1\x1b[31m\nT2.nii.gz: NIfTI\r\x9b2K"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exam.save_as("exam.dcm")
        main(["inspect", "exam.dcm"])
    out = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\r"} & set(out)
    assert not [line for line in out.splitlines() if line.startswith("T2")]


def test_a_folder_without_images_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("nothing")

    assert main(["inspect", str(tmp_path)]) == 3
    assert "neither NIfTI files nor DICOM images" in capsys.readouterr().err


def test_inspecting_changes_nothing(scan: Scan) -> None:
    path = scan("T1.nii.gz")
    before = {entry: entry.stat().st_mtime_ns for entry in path.parent.iterdir()}

    main(["inspect", str(path.parent)])

    assert {entry: entry.stat().st_mtime_ns for entry in path.parent.iterdir()} == before
    assert np.isfinite(nibabel.load(path).get_fdata()).all()
