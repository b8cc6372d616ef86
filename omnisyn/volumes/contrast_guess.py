"""Which contrast a volume shows, guessed from what its header says, with a confidence.

Two witnesses: the words of the description, and the sequence's parameters. They agree, one of them
is silent, or they contradict each other; the confidence is a fixed number for each case, a rank and
not a measured probability.

Source of the limits of TR, TE and TI: Westbrook, Handbook of MRI Technique, weighting of spin-echo
and gradient-echo sequences; wide enough for 0.5 to 3 T.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omnisyn.contrasts import Contrast, contrast, guess_contrast

AGREED, WORDS_ONLY, PARAMETERS_ONLY, CONTRADICTED = 0.95, 0.7, 0.6, 0.3
_NO_AGENT = ("", "no", "none", "n")
_OTHER_IMAGES = ("dwi", "adc", "diff", "dti", "ep2d", "swi", "perf", "bold", "fmri", "fieldmap")


@dataclass(frozen=True)
class ContrastGuess:
    """A guess.

    Attributes:
        contrast: what the volume seems to show; None where nothing tells.
        confidence: 0 to 1, see the module.
        reason: what it rests on, without the words themselves: these may name the patient.
    """

    contrast: Contrast | None
    confidence: float
    reason: str


def guess_from(facts: Mapping[str, float | str], names: Sequence[str] = ()) -> ContrastGuess:
    """Guess from acquisition facts (`Provenance.acquisition`; times in ms) and file names.

    Args:
        names: further words, the file's or folder's name for example; asked after the description.
    """
    descriptions = [str(facts.get(key, "")) for key in ("SeriesDescription", "ProtocolName")]
    told = None
    for text in (*descriptions, *names):
        told = guess_contrast(text) if text else None
        if told is not None:
            break
    agent = str(facts.get("ContrastBolusAgent", "")).strip().lower() not in _NO_AGENT
    if told is not None and told.name == "T1" and agent:
        # The description of a scan often stays the same after the agent was given.
        told = contrast("T1c")
    shown, numbers = _by_parameters(facts, " ".join(descriptions).lower())
    if shown is not None and shown.name == "T1" and agent:
        shown = contrast("T1c")
    if told is None:
        return ContrastGuess(shown, PARAMETERS_ONLY if shown else 0.0, numbers)
    if shown is None:
        return ContrastGuess(told, WORDS_ONLY, f"named {told.name}")
    if _agree(told, shown):
        return ContrastGuess(told, AGREED, f"named {told.name}, {numbers}")
    return ContrastGuess(
        told, CONTRADICTED, f"named {told.name}, but {numbers} are those of {shown.name}"
    )


def contradiction(said: Contrast, facts: Mapping[str, float | str]) -> str | None:
    """Why the sequence's parameters speak against the contrast that was said, or None."""
    shown, numbers = _by_parameters(facts, "")
    if shown is None or _agree(said, shown):
        return None
    return f"{numbers} are those of {shown.name}"


def _agree(told: Contrast, shown: Contrast) -> bool:
    # Parameters cannot tell the agent; and a time-of-flight scan is a short gradient echo as T1 is.
    return told is shown or (shown.name in ("T1", "T1c") and told.name in ("T1", "T1c", "MRA"))


def _by_parameters(facts: Mapping[str, float | str], words: str) -> tuple[Contrast | None, str]:
    """The contrast that TR, TE and TI (ms) make, and those numbers as text."""
    repetition, echo, inversion = (
        _positive(facts.get(key)) for key in ("RepetitionTime", "EchoTime", "InversionTime")
    )
    numbers = ", ".join(
        f"{name} {round(value, 1):g} ms"
        for name, value in (("TR", repetition), ("TE", echo), ("TI", inversion))
        if value is not None
    )
    if str(facts.get("AngioFlag", "")) == "Y":
        return contrast("MRA"), "the angiography flag"
    sequence = str(facts.get("ScanningSequence", "")).split("\\")
    planar = "EP" in sequence or facts.get("EchoPlanarPulseSequence") == "YES"
    other = planar or any(word in words for word in _OTHER_IMAGES)
    if other or repetition is None or echo is None:
        return None, numbers
    gradient = "GR" in sequence or facts.get("EchoPulseSequence") == "GRADIENT"
    name = None
    if inversion is not None and inversion >= 1500 and repetition >= 4000:
        name = "FLAIR"
    elif inversion is not None and 400 <= inversion < 1500 and echo <= 15:
        name = "T1"
    elif gradient:
        name = "T1" if echo <= 10 and repetition <= 800 else None
    elif repetition >= 1800 and echo >= 60:
        name = "T2"
    elif repetition >= 1800 and echo <= 40 and inversion is None:
        name = "PD"
    elif repetition <= 1200 and echo <= 30:
        name = "T1"
    return (contrast(name) if name else None), numbers


def _positive(value: float | str | None) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
