"""Which files a record of Zenodo has, and where each of them is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from omnisyn.errors import ResourceError, UsageError
from omnisyn.listeners import Note, unheard
from omnisyn.preparation.fetch.request import BY_HAND, PassingFault, Patience, answer_to

ZENODO = "https://zenodo.org"
_LARGEST_ANSWER = 16 * 2**20


@dataclass(frozen=True)
class RecordFile:
    """One file of a record."""

    name: str
    address: str
    """Where `download` finds it."""
    size: int
    """Bytes."""
    md5: str
    """32 hexadecimal digits."""


def list_files(
    record: str,
    *,
    address: str = ZENODO,
    attempts: int = 5,
    note: Note = unheard,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[RecordFile, ...]:
    """The files of a record, by `GET /api/records/<record>` of Zenodo's API (as of October 2023).

    The link that the API gives for a file's content (`links.self`) takes no ranges, as users of
    Zenodo report (zenodo/zenodo, issue 2593); the link of the record's page does, and is the one
    given here, so that a download can be resumed. Tested against a stand-in, never against Zenodo.

    Args:
        record: its number; each version of a dataset has one of its own.
        address: of Zenodo, or of what stands in for it.
        attempts: how many requests in a row may fail.
        note: hears of waits.
        wait: sleeps for so many seconds.

    Raises:
        UsageError: `record` is no number.
        ResourceError: no network, no such record, or an answer that is not understood.
    """
    if re.fullmatch(r"[0-9]{1,18}", record) is None:
        raise UsageError(f"{record!r} is no record of Zenodo", remedy="give its number")
    what = f"Zenodo's record {record}"
    text = _text(f"{address}/api/records/{record}", Patience(what, attempts, wait, note))
    try:
        return tuple(_record_file(each, record, address) for each in json.loads(text)["files"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ResourceError(
            "the answer is not understood",
            where=what,
            why="no list of files with name, size and MD5",
            remedy=f"check that no login page stands between, or {BY_HAND}",
        ) from error


def find_file(
    record: str,
    name: str,
    *,
    address: str = ZENODO,
    attempts: int = 5,
    note: Note = unheard,
    wait: Callable[[float], None] = time.sleep,
) -> RecordFile:
    """The file of that name in a record. Arguments and errors as in `list_files`.

    Raises:
        ResourceError: the record has none.
    """
    files = list_files(record, address=address, attempts=attempts, note=note, wait=wait)
    for file in files:
        if file.name == name:
            return file
    raise ResourceError(
        f"there is no file {name}",
        where=f"Zenodo's record {record}",
        why=f"it has {', '.join(file.name for file in files[:10]) or 'none that is public'}",
        remedy=BY_HAND,
    )


def _text(address: str, patience: Patience) -> bytes:
    while True:
        try:
            with answer_to(address, {"Accept": "application/json"}) as answer:
                return answer.read(_LARGEST_ANSWER)
        except PassingFault as fault:
            patience.after(fault)


def _record_file(said: dict[str, Any], record: str, address: str) -> RecordFile:
    """Raises KeyError, TypeError or ValueError where something is missing."""
    name, size, checksum = said["key"], said["size"], said["checksum"]
    md5 = re.fullmatch(r"md5:([0-9a-f]{32})", checksum)
    if md5 is None or not isinstance(name, str) or type(size) is not int or size < 0:
        raise ValueError(said)
    return RecordFile(name, f"{address}/records/{record}/files/{quote(name)}", size, md5[1])
