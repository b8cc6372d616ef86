"""Values of DICOM elements, taken from their bytes where these are enough.

pydicom keeps an element as bytes until it is asked for, and then makes an object that knows text,
number and validity. For what is asked of every image of a long series that costs more than all the
rest of the reading, so numbers and codes are read here; whatever is less plain is left to pydicom.
"""

import warnings
from functools import cache
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

# Unsigned shorts apart, these are texts in ASCII whatever the character set (PS3.5, 6.2).
_PLAIN_TEXTS = frozenset({"CS", "DS", "UI"})


@cache
def tag_of(keyword: str) -> BaseTag:
    """The tag that has this keyword."""
    return Tag(keyword)


def value_of(dataset: Dataset, tag: BaseTag) -> Any:
    """The value of an element; None where it is absent, empty or cannot be converted.

    Returns:
        An integer, a text, a list of texts, or whatever pydicom makes of it.
    """
    element = dataset.get_item(tag)
    if element is None:
        return None
    plain = _plain(element) if isinstance(element, RawDataElement) and element.value else None
    if plain is not None:
        return plain
    # pydicom converts an element when asked for it, and may find that it cannot. Its warnings of
    # values that bend the standard quote them, and they may name the patient.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return dataset[tag].value
        except Exception:
            return None


def _plain(element: RawDataElement) -> int | str | list[str] | None:
    content = element.value or b""
    if element.VR == "US" and len(content) == 2:
        return int.from_bytes(content, "little" if element.is_little_endian else "big")
    if element.VR not in _PLAIN_TEXTS or not content.isascii():
        return None
    texts = [text.strip() for text in content.decode("ascii").rstrip(" \0").split("\\")]
    return texts[0] if len(texts) == 1 else texts
