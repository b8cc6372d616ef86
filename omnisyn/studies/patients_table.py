"""``patients.tsv``: one row a patient, tab-separated, ``n/a`` for what is not known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from omnisyn.errors import InputError
from omnisyn.volumes.atomic import write_text_atomic

TABLE_FILE = "patients.tsv"
IDENTIFIER = "participant_id"
UNKNOWN = "n/a"

# Folders of a site that are no patients.
_TAKEN = ("cache", "preparation")
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def read_patients_table(folder: Path, name: str = TABLE_FILE) -> dict[str, dict[str, str]]:
    """The rows by patient, without their unknown values; empty where there is no table.

    Raises:
        InputError: no ``participant_id`` column, a row of another length, or a repeated patient.
    """
    path = folder / name
    if not path.is_file():
        return {}
    where = f"{folder.name}/{name}"
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(
            "the table is not UTF-8 text", where=where, why=str(error), remedy="save it as UTF-8"
        ) from error
    columns = lines[0].split("\t") if lines else []
    if IDENTIFIER not in columns:
        raise InputError(
            f"the table has no column {IDENTIFIER}",
            where=where,
            why=f"its first line is {', '.join(columns) or 'empty'}",
            remedy="name the columns in the first line, separated by tabs",
        )
    rows: dict[str, dict[str, str]] = {}
    for number, line in enumerate(lines[1:], start=2):
        values = [value.strip() for value in line.split("\t")]
        if len(values) != len(columns):
            raise InputError(
                f"row {number} has {len(values)} values for {len(columns)} columns",
                where=where,
                remedy=f"separate the values by tabs and write {UNKNOWN} where one is not known",
            )
        row = dict(zip(columns, values, strict=True))
        identifier = row.pop(IDENTIFIER)
        _check_new(identifier, rows, where)
        rows[identifier] = {key: value for key, value in row.items() if value not in ("", UNKNOWN)}
    return rows


def write_patients_table(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes ``patients.tsv``: ``participant_id`` first, then the columns as they first appear.

    Raises:
        InputError: a row without or with a repeated ``participant_id``, or a value with a tab or
            a newline.
    """
    where = f"{folder.name}/{TABLE_FILE}"
    columns = [IDENTIFIER]
    for row in rows:
        columns.extend(key for key in row if key not in columns)
    lines = ["\t".join(columns)]
    seen: dict[str, object] = {}
    for row in rows:
        identifier = str(row.get(IDENTIFIER, ""))
        _check_new(identifier, seen, where)
        seen[identifier] = row
        values = [UNKNOWN if row.get(key) in (None, "") else str(row[key]) for key in columns]
        lines.append("\t".join(values))
    for line in lines:
        if line.count("\t") != len(columns) - 1 or len(line.splitlines()) != 1:
            raise InputError("a value holds a tab or a line break", where=where, remedy="remove it")
    write_text_atomic(folder / TABLE_FILE, "\n".join(lines) + "\n")


def check_identifier(identifier: str, where: str) -> None:
    """Refuses an identifier that cannot name a patient's folder.

    Raises:
        InputError: see above.
    """
    if not _IDENTIFIER.fullmatch(identifier) or identifier in _TAKEN:
        raise InputError(
            f"{identifier!r} cannot be a patient's identifier",
            where=where,
            why="it names a folder: letters, digits, '_', '.', '+' and '-'; not "
            + " or ".join(_TAKEN),
            remedy="rename the patient",
        )


def _check_new(identifier: str, others: Mapping[str, object], where: str) -> None:
    check_identifier(identifier, where)
    if identifier in others:
        raise InputError(
            f"patient {identifier} appears twice", where=where, remedy="keep one row a patient"
        )
