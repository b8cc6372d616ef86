"""A table of patients is found by what it holds, whatever it is called."""

import csv
import datetime
from pathlib import Path

import openpyxl
import pytest

from omnisyn.preparation.clinical_table import find_clinical_table

PATIENTS = ("001", "002", "003", "004")


def _csv(path: Path, *rows, encoding="utf-8", delimiter=","):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def _numbered(*columns, header):
    """Rows with the patients' numbers before the columns."""
    return [["ID", *header], *([n, *row] for n, row in enumerate(zip(*columns, strict=True), 1))]


def test_categories_are_written_as_ours(tmp_path: Path):
    header = (
        "T category",
        "cN",
        "M分期",
        "Clinical stage (AJCC 8th edition)",
        "Gender",
        "Age (years)",
    )
    columns = (
        ("3", "T2", "t4a", "cT1"),
        ("1", "N2", "n3b", "Nx"),
        ("0", "M1", "m0", "M0"),
        ("Ⅲ", "IVa", "stage 4b", "2"),
        ("男", "female", "M", "1"),
        (45, 61.0, "38.0", "unknown"),
    )
    _csv(tmp_path / "x.csv", *_numbered(*columns, header=header))
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    names = ("T", "N", "M", "stage", "sex", "age")
    assert tuple(table.columns.values()) == names
    found = [tuple(table.rows[name].get(column, "") for column in names) for name in PATIENTS]
    assert found == [
        ("T3", "N1", "M0", "III", "M", "45"),
        ("T2", "N2", "M1", "IVA", "F", "61"),
        ("T4a", "N3b", "M0", "IVB", "M", "38"),
        ("T1", "NX", "M0", "II", "1", ""),
    ]


@pytest.mark.parametrize(
    ("title", "ours"),
    [
        ("OS (months)", "OS_months"),
        ("os_status", "OS_status"),
        ("Overall survival time, days", "OS_days"),
        ("生存时间（月）", "OS_months"),
        ("Death", "OS_status"),
        ("DMFS", "DMFS_time"),
        ("PFS event", "PFS_status"),
        ("EBV DNA", "EBV"),
        ("WHO pathological type", "histology"),
        ("Smoking history", "Smoking_history"),
        ("split", "split_of_table"),
    ],
)
def test_titles_become_our_columns(tmp_path: Path, title: str, ours: str):
    _csv(tmp_path / "x.csv", *_numbered("1234", "5678", header=("stage", title)))
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    assert table.columns[title.replace("（", "(").replace("）", ")")] == ours


def test_who_the_patients_are_is_left_and_not_quoted(tmp_path: Path):
    book = openpyxl.Workbook()
    book.active.append(["ID", "stage", "Patient Name", "住院号", "visited", "nothing", None])
    for number in range(1, 5):
        book.active.append([number, "II", "A B", 7000 + number, datetime.date(2020, 1, 1)])
    book.save(tmp_path / "table.xlsx")
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    assert table.columns == {"stage": "stage"}
    assert set(table.left) == {"'nothing' (empty)", "3 that may tell who the patients are"}
    assert "Name" not in table.described(4)


def test_the_column_of_the_patients_is_not_that_of_their_ages(tmp_path: Path):
    patients = [f"{number:03d}" for number in range(1, 81)]
    rows = [[30 + number % 40, f"NPC-{number:03d}", "T1"] for number in range(1, 81)]
    _csv(tmp_path / "x.tsv", ["age", "folder", "T"], *rows, delimiter="\t")
    table = find_clinical_table([tmp_path], patients)
    assert table is not None
    assert table.matched_by == "folder"
    assert table.rows["007"] == {"age": "37", "T": "T1"}


def test_a_workbook_with_titles_above_and_a_cover_sheet_is_read(tmp_path: Path):
    book = openpyxl.Workbook()
    book.active.append(["about this file"])
    sheet = book.create_sheet("data")
    sheet.append(["Table 2"])
    sheet.append([None])
    sheet.append(["No.", "N分期"])
    for number in range(1, 5):
        sheet.append([f"patient {number}", "N1"])
    book.save(tmp_path / "copy (3).XLSX")
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    assert (table.file, table.sheet, table.matched_by) == ("copy (3).XLSX", "data", "No.")
    assert table.rows["004"] == {"N": "N1"}
    assert table.described(4) == (
        "clinical table copy (3).XLSX, sheet data: 4 of 4 patients by column 'No.'; taken: "
        "'N分期' as N"
    )


def test_a_chinese_encoding_and_semicolons_are_read(tmp_path: Path):
    rows = _numbered("男女男女", header=("性别",))
    _csv(tmp_path / "x.csv", *rows, encoding="gb18030", delimiter=";")
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    assert [table.rows[name]["sex"] for name in PATIENTS] == ["M", "F", "M", "F"]


def test_of_several_tables_the_one_with_most_patients_counts(tmp_path: Path):
    _csv(tmp_path / "a.csv", *_numbered("123", header=("T",)))
    _csv(tmp_path / "b.csv", *_numbered("1234", header=("T",)))
    _csv(tmp_path / "c.csv", *_numbered("1234", header=("volume",)))
    table = find_clinical_table([tmp_path], PATIENTS)
    assert table is not None
    assert table.file == "b.csv"


def test_a_patient_that_stands_twice_keeps_the_first_row(tmp_path: Path):
    rows = [["ID", "T"], *([number, 1] for number in range(1, 41)), [1, 4]]
    _csv(tmp_path / "x.csv", *rows)
    table = find_clinical_table([tmp_path], [f"{number:03d}" for number in range(1, 41)])
    assert table is not None
    assert table.rows["001"] == {"T": "T1"}


def test_without_a_table_of_these_patients_there_is_none(tmp_path: Path):
    _csv(tmp_path / "other.csv", ["ID", "T"], ["901", "1"], ["902", "2"])
    _csv(tmp_path / "empty.csv")
    assert find_clinical_table([tmp_path, tmp_path / "nowhere"], PATIENTS) is None


def test_what_cannot_be_read_is_told(tmp_path: Path):
    (tmp_path / "old.xls").write_bytes(b"x")
    (tmp_path / "~$open.xlsx").write_bytes(b"x")
    (tmp_path / "broken.xlsx").write_bytes(b"PK no workbook")
    notes: list[str] = []
    assert find_clinical_table([tmp_path], PATIENTS, notes.append) is None
    assert len(notes) == 2
    assert notes[0].startswith("the table broken.xlsx cannot be read")
    assert notes[1].startswith("old.xls cannot be read")
    assert str(tmp_path) not in "".join(notes)
