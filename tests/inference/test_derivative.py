"""Results of a BIDS dataset are a BIDS derivative, by the rules that the validators hold.

`tests/cli/test_bids.py` runs the validators themselves where they are installed.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnisyn.errors import InputError, PartialFailure
from omnisyn.inference.batch import check_request, run_batch
from omnisyn.inference.request import Request
from omnisyn.inference.synthesizer import Synthesizer
from tests.bids_dataset import raw_dataset
from tests.inference.calls import run

# The order of entities in the names of BIDS 1.10, of those that anatomical images may have.
_NAME = re.compile(
    r"sub-\w+?(_ses-[A-Za-z0-9]+)?(_acq-[A-Za-z0-9]+)?(_ce-[A-Za-z0-9]+)?(_run-[0-9]+)?"
    r"_desc-synth_(T1w|T2w|FLAIR|PDw|angio)\.(nii\.gz|json)"
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A small raw dataset."""
    return raw_dataset(tmp_path / "raw")


def told(path: Path) -> dict[str, Any]:
    """What a JSON file says."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_the_derivative_inside_its_dataset_is_laid_out_and_described(
    echo: Synthesizer, dataset: Path
) -> None:
    output = dataset / "derivatives" / "omnisyn"
    run(echo, [dataset], "T2", "T1c", output=output, preview=True, source_names=("raw",))

    files = {path.relative_to(output) for path in output.rglob("*") if path.is_file()}
    top = {path.name for path in files if len(path.parts) == 1}
    assert top == {
        "dataset_description.json", "README.md", ".bidsignore", ".bids-validator-config.json",
    }  # fmt: skip
    below = {path for path in files if len(path.parts) > 1 and path.suffix != ".png"}
    assert {path.parent.as_posix() for path in below} == {
        "sub-01/ses-pre/anat", "sub-01/ses-post/anat", "sub-02/anat",
    }  # fmt: skip
    for path in below:
        assert _NAME.fullmatch(path.name), path.name
        assert path.name.startswith("_".join(path.parts[:-2]) + "_")
    assert len(below) == 2 * 2 * 3
    assert "*.png" in (output / ".bidsignore").read_text().split()
    assert len((output / "README.md").read_text()) > 150

    description = told(output / "dataset_description.json")
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "omnisyn"
    assert description["SourceDatasets"] == [{"URL": "bids:raw:"}]
    assert description["DatasetLinks"] == {"raw": "../.."}
    for path in below:
        if path.suffix == ".json":
            sidecar = told(output / path)
            assert sidecar["SkullStripped"] is False
            for source in sidecar["Sources"]:
                assert (dataset / source.removeprefix("bids:raw:")).is_file(), source
                assert source.startswith("bids:raw:sub-")


def test_sessions_never_meet_and_the_choice_among_runs_is_on_record(
    echo: Synthesizer, dataset: Path, tmp_path: Path
) -> None:
    request = Request(targets=("T2",), output=tmp_path / "out")
    notes: list[str] = []
    outputs = run_batch(check_request([dataset], request), request, lambda: echo, note=notes.append)
    assert {output.patient: output.sources for output in outputs} == {
        "sub-01/ses-post": ("T1",),
        "sub-01/ses-pre": ("T1", "T1c", "FLAIR", "PD", "MRA"),
        "sub-02": ("T1",),
    }
    choices = [note for note in notes if "was taken of" in note]
    assert choices == [
        "sub-01_ses-pre_run-2_T1w.nii.gz was taken of 2 T1 scans: it is the last of its like",
        "sub-02_acq-axial_T1w.nii.gz was taken of 2 T1 scans: its slices are axial",
    ]
    name = "sub-02/anat/sub-02_acq-axial_desc-synth_T2w.json"
    assert choices[1] in told(tmp_path / "out" / name)["Warnings"]


def test_outside_the_dataset_names_lead_nowhere(
    echo: Synthesizer, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(echo, [dataset], output=out, subjects=("02",), source_names=("raw data",))
    description = told(out / "dataset_description.json")
    assert description["SourceDatasets"] == [{"URL": "file:raw%20data"}]
    assert "DatasetLinks" not in description
    sidecar = told(out / "sub-02" / "anat" / "sub-02_acq-axial_desc-synth_T2w.json")
    assert sidecar["Sources"] == ["sub-02_acq-axial_T1w.nii.gz"]


def test_what_the_source_says_of_its_skull_is_passed_on(echo: Synthesizer, dataset: Path) -> None:
    for path in dataset.glob("sub-02/anat/*T1w.json"):
        path.write_text(json.dumps({"SkullStripped": True}))
    (output,) = run(echo, [dataset], output=dataset / "derivatives" / "a", subjects=("02",))
    assert told(Path(str(output.volume).replace(".nii.gz", ".json")))["SkullStripped"] is True


def test_the_next_run_takes_no_result_for_a_scan(echo: Synthesizer, dataset: Path) -> None:
    first = run(echo, [dataset], "T2", output=dataset / "derivatives" / "omnisyn")
    second = run(echo, [dataset], "FLAIR", output=dataset / "derivatives" / "omnisyn")
    assert [output.sources for output in second if output.patient == "sub-02"] == [("T1", "T2")]
    assert len(first) == len(second) == 3


@pytest.mark.parametrize("place", [".", "results", "derivatives", "sub-01/anat"])
def test_elsewhere_in_the_dataset_nothing_is_written(
    echo: Synthesizer, dataset: Path, place: str
) -> None:
    with pytest.raises(InputError, match="such as derivatives/omnisyn in it"):
        run(echo, [dataset], output=dataset / place)


def test_a_run_without_a_result_leaves_nothing(
    echo: Synthesizer, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("omnisyn.inference.batch.write_synthesis", fail)
    with pytest.raises(PartialFailure):
        run(echo, [dataset], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", [b"", b"version https://git-lfs", None])
def test_a_damaged_scan_costs_its_own_session_only(
    echo: Synthesizer, dataset: Path, tmp_path: Path, damage: bytes | None
) -> None:
    scan = dataset / "sub-01/ses-post/anat/sub-01_ses-post_acq-FLAIRlike_T1w.nii.gz"
    if damage is None:
        scan.with_name(scan.name.replace(".nii.gz", ".json")).write_text("{")
    else:
        scan.write_bytes(damage)
    with pytest.raises(PartialFailure, match=r"1 of 3 patients failed \(sub-01/ses-post\)"):
        run(echo, [dataset], output=tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.nii.gz"))) == 2


def test_a_scan_below_another_subject_is_not_that_subjects(
    echo: Synthesizer, dataset: Path, tmp_path: Path
) -> None:
    scan = dataset / "sub-02/anat/sub-02_T2w.nii.gz"
    scan.rename(dataset / "sub-01/ses-post/anat" / scan.name)
    scan.with_name("sub-02_T2w.json").unlink()
    outputs = run(echo, [dataset], "FLAIR", output=tmp_path / "out")
    sources: dict[str, Callable[..., Any] | tuple[str, ...]] = {
        output.patient: output.sources for output in outputs
    }
    assert sources["sub-01/ses-post"] == ("T1",)
    assert sources["sub-01/ses-post/sub-02"] == ("T2",)
