import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from omnisyn.errors import InputError, PartialFailure, UsageError
from omnisyn.inference.batch import check_request, run_batch
from omnisyn.inference.request import Request
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.dicom_anonymize import Pseudonyms
from tests.inference.calls import run

Scan = Callable[..., Path]


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


def test_a_name_that_is_no_text_is_told_as_far_as_it_can_be(
    echo: Synthesizer, scan: Scan, tmp_path: Path
) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller_T1.nii.gz")
    os.rename(scan("T1.nii.gz"), odd)

    with pytest.raises(InputError, match=r"M\\udcfcller_T1\.nii\.gz: the name holds bytes"):
        run(echo, [Path(odd)], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
