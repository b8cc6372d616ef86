"""patients.tsv is read as it was written, and never half understood."""

from pathlib import Path

import pytest

from omnisyn.errors import InputError
from omnisyn.studies.patients_table import read_patients_table, write_patients_table


def test_rows_survive_writing_and_reading_without_their_unknown_values(tmp_path: Path):
    write_patients_table(
        tmp_path,
        [
            {"participant_id": "p2", "T": 3, "stage": "III"},
            {"participant_id": "p1", "T": None, "N": "", "stage": "n/a"},
        ],
    )
    text = (tmp_path / "patients.tsv").read_text()
    assert text.splitlines()[0].split("\t") == ["participant_id", "T", "stage", "N"]
    assert text.splitlines()[2].split("\t") == ["p1", "n/a", "n/a", "n/a"]
    assert read_patients_table(tmp_path) == {"p2": {"T": "3", "stage": "III"}, "p1": {}}


def test_folder_without_a_table_has_no_rows(tmp_path: Path):
    assert read_patients_table(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column participant_id"),
        ("name\tT\np1\t2\n", "no column participant_id"),
        ("participant_id\tT\np1\n", "row 2 has 1 values for 2 columns"),
        ("participant_id\np1\np1\n", "p1 appears twice"),
        ("participant_id\n../p1\n", "cannot be a patient's identifier"),
        ("participant_id\ncache\n", "cannot be a patient's identifier"),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "patients.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_patients_table(tmp_path)


@pytest.mark.parametrize(
    "rows",
    [
        [{"T": 1}],
        [{"participant_id": "a"}, {"participant_id": "a"}],
        [{"participant_id": "a", "note": "two\tvalues"}],
        [{"participant_id": "a", "note": "two\nlines"}],
    ],
)
def test_rows_that_could_not_be_read_back_are_not_written(
    tmp_path: Path, rows: list[dict[str, object]]
):
    with pytest.raises(InputError):
        write_patients_table(tmp_path, rows)
    assert not (tmp_path / "patients.tsv").exists()
