"""Every bad input at the command itself: message, exit code, nothing written, nothing lost."""

import hashlib
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.cli import main
from tests.hostile.around_cases import AROUND
from tests.hostile.dicom_cases import DICOM
from tests.hostile.nifti_cases import NIFTI
from tests.tiny_weights import save_tiny

CASES = (*NIFTI, *DICOM, *AROUND)
MADE = "desc-synth"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a very narrow network."""
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def state(folder: Path) -> dict[str, str]:
    """Every entry below a folder, and the hash of what a file holds."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            regular = not path.is_symlink() and path.is_file()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
            found[path.relative_to(folder).as_posix()] = content
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_input_is_refused_or_its_result_says_what_was_odd(
    case, weights: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(word) for word in case.make(tmp_path)]
    before = state(tmp_path)
    if "--weights" not in words:
        words += ["--weights", str(weights)]

    code = main(["synthesize", *words, "--device", "cpu"])

    captured = capsys.readouterr()
    assert code == case.code, captured.err
    after = state(tmp_path)
    assert {name: after[name] for name in before} == before
    if code:
        # What cannot be done has one line, and leaves nothing.
        (line,) = captured.err.splitlines()
        assert line.startswith("omnisyn: ")
        assert case.says in line
        assert str(tmp_path) not in line
        assert captured.out == ""
        assert after == before
    else:
        (path,) = (tmp_path / "omnisyn-out").rglob(f"*{MADE}*.nii.gz")
        image = nibabel.load(path)
        assert image.get_data_dtype() == np.float32
        assert (image.dataobj.slope, image.dataobj.inter) == (1, 0)
        assert np.isfinite(image.get_fdata()).all()
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        warnings = " ".join(sidecar["Warnings"])
        assert case.says in warnings
        assert case.says or not sidecar["Warnings"]
    for name in ("secret-id", "Secret^Name", "Somebody"):
        assert name not in captured.err
        for path in (tmp_path / "omnisyn-out").rglob("*"):
            assert not path.is_file() or name.encode() not in path.read_bytes()


# What depends on a choice, on a second source or on the output is not what one scan is.
ALONE = [
    case
    for case in CASES
    if case.row not in ("grids", "output", "patients", "weights", "settings")
    and not case.name.endswith(
        ("strictly", "permission", "choice", "said", "one_of_several_volumes")
    )
    and case.name not in ("links_in_a_circle", "vanished_file", "dangling_link")
]


@pytest.mark.parametrize("case", ALONE, ids=[case.name for case in ALONE])
def test_inspect_comes_to_the_same_verdict(case, tmp_path: Path, capsys) -> None:
    source = str(case.make(tmp_path)[1]).removeprefix("T1=")

    code = main(["inspect", source, "--json"])

    entries = json.loads(capsys.readouterr().out)
    refusals = [entry["refusal"] for entry in entries if entry["refusal"]]
    if case.name in ("two_series", "two_echoes", "two_repeats", "magnitude_and_phase"):
        # Each by itself is good; it is the choice that is missing.
        assert (code, refusals, len(entries)) == (0, [], 2)
    elif case.code:
        assert code == 3
        (refusal,) = refusals
        assert refusal["what"]
        assert case.says in " ".join(str(value) for value in refusal.values())
        assert refusal["remedy"]
    else:
        assert code == 0
        assert case.says in " ".join(entries[0]["warnings"])
