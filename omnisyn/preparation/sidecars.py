"""What of a scan's sidecar may be copied: how it was made, and nothing of whom it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_DEEPEST_LEVEL = 8
_LARGEST_NUMBER = 2**63
# Entries that say who was scanned, by whom, where or on which machine, not how.
_PERSONAL_WORDS = (
    "patient", "subject", "person", "birth", "physician", "operator", "institution", "station",
    "accession", "serial", "address", "uid",
)  # fmt: skip
_HARMLESS = {"patientposition"}


def impersonal(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """A sidecar without the entries that name people, places or machines, at any depth.

    Left out as well is what strict JSON cannot hold (NaN, infinity, half a character), numbers
    beyond 64 bits, and whatever is nested deeper than any sidecar is.
    """
    return _mapping(sidecar, _DEEPEST_LEVEL)


def _mapping(value: Mapping[str, Any], levels: int) -> dict[str, Any]:
    kept = {
        key: _kept(item, levels - 1)
        for key, item in value.items()
        if not is_personal(key) and _is_text(key)
    }
    return {key: item for key, item in kept.items() if item is not None}


def _kept(value: Any, levels: int) -> Any:
    """A value of JSON as it may be copied; None in the place of one that may not."""
    if isinstance(value, Mapping):
        return _mapping(value, levels) if levels else None
    if isinstance(value, list):
        return [_kept(item, levels - 1) for item in value] if levels else None
    if isinstance(value, str):
        return value if _is_text(value) else None
    if isinstance(value, int | float):
        return value if abs(value) < _LARGEST_NUMBER else None  # false of NaN, too
    return None


def names_people(column: str) -> bool:
    """Whether a column of a table says who patients are; `subject` only tells them apart."""
    return column != "subject" and (is_personal(column) or column.lower().endswith("name"))


def is_personal(key: str) -> bool:
    """Whether an entry says who was scanned, by whom, where or on which machine."""
    letters = re.sub(r"[^a-z0-9]", "", key.lower())
    return letters not in _HARMLESS and any(word in letters for word in _PERSONAL_WORDS)


def _is_text(text: str) -> bool:
    """Whether it can be written; JSON can spell one half of a character in two parts."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
