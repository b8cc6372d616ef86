"""Names of synthesized volumes, as BIDS derivatives.

The source's entities stay, its contrast goes, then come the target's entities, `desc-synth` and
the target's suffix: `sub-01_T1w.nii.gz` → `sub-01_desc-synth_T2w.nii.gz`. The map of the expected
error of that volume is `sub-01_mod-T2w_desc-synth_uncertainty.nii.gz`: the contrast moves into the
entity that BIDS has for what an image is *about*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from omnisyn.contrasts import Contrast, is_contrast
from omnisyn.studies.subjects import stem

# BIDS 1.10, appendix "Entity table": the order in which entities appear in a file name.
_ENTITY_ORDER = (
    *("sub", "ses", "sample", "task", "tracksys", "acq", "ce", "trc", "stain", "rec", "dir"),
    *("run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split"),
    *("recording", "chunk", "seg", "res", "den", "label", "desc"),
)
# Entities that name the source's contrast or its processing, which the output does not share.
_SOURCE_ENTITIES = frozenset({"ce", "desc"})
_ENTITY = re.compile(r"([a-z]+)-([A-Za-z0-9]+)")


def without_contrast(name: str) -> str:
    """What is left of a source's name when its contrast is taken away; may be empty.

    `case7_T1.nii.gz` → `case7`; `sub-01_ce-gadolinium_T1w.nii.gz` → `sub-01`; `T1.nii.gz` → ``.
    A name that tells no contrast is kept whole.
    """
    words = stem(name).split("_")
    entities = [_ENTITY.fullmatch(word) for word in words]
    kept = [
        word
        for word, entity in zip(words, entities, strict=True)
        if word and not (entity and entity[1] in _SOURCE_ENTITIES)
    ]
    for width in (2, 1):  # "t1_post" is one contrast in two words
        told = [
            first
            for first in range(len(kept) - width + 1)
            if is_contrast("_".join(kept[first : first + width]))
        ]
        if told:
            del kept[told[-1] : told[-1] + width]
            return "_".join(kept)
    if kept:
        # "case7-T1" and "case7 T1": the contrast is the last part of the last word.
        front = re.fullmatch(r"(.+?)[-. ]([^-. ]+(?:-[^-. ]+)?)", kept[-1])
        if front and is_contrast(front[2]) and not _ENTITY.fullmatch(kept[-1]):
            kept[-1] = front[1]
    return "_".join(kept)


def synthetic_stem(source_name: str, target: Contrast) -> str:
    """The output's name without suffix, for a source's basename and a target.

    Args:
        source_name: basename of the first source (a file, or a DICOM folder).
        target: the contrast that was made.
    """
    return _derived(source_name, dict(target.entities), target.suffix)


def uncertainty_stem(source_name: str, target: Contrast) -> str:
    """The same for the map of that output's expected error."""
    return _derived(source_name, {**dict(target.entities), "mod": target.suffix}, "uncertainty")


def _derived(source_name: str, told: Mapping[str, str], suffix: str) -> str:
    words = [word for word in without_contrast(source_name).split("_") if word]
    others, entities = [], {}
    for word in words:
        match = _ENTITY.fullmatch(word)
        if match and match[1] in _ENTITY_ORDER:
            entities[match[1]] = match[2]
        else:
            others.append(word)
    entities.update(told)
    entities["desc"] = "synth"
    ordered = [f"{key}-{entities[key]}" for key in _ENTITY_ORDER if key in entities]
    if "sub" in entities:
        # Words that BIDS does not know follow the entities they stood behind.
        ordered[-1:-1] = others
    else:
        ordered[:0] = others
    return "_".join([*ordered, suffix])
