"""Finds the table of a dataset's patients by content, and turns its columns into ours.

Neither its name nor its columns need be known: it is the table with a column whose values are the
patients' own names or numbers and with columns that speak of stage, sex, age or outcome.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnisyn.errors import reason_of
from omnisyn.listeners import Note, unheard
from omnisyn.paths import open_regular
from omnisyn.preparation.sidecars import names_people
from omnisyn.studies.patients_table import IDENTIFIER

_READ = (".xlsx", ".csv", ".tsv")
_NOT_READ = (".xls", ".xlsb", ".ods", ".doc", ".docx", ".pdf")
_LARGEST_BYTES = 64 * 2**20
_MOST_ROWS, _MOST_COLUMNS = 20_000, 300
_HEADER_WITHIN = 10
"""Rows in which the names of the columns may stand: titles and notes may precede them."""
_FEWEST_MATCHED = 0.5
_FEWEST_DISTINCT = 0.95
_TAKEN = frozenset({IDENTIFIER, "subject", "split"})
"""Columns of ``patients.tsv`` with a meaning that a foreign table cannot have meant."""

Row = Sequence[Any]


@dataclass(frozen=True)
class ClinicalTable:
    """A table of patients, as it was found.

    Attributes:
        file: its name.
        sheet: of a workbook, else empty.
        matched_by: the column that tells the patients apart, in the table's own words.
        columns: column in its own words → column of ``patients.tsv``.
        left: columns in their own words that are not taken: they name people or dates, or are
            empty. A personal one is counted, not quoted.
        rows: patient → column of ``patients.tsv`` → value; no value is empty.
    """

    file: str
    sheet: str
    matched_by: str
    columns: Mapping[str, str]
    left: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]

    def described(self, patients: int) -> str:
        """What was found, in one sentence, for the record of the preparation.

        Args:
            patients: how many were looked for.
        """
        place = self.file + (f", sheet {self.sheet}" if self.sheet else "")
        taken = ", ".join(f"{theirs!r} as {ours}" for theirs, ours in self.columns.items())
        left = f"; left out: {', '.join(self.left)}" if self.left else ""
        return (
            f"clinical table {place}: {len(self.rows)} of {patients} patients by column "
            f"{self.matched_by!r}; taken: {taken or 'nothing'}{left}"
        )


def find_clinical_table(
    folders: Iterable[Path], patients: Sequence[str], note: Note = unheard
) -> ClinicalTable | None:
    """The table whose rows are these patients, among the files that lie directly in the folders.

    Of several, the one with most patients is taken, then the one with most columns that are known.

    Args:
        patients: their identifiers; a table may write 7 or 7.0 or NPC-007 for 007.
        note: hears of every table that cannot be read.

    Returns:
        None where no table has half of the patients and a known column.
    """
    found = []
    for path in _tables(folders, note):
        try:
            sheets = list(_workbook(path) if path.suffix.lower() == ".xlsx" else _text(path))
        # What a damaged workbook makes the libraries raise is of many kinds.
        except Exception as fault:
            note(f"the table {path.name} cannot be read: {reason_of(fault)}")
            continue
        found += [_understood(path.name, sheet, rows, patients) for sheet, rows in sheets]
    known = [table for table in found if table is not None and _weight(table)[1]]
    return max(known, key=_weight, default=None)


def _tables(folders: Iterable[Path], note: Note) -> Iterator[Path]:
    for folder in folders:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for path in entries:
            # ~$…: what a spreadsheet program leaves beside a table that is open.
            if path.name.startswith((".", "~$")) or not path.is_file():
                continue
            if path.suffix.lower() in _NOT_READ:
                note(
                    f"{path.name} cannot be read; if it is the clinical table, save it as .xlsx or "
                    ".csv beside the images"
                )
            elif path.suffix.lower() in _READ:
                yield path


def _workbook(path: Path) -> Iterator[tuple[str, Sequence[Row]]]:
    import openpyxl

    with open_regular(path) as file, warnings.catch_warnings():
        # Of styles and validations that openpyxl leaves out; only values are wanted.
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > _LARGEST_BYTES:
                raise ValueError("it is too large for a table of patients")
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        for sheet in book.worksheets:
            rows = sheet.iter_rows(max_row=_MOST_ROWS, max_col=_MOST_COLUMNS, values_only=True)
            yield sheet.title, [row for row in rows if any(cell is not None for cell in row)]


def _text(path: Path) -> Iterator[tuple[str, Sequence[Row]]]:
    with open_regular(path) as file:
        content = file.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError("it is too large for a table of patients")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What Chinese versions of spreadsheet programs write.
        text = content.decode("gb18030")
    first = text[:10_000]
    separator = max("\t,;", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    yield (
        "",
        [row[:_MOST_COLUMNS] for row in rows if any(cell.strip() for cell in row)][:_MOST_ROWS],
    )


def _understood(
    file: str, sheet: str, rows: Sequence[Row], patients: Sequence[str]
) -> ClinicalTable | None:
    """The table with its columns named, where one of its columns tells the patients apart.

    The names of the columns are in the row by which most of them are known.
    """
    readings = (
        _read_below(file, sheet, rows[start], rows[start + 1 :], patients)
        for start in range(min(_HEADER_WITHIN, len(rows)))
    )
    return max((found for found in readings if found), key=_weight, default=None)


def _weight(table: ClinicalTable) -> tuple[int, int]:
    return len(table.rows), sum(ours in _NAMES for ours in table.columns.values())


def _read_below(
    file: str, sheet: str, titles: Row, rows: Sequence[Row], patients: Sequence[str]
) -> ClinicalTable | None:
    header = [_plain(cell) for cell in titles]
    matched = _patient_column(header, rows, patients)
    if matched is None:
        return None
    column, of_row = matched
    columns, left, places = _named(header, column, rows)
    found: dict[str, Mapping[str, str]] = {}
    for row in rows:
        patient = of_row(_cell(row, column))
        if patient is None or patient in found:
            continue
        values = {ours: _value(ours, _cell(row, place)) for ours, place in places.items()}
        found[patient] = {ours: value for ours, value in values.items() if value}
    return ClinicalTable(file, sheet, header[column], columns, left, found)


def _patient_column(
    header: Sequence[str], rows: Sequence[Row], patients: Sequence[str]
) -> tuple[int, Callable[[Any], str | None]] | None:
    """The column that names the patients, and how a cell of it is read.

    The patients' own names count before their numbers, a column that is called a number or name of
    the patient before one that only holds such numbers, and the first before the next.
    """
    names = {name.casefold(): name for name in patients}
    numbers: dict[int, str] = {}
    for name in patients:
        number = _number(name)
        if number is not None:
            numbers[number] = "" if number in numbers else name
    readings: tuple[Callable[[Any], str | None], ...] = (
        lambda cell: names.get(_plain(cell).casefold()),
        lambda cell: numbers.get(_number(_plain(cell)) or -1) or None,
    )
    best: tuple[tuple[int, bool, bool], int, Callable[[Any], str | None]] | None = None
    for column, title in enumerate(header):
        for reading in readings:
            cells = [cell for row in rows if (cell := _cell(row, column)) is not None]
            hits = [patient for cell in cells if (patient := reading(cell)) is not None]
            matched = len(set(hits))
            if matched < max(1, _FEWEST_MATCHED * len(patients)):
                continue
            # Ages are numbers of patients as well, but the same ones again and again.
            if matched < _FEWEST_DISTINCT * len(hits):
                continue
            weight = (matched, reading is readings[0], bool(_IDENTIFIES.search(title.lower())))
            if best is None or weight > best[0]:
                best = weight, column, reading
    return None if best is None else best[1:]


def _named(
    header: Sequence[str], key: int, rows: Sequence[Row]
) -> tuple[dict[str, str], tuple[str, ...], dict[str, int]]:
    """Their name → ours, what is left, and the place of each of ours."""
    columns: dict[str, str] = {}
    places: dict[str, int] = {}
    left: list[str] = []
    personal = 0
    for place, title in enumerate(header):
        cells = [cell for row in rows if (cell := _cell(row, place)) is not None]
        if place == key or not (title or cells):
            continue
        if _is_personal(title) or any(isinstance(cell, datetime.date) for cell in cells):
            personal += 1
        elif not title or not cells:
            left.append(repr(title or f"column {place + 1}") + " (empty)")
        else:
            ours = _ours(title)
            while ours in places or ours in _TAKEN:
                ours += "_2" if ours in places else "_of_table"
            # Two columns may be called alike in the table; the record names each.
            columns[title if title not in columns else f"{title} ({ours})"] = ours
            places[ours] = place
    if personal:
        left.append(f"{personal} that may tell who the patients are")
    return columns, tuple(left), places


_IDENTIFIES = re.compile(
    r"\b(id|no|number|patient|case|index|name|folder)\b|编号|序号|病例|病人|患者"
)
_PERSONAL = re.compile(
    r"姓名|电话|住址|地址|身份证|住院号|门诊号|病案号|日期|出生|医院|医生"
    r"|\b(date|phone|telephone|mrn|hospital|admission|doctor)\b"
)
_ENDPOINTS = (
    ("PFS", r"\bpfs\b|progression|无进展"),
    ("DMFS", r"\bdmfs\b|metasta\w*.free|无远处转移"),
    ("LRFS", r"\bl?rr?fs\b|recurren\w*.free|relapse.free|无复发"),
    ("DFS", r"\bdfs\b|disease.free|无病生存"),
    ("OS", r"\bos\b|overall survival|survival|surviv|follow.?up|dead|death|alive|生存|死亡|随访"),
)
_UNITS = (
    ("status", r"status|event|censor|dead|death|alive|outcome|状态|死亡|结局"),
    ("months", r"month|\bmo\b|月"),
    ("days", r"day|天|日"),
    ("years", r"year|年"),
)
_CATEGORY = r"[\s_-]*(stag\w*|categor\w*|class\w*|分期|期)?"
_NAMES = {
    "T": rf"[cp]?t{_CATEGORY}",
    "N": rf"[cp]?n{_CATEGORY}",
    "M": rf"[cp]?m{_CATEGORY}",
    "stage": r"(clinical|overall|tnm|ajcc|uicc|total|disease|临床|总体?)?\s*(stag\w*|group|分期)",
    "sex": r"sex|gender|性别",
    "age": r"age|年龄",
    "EBV": r".*(\bebv\b|epstein|eb\s?virus|eb\s?病毒).*",
    "histology": r".*(histolog|patholog|病理).*",
    **{
        f"{endpoint}_{unit}": ""
        for endpoint, _ in _ENDPOINTS
        for unit in ("status", "months", "days", "years", "time")
    },
}
"""Columns of ``patients.tsv`` → what theirs are called; survival is told in `_survival`."""


def _ours(title: str) -> str:
    """The column of ``patients.tsv`` that a title means, or the title in letters and digits."""
    spoken = re.sub(r"[\s_]+", " ", title.lower())
    # What stands in brackets is a unit or an edition: "age (years)", "T stage (AJCC 8th)".
    bare = re.sub(r"\(.*?\)|,.*|\b\w+ edition\b|\b(8|7)th\b", "", spoken).strip(" :.-")
    for ours, theirs in _NAMES.items():
        if theirs and re.fullmatch(theirs, bare):
            return ours
    return _survival(spoken) or re.sub(r"[^0-9A-Za-z\u4e00-\u9fff]+", "_", title).strip("_") or "_"


def _survival(spoken: str) -> str | None:
    for endpoint, theirs in _ENDPOINTS:
        if re.search(theirs, spoken):
            unit = next((unit for unit, words in _UNITS if re.search(words, spoken)), "time")
            return f"{endpoint}_{unit}"
    return None


def _is_personal(title: str) -> bool:
    return names_people(title) or bool(_PERSONAL.search(title.lower().replace("_", " ")))


def _value(ours: str, cell: Any) -> str:
    """A cell as ``patients.tsv`` writes it; as the table has it where its form is not known."""
    text = _plain(cell)
    if text.lower() in (
        "",
        "na",
        "n/a",
        "nan",
        "none",
        "null",
        "-",
        "/",
        "unknown",
        "未知",
        "不详",
    ):
        return ""
    if ours in ("T", "N", "M"):
        fit = re.fullmatch(rf"[cp]?{ours}?\s*([0-4x])\s*([a-d]?)期?", text, re.IGNORECASE)
        # The cohorts of the house know no parts of a category.
        return f"{ours}{fit[1].upper()}{fit[2].lower()}" if fit else text
    if ours == "stage":
        fit = re.fullmatch(r"(?:stage\s*)?(I{1,3}|IV|[1-4])\s*([A-C]?)期?", text, re.IGNORECASE)
        return _ROMAN.get(fit[1], fit[1].upper()) + fit[2].upper() if fit else text
    if ours == "sex":
        return _SEXES.get(text.lower(), text)
    return text


_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}
# Numbers stay as they are: which of 0, 1 and 2 stands for whom is not the same in every table.
_SEXES = {
    "m": "M",
    "male": "M",
    "man": "M",
    "男": "M",
    "f": "F",
    "female": "F",
    "woman": "F",
    "女": "F",
}


def _plain(cell: Any) -> str:
    """A cell in one line: full-width and Roman signs as usual letters, whole numbers bare."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = " ".join(unicodedata.normalize("NFKC", str(cell)).split())
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def _number(text: str) -> int | None:
    """The one number in a name, as 7 of 007 and NPC-007."""
    digits = re.findall(r"\d+", text)
    return int(digits[0]) if len(digits) == 1 and len(digits[0]) < 10 else None


def _cell(row: Row, place: int) -> Any:
    cell = row[place] if place < len(row) else None
    return None if isinstance(cell, str) and not cell.strip() else cell
