"""What is said of an image: its contrast in several wordings, and how it was acquired.

A text tower that only ever reads one sentence a contrast learns twelve strings and no words.
The canonical sentence, with which a model is conditioned, is the one of `contrasts.py`; it is the
first wording here. Some wordings are held out of training, to tell whether words were learned:
they say the same in another way, with words that the others use too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from omnisyn.contrasts import FAT_STATES, Contrast, contrast
from omnisyn.models.clip.vocabulary import pieces


@dataclass(frozen=True)
class Acquisition:
    """What is known of how an image was acquired; None = unknown, and not spoken of.

    Attributes:
        fat_suppressed: whether fat was suppressed.
        repetition_time_ms, echo_time_ms, inversion_time_ms: TR, TE and TI in ms.
        field_tesla: field strength in T.
        vendor: of the scanner.
    """

    fat_suppressed: bool | None = None
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    field_tesla: float | None = None
    vendor: str | None = None


class Wordings(NamedTuple):
    """Ways to say one thing; `{}` stands for a fact's value."""

    trained: tuple[str, ...]
    """The first is the canonical one."""
    held_out: tuple[str, str]
    """Never trained on."""


HELD_OUT = 2
"""Wordings of everything that are held out of training."""

CONTRAST_WORDINGS: dict[str, Wordings] = {
    "T1": Wordings(
        (
            contrast("T1").sentence,
            "A T1-weighted image before injection of an agent, with dark fluid and bright fat",
            "An axial T1w scan without gadolinium: fatty marrow is bright, fluids are dark",
            "T1 image of the head, not enhanced",
            "T1 weighting without agent: white matter is brighter than grey matter",
            "T1-weighted",
            "T1",
            "T1w scan of the head, native: bright white matter and fat",
            "unenhanced T1-weighted MRI, before the agent",
            "T1w without contrast",
        ),
        (
            "An axial T1-weighted image, not enhanced: fluid is dark and marrow is bright",
            "T1w scan of the head before gadolinium, with bright white matter",
        ),
    ),
    "T1c": Wordings(
        (
            contrast("T1c").sentence,
            "A T1-weighted image after injection of gadolinium: vessels and mucosa enhance",
            "An axial T1w scan with contrast agent: enhancing tumour is bright, fluid is dark",
            "T1 image of the head, enhanced with gadolinium",
            "T1 weighting after the agent: lesions enhance, vessels are the brightest",
            "contrast-enhanced T1-weighted",
            "T1c",
            "T1w scan of the head with gadolinium, bright vessels",
            "T1-weighted post contrast",
            "T1w with contrast",
            "axial T1 with gadolinium",
        ),
        (
            "An axial T1-weighted image, enhanced: bright vessels and enhancing mucosa",
            "T1w scan of the head after gadolinium, with bright tumour",
        ),
    ),
    "T2": Wordings(
        (
            contrast("T2").sentence,
            "A T2-weighted image with bright cerebrospinal fluid and dark muscles",
            "An axial T2w scan: oedema and mucosa are bright, white matter is dark",
            "T2 image of the head",
            "T2 weighting by a long echo time: fluids are the brightest",
            "T2-weighted",
            "T2",
            "T2w scan of the head: bright fluid and mucosa",
            "axial T2-weighted MRI",
        ),
        (
            "An axial T2-weighted image: bright fluids, dark muscle and white matter",
            "T2w scan of the head with bright oedema",
        ),
    ),
    "FLAIR": Wordings(
        (
            contrast("FLAIR").sentence,
            "A T2-weighted image with cerebrospinal fluid nulled by inversion: lesions are bright",
            "An axial FLAIR scan: the ventricles are dark, oedema is bright",
            "FLAIR image of the head",
            "T2 weighting with inversion recovery: fluid is attenuated, lesions stand out",
            "FLAIR",
            "T2 FLAIR",
            "FLAIR scan: fluid nulled, lesions and oedema bright",
            "axial T2-weighted FLAIR MRI",
        ),
        (
            "An axial FLAIR image with nulled fluid: dark ventricles and bright lesions",
            "FLAIR scan of the head, cerebrospinal fluid attenuated by inversion recovery",
        ),
    ),
    "PD": Wordings(
        (
            contrast("PD").sentence,
            "A PD-weighted image: grey matter is slightly brighter than white matter",
            "An axial PDw scan with low contrast between tissues",
            "Proton density image of the head",
            "Proton density weighting by a short echo time: tissues are similar in signal",
            "PD-weighted",
            "PD",
            "PDw scan: grey matter a little bright",
            "proton density MRI",
        ),
        (
            "An axial proton-density-weighted image with similar signal of the tissues",
            "PDw scan of the head, grey matter slightly bright",
        ),
    ),
    "MRA": Wordings(
        (
            contrast("MRA").sentence,
            "A time-of-flight image: inflow of blood is bright, tissue is saturated and dark",
            "An axial TOF scan of the carotid artery and the circle of Willis",
            "MR angiography of the head",
            "MRA by inflow: vessels are bright, all other tissue is dark",
            "TOF angiography",
            "MRA",
            "TOF MRA: bright vessels",
            "time of flight scan, flowing blood is bright",
        ),
        (
            "An axial MRA image: bright flowing blood in the carotid artery, dark tissue",
            "TOF angiography of the head with bright vessels",
        ),
    ),
}

