import json
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError, ModelError, PartialFailure, UsageError
from omnisyn.geometry import Geometry
from omnisyn.inference.batch import check_request, run_batch
from omnisyn.inference.request import Request
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.normalize import scale
from tests.inference.calls import run

Scan = Callable[..., Path]


def all_orientations() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return list(product(permutations(range(3)), product((1, -1), repeat=3)))


def test_a_marker_stays_where_it_is_in_all_48_orientations(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    seen = set()
    for number, (order, signs) in enumerate(all_orientations()):
        voxels = np.ascontiguousarray(head.transpose(order)[tuple(np.s_[::s] for s in signs)])
        affine = np.eye(4)
        for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
            affine[:3, axis] = 0
            affine[world, axis] = sign * (1.5, 1.25, 4.0)[world]
            affine[world, 3] += 0 if sign > 0 else 1.5 * head.shape[world]
        geometry = Geometry(voxels.shape, affine)
        seen.add(geometry.orientation)
        source = scan(f"{number}/T1.nii.gz", voxels, geometry)
        (output,) = run(echo, [source], output=tmp_path / f"out{number}")
        image = nibabel.load(output.volume)
        np.testing.assert_array_equal(image.affine, nibabel.load(source).affine)
        np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), scale(voxels))
    assert len(seen) == 48


def test_results_do_not_go_among_the_scans(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    scan("data/001/T1.nii.gz")
    for output in (tmp_path / "data", tmp_path / "data" / "out"):
        with pytest.raises(InputError, match="inside the source"):
            run(echo, [tmp_path / "data"], output=output)


@pytest.fixture
def one_damaged(scan: Scan, tmp_path: Path) -> Path:
    """A folder of three patients, of which the second's scan is cut short."""
    for number in (1, 2, 3):
        scan(f"data/00{number}/T1.nii.gz")
    damaged = tmp_path / "data" / "002" / "T1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    return tmp_path / "data"


def test_a_failing_patient_does_not_stop_the_others(
    echo: Synthesizer, one_damaged: Path, tmp_path: Path
) -> None:
    with pytest.raises(PartialFailure, match=r"1 of 3 patients failed \(002\)"):
        run(echo, [one_damaged], output=tmp_path / "out")
    made = sorted(path.parent.name for path in (tmp_path / "out").rglob("*.nii.gz"))
    assert made == ["001", "003"]


def test_fail_fast_stops_at_the_first(echo: Synthesizer, one_damaged: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"T1\.nii\.gz"):
        run(echo, [one_damaged], output=tmp_path / "out", fail_fast=True)
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.nii.gz")] == ["001"]


def test_the_model_is_loaded_once_and_its_faults_end_the_call(
    echo: Synthesizer, one_damaged: Path, tmp_path: Path
) -> None:
    loads: list[int] = []

    def load() -> Synthesizer:
        loads.append(1)
        return echo

    request = Request(targets=("T2",), output=tmp_path / "out")
    patients = check_request([one_damaged], request)
    with pytest.raises(PartialFailure):
        run_batch(patients, request, load)
    assert len(loads) == 1

    def fail() -> Synthesizer:
        raise ModelError("no such weights")

    with pytest.raises(ModelError, match="no such weights"):
        run_batch(patients, request, fail)


def test_one_truth_does_not_serve_several_patients(scan: Scan, tmp_path: Path) -> None:
    sources = [scan("a/T1.nii.gz"), scan("b/T1.nii.gz")]
    request = Request(("T2",), tmp_path / "out", truth={"T2": scan("T2.nii.gz")})
    with pytest.raises(UsageError, match="belongs to one patient"):
        check_request(sources, request)


def test_sources_on_other_grids_are_resampled_and_the_sidecar_says_so(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    grid = Geometry(head.shape, np.diag([1.4, 1.5, 4.0, 1.0]))
    sources = [scan("T1.nii.gz"), scan("PD.nii.gz", geometry=grid)]
    (output,) = run(echo, sources, output=tmp_path / "out")
    told = json.loads(output.volume.with_name("desc-synth_T2w.json").read_text())
    (warning,) = told["Warnings"]
    assert warning.startswith("PD (PD.nii.gz) was resampled onto the grid of T1 (T1.nii.gz)")


def test_a_reader_that_has_gone_is_no_failing_patient(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    scan("all/a/T1.nii.gz")
    scan("all/b/T1.nii.gz")
    request = Request(targets=("T2",), output=tmp_path / "out")

    def gone(_: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_batch(check_request([tmp_path / "all"], request), request, lambda: echo, result=gone)


@pytest.mark.parametrize(
    "shape", [(16, 16, 1), (16, 1024, 2), (1024, 16, 2), (1024, 1024, 1), (17, 16, 600)]
)
def test_any_size_is_synthesized(echo: Synthesizer, scan: Scan, tmp_path: Path, shape) -> None:
    voxels = np.random.default_rng(1).uniform(5, 90, shape).astype(np.float32)
    source = scan("T1.nii.gz", voxels)

    (output,) = run(echo, [source], output=tmp_path / "out")

    made = nibabel.load(output.volume)
    assert made.shape == shape
    np.testing.assert_array_equal(made.get_fdata(dtype=np.float32), scale(voxels))


def test_a_target_among_the_sources_is_refused_before_anything_is_written(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    sources = [scan("sub-01_T1w.nii.gz"), scan("sub-02_T2w.nii.gz")]

    with pytest.raises(UsageError, match="T2 is a source; it cannot be a target as well"):
        run(echo, sources, "T2", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
