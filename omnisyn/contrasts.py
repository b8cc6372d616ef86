"""The vocabulary: the six MRI contrasts, how files and headers name them, and what they show.

One table, used everywhere. Its order is the canonical order of every tensor axis that runs over
contrasts. The nominal times are typical of axial spin-echo imaging at 1.5 T (MRA: 3D time of
flight), see the head-and-neck and brain protocols in Westbrook, Handbook of MRI Technique.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from omnisyn.errors import UsageError

FAT_STATES = {False: "fat keeps its own signal", True: "fat is suppressed and dark"}
"""What is said of fat, by whether it is suppressed."""


@dataclass(frozen=True)
class Contrast:
    """One MRI contrast.

    Attributes:
        name: our own short name, as it stands in files and options.
        suffix: the BIDS suffix.
        entities: the BIDS entities that tell it from others of the same suffix.
        aliases: other spellings, lower case and without separators.
        sentence: what the contrast shows; the text that the model is conditioned on.
        repetition_time_ms: nominal TR in ms.
        echo_time_ms: nominal TE in ms.
        inversion_time_ms: nominal TI in ms, where the sequence inverts.
    """

    name: str
    suffix: str
    entities: tuple[tuple[str, str], ...]
    aliases: tuple[str, ...]
    sentence: str
    repetition_time_ms: float
    echo_time_ms: float
    inversion_time_ms: float | None = None

    def describe(self, fat_suppressed: bool = False) -> str:
        """The sentence for the text tower, with the state of the fat signal spoken out."""
        return f"{self.sentence}; {FAT_STATES[fat_suppressed]}."


CONTRASTS: tuple[Contrast, ...] = (
    Contrast(
        "T1",
        "T1w",
        (),
        ("t1", "t1w", "t1wi", "t1weighted", "t1n", "t1pre", "precontrast", "mprage"),
        "A T1-weighted MRI slice without contrast agent: fat is bright, white matter is brighter "
        "than grey matter, and cerebrospinal fluid is dark",
        550,
        12,
    ),
    Contrast(
        "T1c",
        "T1w",
        (("ce", "gadolinium"),),
        (
            *("t1c", "t1ce", "cet1", "cet1w", "cet1wi", "t1wce", "t1gd", "t1post", "t1cw", "t1km"),
            *("t1wgd", "postcontrast", "t1contrast", "t1wc", "t1enhanced"),
        ),
        "A T1-weighted MRI slice after gadolinium contrast agent: mucosa, vessels and tumour "
        "enhance and are bright, while brain and fluid stay as in T1",
        550,
        12,
    ),
    Contrast(
        "T2",
        "T2w",
        (),
        ("t2", "t2w", "t2wi", "t2weighted", "t2tse", "t2fse"),
        "A T2-weighted MRI slice: fluid is bright, grey matter is brighter than white matter, and "
        "muscle is dark",
        4500,
        95,
    ),
    Contrast(
        "FLAIR",
        "FLAIR",
        (),
        ("flair", "t2flair", "fluidattenuated", "darkfluid", "tirmdarkfluid", "fl"),
        "A fluid-attenuated inversion recovery MRI slice: T2-weighted with dark cerebrospinal "
        "fluid, so that lesions and oedema stand out bright",
        9000,
        120,
        2400,
    ),
    Contrast(
        "PD",
        "PDw",
        (),
        ("pd", "pdw", "pdwi", "protondensity", "rho"),
        "A proton-density-weighted MRI slice: tissues differ little, grey matter and fluid are "
        "slightly brighter than white matter, and bone is dark",
        2700,
        15,
    ),
    Contrast(
        "MRA",
        "angio",
        (),
        ("mra", "tof", "tofmra", "angio", "mrangiography", "timeofflight"),
        "A time-of-flight MR angiography slice: flowing arterial blood is bright and resting "
        "tissue is dark",
        25,
        4,
    ),
)

NAMES: tuple[str, ...] = tuple(entry.name for entry in CONTRASTS)

_BY_ALIAS = {alias: entry for entry in CONTRASTS for alias in (entry.name.lower(), *entry.aliases)}
_AGENTS = {"gadolinium", "gd", "ce", "post", "km", "contrast", "enhanced"}
_WITHOUT = {"without", "no", "non", "not", "before"}
_SEPARATORS = re.compile(r"[\s_\-+.,;:/\\()\[\]]+")


def contrast(name: str) -> Contrast:
    """The contrast of that name or alias, whatever its case and separators.

    Raises:
        UsageError: no contrast has that name; the nearest one is offered.
    """
    key = _SEPARATORS.sub("", name).lower()
    if key in _BY_ALIAS:
        return _BY_ALIAS[key]
    nearest = get_close_matches(key, _BY_ALIAS, n=1, cutoff=0.5)
    hint = f"did you mean {_BY_ALIAS[nearest[0]].name}? " if nearest else ""
    raise UsageError(
        f"unknown contrast {name!r}", remedy=f"{hint}the contrasts are {', '.join(NAMES)}"
    )


def is_contrast(word: str) -> bool:
    """Whether a word is nothing but the name or an alias of a contrast."""
    return _SEPARATORS.sub("", word).lower() in _BY_ALIAS


def guess_contrast(text: str) -> Contrast | None:
    """The contrast that a file name or a series description speaks of, or None.

    Words are compared whole, alone and joined with their neighbour ("CE T1WI", "T1 post"). The
    longest alias wins, so "t1_ce" is T1c and not T1; contrast agent named beside T1 makes it T1c,
    unless the word before says that there was none.
    """
    stem = re.sub(r"\.(nii|nii\.gz|gz|dcm|img|hdr)$", "", text.strip(), flags=re.IGNORECASE)
    stem = re.sub(r"\+\s*(c|gd|km)\b", " contrast ", stem, flags=re.IGNORECASE)
    words = [word for word in _SEPARATORS.split(stem.lower()) if word]
    joined = ["".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)]
    found = [word for word in joined if word in _BY_ALIAS]
    if not found:
        return None
    best = _BY_ALIAS[max(found, key=len)]
    agent = any(
        word in _AGENTS and before not in _WITHOUT
        for before, word in zip(["", *words], words, strict=False)
    )
    if best.name == "T1" and agent and "pre" not in words:
        return contrast("T1c")
    return best


def direction_name(sources: Sequence[str], target: str) -> str:
    """A direction of synthesis as it stands in every table: "T1→T2", "T1+T2→T1c"."""
    return f"{'+'.join(sources)}→{target}"