FAT_WORDINGS: dict[bool, Wordings] = {
    False: Wordings(
        (
            FAT_STATES[False],
            "without fat suppression",
            "fat is not suppressed",
            "no fat suppression",
            "no fat saturation",
            "without fat sat",
            "not fat suppressed",
            "the fat signal is not suppressed",
            "fat is bright",
        ),
        ("fat without suppression", "signal of fat not suppressed"),
    ),
    True: Wordings(
        (
            FAT_STATES[True],
            "with fat suppression",
            "the signal of fat is nulled",
            "fat suppressed",
            "fat sat",
            "FS",
            "fat saturated",
            "with fat saturation",
            "with suppression of fat",
            "the fat signal is suppressed",
            "fat is nulled",
        ),
        ("fat is nulled and dark", "suppression of the fat signal"),
    ),
}


def _time(short: str, name: str) -> Wordings:
    return Wordings(
        (f"{short} {{}} ms", f"{name} {{}} ms", f"{short} {{}} milliseconds"),
        (f"{short} of {{}} ms", f"{name} {{}} milliseconds"),
    )


# Short, so that the longest text of all stays within the context of the small text tower.
FACT_WORDINGS: dict[str, Wordings] = {
    "repetition_time_ms": _time("TR", "repetition time"),
    "echo_time_ms": _time("TE", "echo time"),
    "inversion_time_ms": _time("TI", "inversion time"),
    "field_tesla": Wordings(("{} T", "at {} Tesla", "field {} T"), ("at {} T", "{} Tesla")),
    "vendor": Wordings(
        ("{} scanner", "vendor {}", "from {}"), ("scanner from {}", "scanner of {}")
    ),
}


@functools.cache
def trained_words() -> frozenset[str]:
    """The words of the wordings that are trained on: all that a tower of ours can have learned."""
    everything = (*CONTRAST_WORDINGS.values(), *FAT_WORDINGS.values(), *FACT_WORDINGS.values())
    return frozenset(
        word for wordings in everything for text in wordings.trained for word in pieces(text)
    )


def describe(
    entry: Contrast, acquisition: Acquisition, draws: torch.Generator | None = None
) -> str:
    """The text of an image; without facts besides the state of fat and without `draws`, the
    canonical sentence.

    Args:
        entry: the contrast.
        acquisition: what is known besides.
        draws: draws a wording for everything, evenly among those trained on, and the order of
            what is said after the contrast; None = the first, fat before the facts.
    """

    def choose(wordings: Wordings) -> str:
        if draws is None:
            return wordings.trained[0]
        count = len(wordings.trained)
        return wordings.trained[int(torch.randint(count, (), generator=draws))]

    def order(parts: list[str]) -> list[str]:
        if draws is None:
            return parts
        return [parts[place] for place in torch.randperm(len(parts), generator=draws).tolist()]

    return _compose(entry, acquisition, choose, order)


def describe_otherwise(entry: Contrast, acquisition: Acquisition, number: int) -> str:
    """The text of an image in the held-out wordings of that number, below `HELD_OUT`."""
    return _compose(entry, acquisition, lambda wordings: wordings.held_out[number])


def _compose(
    entry: Contrast,
    acquisition: Acquisition,
    choose: Callable[[Wordings], str],
    order: Callable[[list[str]], list[str]] = list,
) -> str:
    shown = choose(CONTRAST_WORDINGS[entry.name])
    parts = []
    if acquisition.fat_suppressed is not None:
        parts.append(choose(FAT_WORDINGS[acquisition.fat_suppressed]))
    facts = [
        choose(wordings).format(_said(value))
        for fact, wordings in FACT_WORDINGS.items()
        if (value := getattr(acquisition, fact)) is not None
    ]
    if facts:
        parts.append(", ".join(order(facts)))
    return "; ".join([shown, *order(parts)]) + "."


def _said(value: float | str) -> str:
    """A fact's value in words: to a tenth below 100, else whole."""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}".removesuffix(".0")
