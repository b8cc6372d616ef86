import json
import os
import shutil
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest

from omnisyn.errors import InputError, ModelError, PartialFailure, UsageError
from omnisyn.geometry import Geometry
from omnisyn.inference.batch import check_request, run_batch
from omnisyn.inference.patients import without_folders
from omnisyn.inference.request import Output, Request
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.dicom_anonymize import Pseudonyms
from omnisyn.volumes.normalize import scale, scale_divisor
from omnisyn.volumes.options import ReadOptions

Scan = Callable[..., Path]


def run(
    model: Synthesizer, sources: list[str | Path], *targets: str, **options: object
) -> list[Output]:
    """Check and run one call, into `out` beside the first source unless said otherwise."""
    request = Request(targets=targets or ("T2",), **options)  # type: ignore[arg-type]
    return run_batch(check_request(sources, request), request, lambda: model)


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


def test_the_header_follows_the_source_but_for_the_voxel_type(
    echo: Synthesizer, head: np.ndarray, tmp_path: Path
) -> None:
    oblique = np.diag([1.5, 1.5, 4.0, 1.0])
    angle = np.radians(17)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    oblique[:2, :2] = turn @ oblique[:2, :2]
    oblique[:3, 3] = (-12.5, 3.25, 40)
    image = nibabel.Nifti1Image(head.astype(np.int16), oblique)
    image.set_qform(oblique, code=1)
    image.set_sform(oblique, code=4)
    image.header.set_xyzt_units("mm")
    source = tmp_path / "T1.nii.gz"
    nibabel.save(image, source)
    (output,) = run(echo, [source], output=tmp_path / "out")
    made, given = nibabel.load(output.volume).header, nibabel.load(source).header
    assert made.get_data_dtype() == np.float32
    for key in ("qform_code", "sform_code", "xyzt_units", "dim"):
        np.testing.assert_array_equal(made[key], given[key], err_msg=key)
    np.testing.assert_array_equal(made["pixdim"][:4], given["pixdim"][:4])
    for key in ("srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d"):
        np.testing.assert_allclose(made[key], given[key], atol=1e-6, err_msg=key)


