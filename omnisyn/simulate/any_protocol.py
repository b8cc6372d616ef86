"""Protocols from all over what is physically sensible, so that a model can learn what times do.

A site's protocols are narrow: each of its series has nearly the times of the last one. Here a
series keeps its contrast, sequence and machine, and gets times from wide ranges. Some bands of
times are never drawn (`HELD_OUT`), so that a test can ask for what training never showed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from omnisyn.simulate.acquisition import Acquisition, SequenceName
from omnisyn.simulate.protocols import Range, draw
from omnisyn.simulate.tissues import tissue_table

# TI over that which nulls the tissue; an estimate: fluid is to stay darker than the brain.
_AROUND_NULL = (0.9, 1.1)
# The train of an MPRAGE leaves some of TR to recovery; an estimate.
_LONGEST_TRAIN = 0.85
# An estimate: both states of fat are to be seen often.
_SUPPRESSED = 0.4
_TRAINS = ("fast_spin_echo", "inversion_recovery")


@dataclass(frozen=True)
class WideRanges:
    """What the times of a contrast's sequence may be, in ms.

    Attributes:
        contrasts, sequences: whose.
        source: rows of the project's protocol table between whose extremes, or a little beyond
            which, the limits lie; "estimate" where there is none.
        repetition_time_ms, echo_time_ms: limits of TR and (effective) TE.
        inversion_time_ms: limits of TI, where it is drawn freely.
        nulled: the tissue whose signal the inversion nulls, so that TI follows from TR, echo train
            and field up to 10 %.
        fat_suppressed: share of series with spectral fat suppression.
    """

    contrasts: tuple[str, ...]
    sequences: tuple[SequenceName, ...]
    source: str
    repetition_time_ms: Range
    echo_time_ms: Range
    inversion_time_ms: Range | None = None
    nulled: str | None = None
    fat_suppressed: float = _SUPPRESSED


_T1 = ("T1", "T1c")
_SPIN_ECHOES: tuple[SequenceName, ...] = ("spin_echo", "fast_spin_echo")

WIDE_RANGES: tuple[WideRanges, ...] = (
    WideRanges(
        _T1,
        _SPIN_ECHOES,
        "R02 R21c R22c R38; TR beyond 900: estimate",
        (300.0, 1200.0),
        (6.0, 25.0),
    ),
    WideRanges(
        _T1, ("inversion_recovery",), "estimate", (1500.0, 3000.0), (8.0, 30.0), nulled="CSF"
    ),
    WideRanges(
        _T1,
        ("mprage",),
        "R20d R30 R34 C36; TR below 2000, TI below 880: estimate",
        (1500.0, 3000.0),
        (2.0, 5.0),
        inversion_time_ms=(600.0, 1200.0),
    ),
    # In 3D with small, and in 2D with large flip angles.
    WideRanges(
        _T1,
        ("spoiled_gradient_echo",),
        "R22d R25d C18 C30; TR beyond 13: estimate",
        (6.0, 25.0),
        (1.5, 4.5),
    ),
    WideRanges(_T1, ("spoiled_gradient_echo",), "estimate", (120.0, 350.0), (2.0, 10.0)),
    WideRanges(
        ("T2",),
        _SPIN_ECHOES,
        "R03 R39 C33; TE below 80, beyond 110: estimate",
        (2000.0, 8000.0),
        (40.0, 180.0),
    ),
    WideRanges(
        ("T2",),
        ("inversion_recovery",),
        "R04 C13 C16; TR below 3000: estimate",
        (2500.0, 8000.0),
        (35.0, 110.0),
        nulled="fat_subcutaneous",
        fat_suppressed=0.0,
    ),
    WideRanges(
        ("FLAIR",),
        ("inversion_recovery",),
        "R06 R31 R35 R40 C38; TE below 80: estimate",
        (5000.0, 12000.0),
        (60.0, 180.0),
        nulled="CSF",
    ),
    WideRanges(
        ("PD",), _SPIN_ECHOES, "R08 C31; TE beyond 28: estimate", (2000.0, 6000.0), (8.0, 40.0)
    ),
    WideRanges(
        ("MRA",), ("time_of_flight",), "R36 C34", (16.0, 45.0), (2.5, 7.0), fat_suppressed=0.0
    ),
)
"""Where a sequence has several, that counts whose TR is nearest to the series' own."""

