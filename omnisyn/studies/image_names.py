"""What the name of an image says it shows: a contrast, a mask, or neither."""

from __future__ import annotations

import re
from typing import Literal

from omnisyn.contrasts import guess_contrast
from omnisyn.studies.subjects import without_labels

Kind = Literal["contrast", "mask", "nothing"]
SYNTHETIC = "desc-synth"

_MASK_WORDS = {
    "tumour": "tumour",
    "tumor": "tumour",
    "gtv": "tumour",
    "gtvp": "tumour",
    "nodes": "nodes",
    "gtvn": "nodes",
    "lesion": "lesions",
    "lesions": "lesions",
}
_LABEL_WORDS = {
    *_MASK_WORDS,
    "mask", "brainmask", "headmask", "seg", "segmentation", "dseg", "probseg", "label", "labels",
    "roi", "gt", "tissues", "tissue",
}  # fmt: skip


def shown_by(name: str) -> tuple[Kind, str]:
    """What an image of this name shows, and the contrast's or mask's own name; else ""."""
    # Without the subject's own label, which may well be spelled like a contrast.
    rest = without_labels(name)
    words = [word for word in re.split(r"[^a-z0-9]+", rest.lower()) if word]
    if SYNTHETIC in rest.lower():
        return "nothing", ""
    # A series may be called after the head that it shows; here a file of that name is a mask.
    if "head" in words or shows_no_contrast(name):
        masks = {_MASK_WORDS[word] for word in words if word in _MASK_WORDS}
        if words in (["head"], ["head", "mask"], ["headmask"]):
            masks = {"head"}
        return ("mask", masks.pop()) if len(masks) == 1 else ("nothing", "")
    shown = guess_contrast(rest)
    return ("contrast", shown.name) if shown else ("nothing", "")


def shows_no_contrast(name: str) -> bool:
    """Whether the name of a file or folder is that of a mask, a label map or a synthetic image,
    whatever contrast it speaks of."""
    # Without the subject's own label, which may well be spelled like one of the words.
    rest = without_labels(name).lower()
    return SYNTHETIC in rest or not _LABEL_WORDS.isdisjoint(re.split(r"[^a-z]+", rest))