def test_volume_sidecar_preview_and_description_are_written(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    sidecar = {"Simulated": True}
    sources = [
        scan("case7_T1.nii.gz", sidecar=sidecar),
        scan("case7_T1c.nii.gz", head**2, sidecar=sidecar),
    ]
    truth = {"T2": scan("truth.nii.gz")}
    out = tmp_path / "out"
    names = tuple(without_folders(source) for source in sources)
    (output,) = run(echo, sources, output=out, preview=True, truth=truth, source_names=names)
    assert sorted(path.name for path in out.iterdir()) == [
        "case7_desc-synth_T2w.json",
        "case7_desc-synth_T2w.nii.gz",
        "case7_desc-synth_T2w.png",
        "dataset_description.json",
    ]
    assert (output.sources, output.target) == (("T1", "T1c"), "T2")
    assert output.preview == out / "case7_desc-synth_T2w.png"
    text = (out / "case7_desc-synth_T2w.json").read_text()
    assert str(tmp_path) not in text
    told = json.loads(text)
    assert told["Simulated"] is True
    assert told["SourceContrasts"] == ["T1", "T1c"]
    assert told["Arguments"]["Sources"] == ["case7_T1.nii.gz", "case7_T1c.nii.gz"]
    assert told["Arguments"]["Targets"] == ["T2"]


def test_match_source_gives_the_sources_scale(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    (output,) = run(echo, [scan("T1.nii.gz")], output=tmp_path / "out", match_source=True)
    made = nibabel.load(output.volume).get_fdata(dtype=np.float32)
    np.testing.assert_allclose(made, np.minimum(head, scale_divisor(head)), rtol=1e-6)
    assert "the scale of T1.nii.gz" in output.volume.with_name("desc-synth_T2w.json").read_text()


def test_an_existing_output_is_refused_and_kept(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    source, out = scan("T1.nii.gz"), tmp_path / "out"
    (output,) = run(echo, [source], output=out)
    before = output.volume.read_bytes()
    with pytest.raises(InputError, match=r"desc-synth_T2w\.nii\.gz: the output exists already"):
        run(echo, [source], "FLAIR", "T2", output=out)
    assert output.volume.read_bytes() == before
    assert not (out / "desc-synth_FLAIR.nii.gz").exists()
    assert run(echo, [source], output=out, overwrite=True)


def test_a_source_is_never_replaced(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    source = scan("desc-synth_T2w.nii.gz")
    before = source.read_bytes()
    with pytest.raises(InputError, match="would replace a source"):
        run(echo, [f"T1={source}"], output=tmp_path, overwrite=True)
    assert source.read_bytes() == before


def test_results_do_not_go_among_the_scans(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    scan("data/001/T1.nii.gz")
    for output in (tmp_path / "data", tmp_path / "data" / "out"):
        with pytest.raises(InputError, match="inside the source"):
            run(echo, [tmp_path / "data"], output=output)


def test_in_a_folder_of_patients_the_target_is_truth_and_no_source(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    for name in ("001/T1.nii.gz", "001/T2.nii.gz", "002/T1.nii.gz"):
        scan(f"data/{name}")
    outputs = run(echo, [tmp_path / "data"], output=tmp_path / "out")
    assert [output.sources for output in outputs] == [("T1",), ("T1",)]
    assert [output.volume.relative_to(tmp_path / "out").as_posix() for output in outputs] == [
        "001/desc-synth_T2w.nii.gz",
        "002/desc-synth_T2w.nii.gz",
    ]


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


def test_a_patient_without_a_source_fails(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    scan("data/T2.nii.gz")
    with pytest.raises(InputError, match="holds only the targets T2"):
        run(echo, [tmp_path / "data"], output=tmp_path / "out")
    with pytest.raises(UsageError, match="T2 is a source"):
        run(echo, [tmp_path / "data" / "T2.nii.gz"], output=tmp_path / "out")


def test_a_scan_of_unknown_contrast_is_refused(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    source = scan("scan.nii.gz")
    with pytest.raises(InputError, match=r"CONTRAST=scan\.nii\.gz"):
        run(echo, [source], output=tmp_path / "out")
    assert run(echo, [f"T1={source}"], output=tmp_path / "out")


def test_a_series_that_nobody_asked_for_does_not_cost_the_patient(
    echo: Synthesizer, tmp_path: Path
) -> None:
    dicom = Path(__file__).parents[3] / "shared" / "data" / "dicom" / "dicom2nifti"
    if not dicom.is_dir():
        pytest.skip("the shared DICOM data are not here")
    patient = tmp_path / "data" / "017"
    shutil.copytree(dicom / "ge" / "anatomical" / "001", patient / "T1WI")
    shutil.copytree(dicom / "generic" / "rgb" / "001", patient / "screenshots")
    request = Request(targets=("T2",), output=tmp_path / "out")
    patients = check_request([tmp_path / "data"], request)
    notes: list[str] = []
    (output,) = run_batch(patients, request, lambda: echo, note=notes.append)
    assert output.volume == tmp_path / "out" / "017" / "desc-synth_T2w.nii.gz"
    assert output.sources == ("T1",)
    assert notes[0].startswith("left out: ")
    (patient / "screenshots").rename(patient / "FLAIR")
    with pytest.raises(InputError, match="RGB"):
        run(echo, [tmp_path / "data"], output=tmp_path / "again")


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


def test_only_basenames_are_written_down() -> None:
    assert without_folders("/data/secret/T1.nii.gz") == "T1.nii.gz"
    assert without_folders("T1=/data/secret/x.nii.gz") == "T1=x.nii.gz"
    assert without_folders("/data/who=Smith/T1.nii.gz") == "T1.nii.gz"
    assert without_folders("t1=/data/who=Smith/a=b.nii.gz") == "T1=a=b.nii.gz"


@pytest.mark.parametrize(
    "more",
    [
        {"match_source": True},
        {"reading": ReadOptions(volume=2)},
        {"model_asked_for": {"Precision": "bfloat16"}},
    ],
    ids=["scale", "volume", "precision"],
)
def test_a_result_of_another_request_is_not_taken_for_this_one(
    echo: Synthesizer, tmp_path: Path, head: np.ndarray, more: dict[str, object]
) -> None:
    source = tmp_path / "T1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.stack([head, head**2], axis=3), np.eye(4)), source)
    out = tmp_path / "out"
    first = {"reading": ReadOptions(volume=1), "model_asked_for": {"Precision": "float32"}}
    run(echo, [source], output=out, **first)

    assert run(echo, [source], output=out, skip_existing=True, **first) == []
    with pytest.raises(InputError, match="the output exists already"):
        run(echo, [source], output=out, skip_existing=True, **{**first, **more})
    assert run(echo, [source], output=out, skip_existing=True, overwrite=True, **{**first, **more})


@pytest.mark.parametrize("role", ["source", "its sidecar", "truth"])
def test_what_a_result_is_made_from_is_not_replaced_through_a_link(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path, role: str
) -> None:
    source, truth = scan("T1.nii.gz", sidecar={"Simulated": True}), scan("T2.nii.gz", head**2)
    made = scan("out/desc-synth_T2w.nii.gz", head + 1, sidecar={"Mine": True})
    kept = {
        "source": (source, made),
        "its sidecar": (source.with_name("T1.json"), made.with_name("desc-synth_T2w.json")),
        "truth": (truth, made),
    }
    link, target = kept[role]
    link.unlink()
    link.symlink_to(target)
    before = target.read_bytes()

    with pytest.raises(InputError, match="the output would replace a source"):
        run(echo, [source], output=tmp_path / "out", overwrite=True, truth={"T2": truth})
    assert target.read_bytes() == before


def test_a_namesake_of_the_source_elsewhere_may_be_replaced(
    echo: Synthesizer, scan: Scan, head: np.ndarray, tmp_path: Path
) -> None:
    source = scan("in/desc-synth_T2w.nii.gz", sidecar={"Contrast": "T1"})
    scan("out/desc-synth_T2w.nii.gz", head + 1)

    (output,) = run(echo, [source], output=tmp_path / "out", overwrite=True)

    assert output.volume.is_file()


def test_one_image_is_not_two_contrasts(echo: Synthesizer, scan: Scan, tmp_path: Path) -> None:
    source = scan("a.nii.gz")

    with pytest.raises(InputError, match="two contrasts are one and the same image"):
        run(echo, [f"T1={source}", f"FLAIR={source}"], output=tmp_path / "out")


def test_dicom_series_of_two_patients_never_meet(
    echo: Synthesizer, dicom_series, tmp_path: Path
) -> None:
    first, second = dicom_series(shape=(4, 16, 20)), dicom_series(shape=(4, 16, 20))
    for dataset in second.files:
        dataset.PatientID = "secret-other"
    sources = [
        f"T2={first.save(tmp_path / 'a')}",
        f"T1={second.save(tmp_path / 'b')}",
    ]

    with pytest.raises(InputError, match="the scans belong to several patients") as caught:
        run(echo, sources, "FLAIR", output=tmp_path / "out")
    assert "secret" not in str(caught.value)


def test_several_frames_of_reference_are_told(
    echo: Synthesizer, dicom_series, tmp_path: Path
) -> None:
    first, second = dicom_series(shape=(4, 16, 20)), dicom_series(shape=(4, 16, 20))
    for index, dataset in enumerate(second.files):
        second.set_pixels(dataset, second.pixels[index] + np.int16(7))
    sources = [f"T2={first.save(tmp_path / 'a')}", f"T1={second.save(tmp_path / 'b')}"]

    (output,) = run(echo, sources, "FLAIR", output=tmp_path / "out")

    told = json.loads(output.volume.with_name("a_desc-synth_FLAIR.json").read_text())
    assert "several frames of reference" in " ".join(told["Warnings"])


def test_anonymous_output_is_told_apart_without_names(
    echo: Synthesizer, dicom_series, tmp_path: Path
) -> None:
    for name in ("Smith_John", "Smith_Jane"):
        series = dicom_series(shape=(4, 16, 20))
        for dataset in series.files:
            dataset.SeriesDescription = "SMITH AX T2 TSE"
        (tmp_path / "all" / name).mkdir(parents=True)
        series.save(tmp_path / "all" / name / "T2")
        other = dicom_series("sagittal", shape=(4, 16, 20))
        other.save(tmp_path / "all" / name / "T2", names=["a", "b", "c", "d"])
    sources = [tmp_path / "all" / name / "T2" for name in ("Smith_John", "Smith_Jane")]
    notes: list[str] = []
    for source in sources:
        request = Request(
            targets=("T1",), output=tmp_path / "out", format="dicom", pseudonyms=Pseudonyms(),
            overwrite=True, series=("7-1",),
        )  # fmt: skip
        run_batch(check_request([source], request), request, lambda: echo, note=notes.append)

    said = " ".join(notes) + "".join(
        path.read_text() for path in (tmp_path / "out").rglob("*.json")
    )
    assert "smith" not in said.lower()
    assert "of 2 stacks in the folder this one: 7-1" in said


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


def test_anonymous_series_of_several_patients_do_not_share_a_place(
    echo: Synthesizer, dicom_series, tmp_path: Path
) -> None:
    for name in ("Smith", "Jones"):
        (tmp_path / "all" / name).mkdir(parents=True)
        dicom_series(shape=(4, 16, 20)).save(tmp_path / "all" / name / "T2")
    request = Request(
        targets=("T1",), output=tmp_path / "out", format="dicom", pseudonyms=Pseudonyms()
    )

    patients = check_request([tmp_path / "all"], request)
    outputs = run_batch(patients, request, lambda: echo)

    folders = {output.volume.parent.name for output in outputs}
    assert len(folders) == 2
    assert all(folder.startswith("ANONYMOUS-") for folder in folders)


@pytest.mark.parametrize("content", ["{", '{"Contrast": "banana"}'])
def test_a_faulty_sidecar_costs_its_own_patient_only(
    echo: Synthesizer, scan: Scan, tmp_path: Path, content: str
) -> None:
    scan("all/a/T1.nii.gz").with_name("T1.json").write_text(content)
    scan("all/b/T1.nii.gz")

    with pytest.raises(PartialFailure, match="1 of 2 patients failed"):
        run(echo, [tmp_path / "all"], output=tmp_path / "out")

    assert [path.parent.name for path in (tmp_path / "out").rglob("*.nii.gz")] == ["b"]
    with pytest.raises(InputError, match=r"T1\.(json|nii\.gz): the sidecar"):
        run(echo, [tmp_path / "all" / "a" / "T1.nii.gz"], output=tmp_path / "other")


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


def test_a_name_that_is_no_text_is_told_as_far_as_it_can_be(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller_T1.nii.gz")
    os.rename(scan("T1.nii.gz"), odd)

    with pytest.raises(InputError, match=r"M\\udcfcller_T1\.nii\.gz: the name holds bytes"):
        run(echo, [Path(odd)], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