_T1_HELD_OUT: Mapping[str, tuple[Range, ...]] = {
    "repetition_time_ms": ((400.0, 440.0), (520.0, 580.0), (850.0, 930.0), (2050.0, 2200.0)),
    "echo_time_ms": ((11.0, 13.0), (18.0, 20.0)),
    "inversion_time_ms": ((860.0, 920.0),),
}
HELD_OUT: Mapping[str, Mapping[str, tuple[Range, ...]]] = {
    "T1": _T1_HELD_OUT,
    "T1c": _T1_HELD_OUT,
    "T2": {
        "repetition_time_ms": ((2600.0, 2900.0), (4200.0, 4800.0), (6400.0, 6900.0)),
        "echo_time_ms": ((55.0, 62.0), (85.0, 95.0), (125.0, 140.0), (160.0, 168.0)),
    },
    "FLAIR": {
        "repetition_time_ms": ((6400.0, 6800.0), (8800.0, 9400.0), (10600.0, 11000.0)),
        "echo_time_ms": ((75.0, 81.0), (95.0, 105.0), (130.0, 140.0)),
        "inversion_time_ms": ((2250.0, 2350.0),),
    },
    "PD": {
        "repetition_time_ms": ((2700.0, 3000.0), (4200.0, 4600.0)),
        "echo_time_ms": ((13.0, 15.0), (24.0, 28.0)),
    },
    "MRA": {
        "repetition_time_ms": ((24.0, 27.0),),
        "echo_time_ms": ((4.0, 4.5),),
    },
}
"""By contrast and time the bands in ms, limits excluded, that training never draws."""


def any_protocols(
    acquisitions: Mapping[str, Acquisition], share: float, generator: torch.Generator
) -> dict[str, Acquisition]:
    """The series of a visit, a ``share`` of them with times drawn anew.

    So are all that lie in a held-out band: none of what comes back does. A T1c that was the T1
    again has times of its own once either is drawn anew.

    Raises:
        KeyError: as ``draw_any_protocol``.
    """
    chosen = {}
    for name, acquisition in acquisitions.items():
        anew = draw((0.0, 1.0), generator) < share or is_held_out(acquisition)
        chosen[name] = draw_any_protocol(acquisition, generator) if anew else acquisition
    return chosen


def draw_any_protocol(acquisition: Acquisition, generator: torch.Generator) -> Acquisition:
    """The series with another TR, TE, TI and, where fat is not nulled by inversion, fat state.

    Its echo train stays: TE is no shorter than its spacing, and TR holds all of it.

    Raises:
        KeyError: ``WIDE_RANGES`` has none for this contrast and sequence.
    """
    ranges, bands = ranges_of(acquisition), HELD_OUT[acquisition.contrast]

    def time(fact: str, limits: Range) -> float:
        return draw_outside(limits, bands.get(fact, ()), generator)

    fat = acquisition.fat_suppression
    if fat != "inversion":
        suppressed = draw((0.0, 1.0), generator) < ranges.fat_suppressed
        fat = "spectral" if suppressed else "none"
    # The middle of an MPRAGE's train is what TI is counted to; the whole of it lies within TR.
    half = 0.0
    if acquisition.sequence == "mprage":
        half = acquisition.echo_train * acquisition.echo_spacing_ms / 2
    first_echo = acquisition.echo_spacing_ms if acquisition.sequence in _TRAINS else 0.0
    drawn = replace(
        acquisition,
        fat_suppression=fat,
        echo_time_ms=time("echo_time_ms", _from(ranges.echo_time_ms, first_echo)),
        repetition_time_ms=time(
            "repetition_time_ms", _from(ranges.repetition_time_ms, 2 * half / _LONGEST_TRAIN)
        ),
    )
    if ranges.nulled is not None:
        limits = _around(nulling_time(ranges.nulled, drawn))
    elif ranges.inversion_time_ms is not None:
        low, high = _from(ranges.inversion_time_ms, half)
        limits = (low, min(high, drawn.repetition_time_ms - half))
    else:
        return drawn
    return replace(drawn, inversion_time_ms=time("inversion_time_ms", limits))


