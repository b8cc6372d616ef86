import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisyn.errors import InputError, PartialFailure, UsageError
from omnisyn.geometry import Geometry
from omnisyn.inference.batch import check_request
from omnisyn.inference.embed import embedding_path, patient_id, run_embed
from omnisyn.inference.embedder import Embedder
from omnisyn.inference.embedding_file import PatientEmbedding, read_embedding
from omnisyn.inference.patients import find_patients
from omnisyn.inference.request import Request
from omnisyn.models.weights import load_weights

Scan = Callable[..., Path]


@pytest.fixture(scope="module")
def embedder(tiny_weights: Path) -> Embedder:
    return Embedder.of(load_weights(tiny_weights).encoder, "cpu")


def run(
    embedder: Embedder, sources: list[Path], out: Path, identifier: str | None = None, **options
) -> list[PatientEmbedding]:
    request = Request(targets=(), output=out, **options)
    patients = check_request(sources, request)
    return run_embed(patients, request, lambda: embedder, identifier=identifier)


def test_a_patient_is_one_file_with_every_contrast_on_its_own_grid(
    embedder: Embedder, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    grid = Geometry(head[..., :4].shape, np.diag([1.5, 1.5, 6.0, 1.0]))
    sources = [scan("p7/T1.nii.gz"), scan("p7/T2.nii.gz", head[..., :4], grid)]
    (made,) = run(embedder, sources, tmp_path / "out")
    assert made.path == tmp_path / "out" / "embedding.safetensors"
    assert made.patient == "p7"
    there = read_embedding(made.path)
    assert {name: len(each.head_mm2) for name, each in there.scans.items()} == {"T1": 6, "T2": 4}
    alone = run(embedder, sources[1:], tmp_path / "alone")[0].scans["T2"]
    np.testing.assert_array_equal(there.scans["T2"].slices["level5"], alone.slices["level5"])


def test_the_file_says_what_it_is_and_of_what(
    embedder: Embedder, scan: Scan, tmp_path: Path
) -> None:
    source = scan("T1.nii.gz", sidecar={"Simulated": True})
    (made,) = run(embedder, [source], tmp_path / "out")
    told = read_embedding(made.path).description
    assert told["Patient"] == tmp_path.name
    assert told["Simulated"] is True
    assert told["IntendedUse"].startswith("Research only")
    assert told["Model"]["Name"] == "tiny"
    assert told["Model"]["SHA256"] == embedder.identity.sha256
    assert told["Levels"] == embedder.levels
    assert told["Scans"]["T1"]["Source"] == "T1.nii.gz"
    assert told["Scans"]["T1"]["SlicesRowsColumns"] == [6, 24, 20]
    assert told["Versions"]["omnisyn"]
    assert str(tmp_path) not in json.dumps(told)
    (real,) = run(embedder, [scan("real/T1.nii.gz")], tmp_path / "real-out")
    assert real.description["Simulated"] is False


@pytest.mark.parametrize(
    ("names", "source", "ids", "paths"),
    [
        (["d/001/T1.nii.gz", "d/002/T2.nii.gz"], "d", ["001", "002"], ["001/", "002/"]),
        (["case7_T1.nii.gz"], "case7_T1.nii.gz", ["case7"], ["case7_"]),
        (["x/sub-01_T1w.nii.gz"], "x/sub-01_T1w.nii.gz", ["sub-01"], ["sub-01_"]),
        (["p7/T1.nii.gz"], "p7/T1.nii.gz", ["p7"], [""]),
    ],
)
def test_patients_are_called_by_folder_label_or_name(
    scan: Scan, tmp_path: Path, names, source, ids, paths
) -> None:
    for name in names:
        scan(name)
    patients = find_patients([tmp_path / source])
    assert [patient_id(patient) for patient in patients] == ids
    out = Path("out")
    places = [embedding_path(patient, out).as_posix() for patient in patients]
    assert places == [f"out/{p}embedding.safetensors" for p in paths]


def test_scans_of_several_patients_named_one_by_one_keep_apart(
    embedder: Embedder, scan: Scan, tmp_path: Path
) -> None:
    made = run(embedder, [scan("a/T1.nii.gz"), scan("b/T1.nii.gz")], tmp_path / "out")
    assert [each.patient for each in made] == ["a", "b"]
    assert [each.path.parent.name for each in made] == ["a", "b"]


def test_one_patient_may_be_given_a_file_and_an_id(
    embedder: Embedder, scan: Scan, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "mine.safetensors"
    (made,) = run(embedder, [scan("T1.nii.gz")], file, "H-0042")
    assert made.path == file
    assert read_embedding(file).patient == "H-0042"


@pytest.mark.parametrize(
    ("out", "identifier", "why"), [("x.safetensors", None, "one file"), ("out", "me", "--patient")]
)
def test_several_patients_are_not_given_one_file_or_id(
    embedder: Embedder, scan: Scan, tmp_path: Path, out: str, identifier: str | None, why: str
) -> None:
    scan("d/001/T1.nii.gz")
    scan("d/002/T1.nii.gz")
    with pytest.raises(UsageError, match=why):
        run(embedder, [tmp_path / "d"], tmp_path / out, identifier)
    assert not (tmp_path / out).exists()


def test_a_failing_patient_does_not_stop_the_others(
    embedder: Embedder, scan: Scan, tmp_path: Path
) -> None:
    _, damaged, _ = (scan(f"d/00{number}/T1.nii.gz") for number in (1, 2, 3))
    damaged.write_bytes(damaged.read_bytes()[:-50])
    with pytest.raises(PartialFailure, match=r"1 of 3 patients failed \(002\)"):
        run(embedder, [tmp_path / "d"], tmp_path / "out")
    made = sorted(path.parent.name for path in (tmp_path / "out").rglob("*.safetensors"))
    assert made == ["001", "003"]


def test_nothing_is_replaced_unless_asked_for(
    embedder: Embedder, scan: Scan, tmp_path: Path
) -> None:
    source = scan("T1.nii.gz")
    (made,) = run(embedder, [source], tmp_path / "out")
    first = made.path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        run(embedder, [source], tmp_path / "out")
    run(embedder, [source], tmp_path / "out", overwrite=True)
    assert made.path.read_bytes() == first


def test_a_file_of_the_same_is_left_alone_and_one_of_other_scans_is_not(
    embedder: Embedder, scan: Scan, head: np.ndarray, tmp_path: Path, monkeypatch
) -> None:
    source = scan("p/T1.nii.gz")
    (made,) = run(embedder, [source], tmp_path / "out")

    def never(*_: object) -> None:
        raise AssertionError("embedded again")

    with monkeypatch.context() as patched:
        patched.setattr(Embedder, "embed", never)
        (kept,) = run(embedder, [source], tmp_path / "out", skip_existing=True)
    np.testing.assert_array_equal(kept.scans["T1"].head_mm2, made.scans["T1"].head_mm2)
    source.unlink()
    scan("p/T1.nii.gz", np.sqrt(head))
    with pytest.raises(InputError, match="exists already"):
        run(embedder, [source], tmp_path / "out", skip_existing=True)
