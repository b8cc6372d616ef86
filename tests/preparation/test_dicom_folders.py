"""DICOM files are sorted into patients, exams and contrasts by their headers, wherever they lie."""

import re
import shutil
from pathlib import Path

import pytest

from omnisyn.preparation.find import find_patients
from omnisyn.preparation.found import FoundPatient
from omnisyn.preparation.instructions import Instructions
from omnisyn.preparation.scans import read_scan, sidecar_of
from tests.dicom_series import DicomSeries

SERIES = {
    "T1": (1, "AX T1 TSE", "550", "12"),
    "T1c": (4, "AX T1 TSE +C", "550", "12"),
    "T2": (2, "AX T2 TSE", "4500", "95"),
}


def series(
    contrast: str,
    patient: str = "007",
    study: str = "1.2.3",
    *,
    orientation: str = "axial",
    spacing: tuple[float, float] = (1.5, 0.75),
    slices: int = 6,
    **header: object,
) -> DicomSeries:
    number, description, repetition, echo = SERIES[contrast]
    made = DicomSeries(orientation, (slices, 40, 40), spacing)
    for dataset in made.files:
        dataset.PatientID, dataset.PatientName, dataset.StudyInstanceUID = patient, "Secret", study
        dataset.SeriesNumber, dataset.SeriesDescription = number, description
        dataset.RepetitionTime, dataset.EchoTime = repetition, echo
        for keyword, value in header.items():
            setattr(dataset, keyword, value)
    return made