def draw_times(contrast: str, field_tesla: float, generator: torch.Generator) -> dict[str, float]:
    """TR, TE and, of an inversion recovery, TI in ms of a series of that contrast, by any of its
    sequences.

    Without an exam there is no echo train: where a tissue is nulled it is taken to end at 2 TE.
    """
    having = [ranges for ranges in WIDE_RANGES if contrast in ranges.contrasts]
    ranges = having[int(torch.randint(len(having), (), generator=generator))]
    bands = HELD_OUT[contrast]

    def time(fact: str, limits: Range) -> float:
        return draw_outside(limits, bands.get(fact, ()), generator)

    repetition = time("repetition_time_ms", ranges.repetition_time_ms)
    echo = time("echo_time_ms", ranges.echo_time_ms)
    times = {"repetition_time_ms": repetition, "echo_time_ms": echo}
    inversion = ranges.inversion_time_ms
    if ranges.nulled is not None:
        inversion = _around(_nulling_time(ranges.nulled, field_tesla, repetition - 2 * echo))
    if inversion is not None:
        times["inversion_time_ms"] = time("inversion_time_ms", inversion)
    return times


def nulling_time(tissue: str, acquisition: Acquisition) -> float:
    """The TI in ms at which an inversion recovery gives no signal of a tissue with its mean T1.

    ``T1 ln(2 / (1 + exp(-(TR - TE_last) / T1)))``, the zero of ``sequences.inversion_recovery``.
    """
    recovery = acquisition.repetition_time_ms - acquisition.last_echo_ms
    return _nulling_time(tissue, acquisition.field_tesla, recovery)


def is_held_out(acquisition: Acquisition) -> bool:
    """Whether one of its times lies in a band that training never draws."""
    for fact, bands in HELD_OUT[acquisition.contrast].items():
        value = getattr(acquisition, fact)
        if value is not None and any(low < value < high for low, high in bands):
            return True
    return False


def draw_outside(limits: Range, bands: Sequence[Range], generator: torch.Generator) -> float:
    """A number drawn evenly from ``limits`` less ``bands``, which are ordered and apart.

    Raises:
        ValueError: nothing is left of the limits.
    """
    begins = (limits[0], *(high for _, high in bands))
    ends = (*(low for low, _ in bands), limits[1])
    pieces = [
        (max(begin, limits[0]), min(end, limits[1]))
        for begin, end in zip(begins, ends, strict=True)
    ]
    pieces = [(low, high) for low, high in pieces if low < high]
    if not pieces:
        raise ValueError(f"nothing is left of {limits} without {tuple(bands)}")
    place = draw((0.0, sum(high - low for low, high in pieces)), generator)
    for low, high in pieces[:-1]:
        if place < high - low:
            return low + place
        place -= high - low
    return min(pieces[-1][0] + place, limits[1])


def ranges_of(acquisition: Acquisition) -> WideRanges:
    """The ranges that count for a series.

    Raises:
        KeyError: ``WIDE_RANGES`` has none for its contrast and sequence.
    """

    def distance(ranges: WideRanges) -> float:
        low, high = ranges.repetition_time_ms
        own = acquisition.repetition_time_ms
        return max(low - own, own - high, 0.0)

    fitting = [
        ranges
        for ranges in WIDE_RANGES
        if acquisition.contrast in ranges.contrasts and acquisition.sequence in ranges.sequences
    ]
    if not fitting:
        raise KeyError(f"no wide ranges for {acquisition.contrast} by {acquisition.sequence}")
    return min(fitting, key=distance)


def _nulling_time(tissue: str, field_tesla: float, recovery_ms: float) -> float:
    t1 = tissue_table()[tissue].at(field_tesla).t1_ms
    return t1 * math.log(2 / (1 + math.exp(-recovery_ms / t1)))


def _around(null: float) -> Range:
    return _AROUND_NULL[0] * null, _AROUND_NULL[1] * null


def _from(limits: Range, least: float) -> Range:
    return max(limits[0], least), limits[1]