def save(made: DicomSeries, folder: Path, prefix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made.save(folder, [f"{prefix}{index:03d}" for index in range(len(made.files))])


def found(source: Path, instructions: Instructions | None = None) -> dict[str, FoundPatient]:
    return {each.identifier: each for each in find_patients(source, instructions).patients}


def test_folders_of_patients_name_them(tmp_path: Path):
    for patient in ("007", "008"):
        for contrast in ("T1", "T2"):
            place = tmp_path / f"Case {patient}" / f"series {contrast}"
            save(series(contrast, patient, f"1.2.{int(patient)}"), place)
    patients = found(tmp_path)
    assert list(patients) == ["Case-007", "Case-008"]
    assert list(patients["Case-007"].scans) == ["T1", "T2"]
    assert patients["Case-007"].subject == "Case-007"
    assert {path.parent.name for path in patients["Case-008"].scans["T2"].files} == {"series T2"}


def test_patients_of_one_flat_folder_are_told_apart_by_their_headers(tmp_path: Path):
    for patient in ("007", "008"):
        for contrast in SERIES:
            save(series(contrast, patient, f"1.2.{int(patient)}"), tmp_path, f"{patient}{contrast}")
    (tmp_path / "README").write_text("exported")
    patients = found(tmp_path)
    assert len(patients) == 2
    assert all(re.fullmatch(r"p[0-9a-f]{8}", name) for name in patients)
    assert not any("007" in name for name in patients)
    for patient in patients.values():
        assert list(patient.scans) == ["T1", "T1c", "T2"]
        assert all(len(scan.files) == 6 for scan in patient.scans.values())
    volume = read_scan(next(iter(patients.values())).scans["T2"], "T2")
    assert volume.geometry.shape == (40, 40, 6)


def test_pseudonyms_stay_when_patients_are_added(tmp_path: Path):
    save(series("T1", "007"), tmp_path, "a")
    save(series("T1", "008", "1.2.4"), tmp_path, "b")
    before = set(found(tmp_path))
    save(series("T1", "001", "1.2.5"), tmp_path, "c")
    assert before < set(found(tmp_path))


def test_pseudonyms_may_be_wanted(tmp_path: Path):
    save(series("T1"), tmp_path / "Mr Secret")
    (name,) = found(tmp_path, Instructions(identifiers="pseudonyms"))
    assert re.fullmatch(r"p[0-9a-f]{8}", name)
    assert list(found(tmp_path)) == ["Mr-Secret"]


def test_exams_of_one_patient_are_kept_apart_by_date(tmp_path: Path):
    save(series("T1", study="1.9", StudyDate="20210101"), tmp_path / "x" / "one")
    save(series("T2", study="1.9", StudyDate="20210101"), tmp_path / "x" / "two")
    save(series("T1", study="1.1", StudyDate="20240101"), tmp_path / "x" / "three")
    save(series("T1", "008", "1.5"), tmp_path / "y")
    patients = found(tmp_path)
    assert {name: (p.subject, list(p.scans)) for name, p in patients.items()} == {
        "x_exam1": ("x", ["T1", "T2"]),
        "x_exam2": ("x", ["T1"]),
        "y": ("y", ["T1"]),
    }


def test_localizers_and_what_is_made_of_scans_are_left_with_a_reason(tmp_path: Path):
    save(series("T1"), tmp_path / "p" / "1")
    save(series("T1", SeriesNumber=9, SeriesDescription="3-plane localizer"), tmp_path / "p" / "2")
    save(series("T2", SeriesNumber=8, SeriesDescription="T1 SUB"), tmp_path / "p" / "3")
    save(series("T2", SeriesNumber=7, slices=3), tmp_path / "p" / "4")
    save(
        series("T2", SeriesNumber=6, ImageType=["DERIVED", "SECONDARY", "SYNTHETIC"]),
        tmp_path / "p" / "5",
    )
    save(series("T2", SeriesNumber=5, SeriesDescription="DWI b0 b1000"), tmp_path / "p" / "6")
    (patient,) = found(tmp_path).values()
    assert list(patient.scans) == ["T1"]
    assert patient.left == (
        "series 5: a diffusion series",
        "series 6: a synthetic image",
        "series 7: only 3 slices",
        "series 8: made of other series",
        "series 9: a localizer or calibration",
    )


def test_of_two_series_the_axial_and_finer_one_is_taken(tmp_path: Path):
    save(series("T2", SeriesNumber=2, orientation="coronal", spacing=(0.7, 0.7)), tmp_path / "a")
    save(series("T2", SeriesNumber=3, spacing=(0.8, 0.8)), tmp_path / "b")
    save(series("T2", SeriesNumber=4, spacing=(1.2, 1.2)), tmp_path / "c")
    (patient,) = found(tmp_path).values()
    assert patient.scans["T2"].told_by.endswith("(series 3)")
    assert [line.split(":")[0] for line in patient.left] == ["series 2", "series 4"]


def test_a_dual_echo_series_gives_one_of_its_echoes(tmp_path: Path):
    short, late = series("T2"), series("T2")
    for one, other in zip(short.files, late.files, strict=True):
        one.EchoTime, one.SeriesDescription = "15", "AX DUAL"
        other.SeriesInstanceUID, other.SeriesDescription = one.SeriesInstanceUID, "AX DUAL"
    save(short, tmp_path / "p", "a")
    save(late, tmp_path / "p", "b")
    (patient,) = found(tmp_path).values()
    assert list(patient.scans) == ["T2", "PD"]
    assert {path.name[0] for path in patient.scans["PD"].files} == {"a"}
    assert read_scan(patient.scans["PD"], "PD").provenance.acquisition["EchoTime"] == 15


def test_instructions_name_series(tmp_path: Path):
    save(series("T1", SeriesDescription="UNCLEAR", RepetitionTime="1500"), tmp_path / "p" / "1")
    save(series("T2"), tmp_path / "p" / "2")
    instructions = Instructions(contrasts={"unclear": "T1c", "*T2*": "none"})
    (patient,) = found(tmp_path, instructions).values()
    assert list(patient.scans) == ["T1c"]
    assert patient.left == ("series 2: left out by the instructions",)


def test_nothing_kept_of_a_series_says_whom_it_shows(tmp_path: Path):
    save(series("T2", SeriesDescription="AX T2 Mr Secret", InstitutionName="Secret"), tmp_path)
    (patient,) = find_patients(tmp_path).patients
    scan = patient.scans["T2"]
    side = sidecar_of(scan, "T2", read_scan(scan, "T2"))
    assert side["EchoTime"] == pytest.approx(0.095)
    assert side["Contrast"] == "T2"
    assert "Secret" not in f"{side} {patient.left} {scan.told_by}"


def test_damaged_series_is_told_when_it_is_read(tmp_path: Path):
    save(series("T1"), tmp_path / "p")
    first = next((tmp_path / "p").iterdir())
    first.write_bytes(first.read_bytes()[:-100])
    (patient,) = find_patients(tmp_path).patients
    with pytest.raises(Exception, match="cut short"):
        read_scan(patient.scans["T1"], "T1")


def test_nifti_and_dicom_of_one_patient_are_joined(tmp_path: Path, write_head):
    save(series("T1"), tmp_path / "p1" / "dicom")
    save(series("T2"), tmp_path / "p1" / "dicom2")
    save(series("T1", "9", "1.7"), tmp_path / "p2")
    write_head(tmp_path / "p1" / "T2.nii.gz", "T2")
    patients = found(tmp_path)
    assert {name: scan.form for name, scan in patients["p1"].scans.items()} == {
        "T1": "DICOM",
        "T2": "NIfTI",
    }
    assert patients["p1"].left == ("DICOM: another T2, the NIfTI one is taken",)
    shutil.rmtree(tmp_path / "p2")
