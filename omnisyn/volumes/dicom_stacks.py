"""From the frames of a folder to stacks: the frames of one series, echo, image type and repeat.

Where a series holds several images at one place, the attribute that tells them apart is looked for
in a fixed order; each of its values makes a stack. A series is addressed by its number ("7"), a
stack of several by number and place ("7.2"), as the listing shows them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnisyn.contrasts import Contrast
from omnisyn.errors import InputError
from omnisyn.volumes.contrast_guess import ContrastGuess, guess_from
from omnisyn.volumes.dicom_facts import acquisition
from omnisyn.volumes.dicom_frames import Frame

# In the order in which they are asked: what makes another image before what repeats the same one.
_TELLING = (
    "EchoTime",
    "ComplexImageComponent",
    "ImageType",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "TemporalPositionIdentifier",
    "AcquisitionNumber",
    "TriggerTime",
    "AcquisitionTime",
)
_PLACES = 2
"""Decimals of a mm to which two positions count as one place."""


@dataclass(frozen=True)
class Stack:
    """Frames that may become one volume.

    Attributes:
        frames: in no order yet.
        selector: what `--series` takes to choose it.
        told_apart: what distinguishes it from other stacks of its series; empty where it is alone.
        notes: what is to be said of the folder that it lies in.
    """

    frames: tuple[Frame, ...]
    selector: str
    told_apart: str
    notes: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The SeriesDescription, or the ProtocolName; may be empty."""
        return self.frames[0].text("SeriesDescription") or self.frames[0].text("ProtocolName")

    @property
    def guess(self) -> ContrastGuess:
        """The contrast that its header suggests."""
        return guess_from(acquisition(self.frames[0]))

    def sentence(self) -> str:
        """One entry of the listing."""
        guess = self.guess
        parts = [f"{len(self.frames)} images"]
        if self.told_apart:
            parts.insert(0, self.told_apart)
        if guess.contrast is not None:
            parts.append(f"{guess.contrast.name}, confidence {guess.confidence:.0%}")
        return f"{self.selector} {self.description or 'unnamed'} ({', '.join(parts)})"


def find_stacks(frames: Sequence[Frame]) -> list[Stack]:
    """All stacks of a folder, by series number.

    Raises:
        InputError: the files belong to several patients.
    """
    if len({frame.patient for frame in frames} - {""}) > 1:
        raise InputError(
            "the files belong to several patients",
            where=frames[0].file.path.parent.name,
            remedy="give the files of one patient",
        )
    by_series: dict[str, list[Frame]] = {}
    for frame in frames:
        by_series.setdefault(frame.text("SeriesInstanceUID"), []).append(frame)
    ordered = sorted(by_series.values(), key=lambda group: _series_number(group[0]))
    names = [str(_series_number(group[0])) for group in ordered]
    stacks = []
    for index, group in enumerate(ordered):
        # Two series may bear one number; their order keeps them apart.
        name, twin = names[index], names[:index].count(names[index])
        if names.count(name) > 1:
            name += f"-{twin + 1}"
        parts = _split_by_stack_id(group)
        for place, (part, told_apart) in enumerate(parts, start=1):
            selector = name if len(parts) == 1 else f"{name}.{place}"
            stacks.append(Stack(tuple(part), selector, told_apart))
    return stacks


def choose_stack(
    stacks: Sequence[Stack], series: str | None, said: Contrast | None, where: str
) -> Stack:
    """The one stack that is asked for, or the only one there is.

    Args:
        series: a selector, series number, UID or description.
        said: the contrast that the user said the folder holds; chooses among several stacks.

    Raises:
        InputError: none or several fit; all are listed.
    """
    candidates = list(stacks)
    if series is not None:
        candidates = _named(stacks, series.strip())
    elif len(stacks) > 1 and said is not None:
        candidates = [stack for stack in stacks if stack.guess.contrast is said]
    if len(candidates) == 1:
        return candidates[0]
    listed = candidates or stacks
    uids = {stack.frames[0].text("SeriesInstanceUID") for stack in listed}
    kind = f"{len(uids)} series" if len(uids) > 1 else f"one series of {len(listed)} stacks"
    asked = f"--series {series}" if series is not None else said.name if said else None
    what = f"the folder holds {kind}"
    if asked is not None:
        what = f"{'nothing' if not candidates else 'more than one'} here is {asked}"
    raise InputError(
        what,
        where=where,
        why="; ".join(stack.sentence() for stack in listed[:20])
        + (f"; and {len(listed) - 20} more" if len(listed) > 20 else ""),
        remedy=f"choose one, for example --series {listed[0].selector}",
    )


def _named(stacks: Sequence[Stack], series: str) -> list[Stack]:
    def uid(stack: Stack) -> str:
        return stack.frames[0].text("SeriesInstanceUID")

    for key in (
        lambda stack: stack.selector,
        uid,
        lambda stack: stack.frames[0].text("SeriesNumber"),
        lambda stack: stack.description.lower(),
    ):
        found = [stack for stack in stacks if key(stack) in (series, series.lower())]
        if found:
            return found
    return []


def _series_number(frame: Frame) -> int:
    return int(frame.number_of("SeriesNumber") or 0)


def _split_by_stack_id(frames: Sequence[Frame]) -> list[tuple[list[Frame], str]]:
    """Enhanced files say which frames are stacked on each other, and need not be of one place."""
    by_id: dict[str, list[Frame]] = {}
    for frame in frames:
        by_id.setdefault(frame.text("StackID"), []).append(frame)
    if not 1 < len(by_id) < len(frames):
        return _split(frames, "")
    groups = sorted(by_id.items(), key=lambda item: _natural(item[0]))
    return [part for name, group in groups for part in _split(group, f"StackID {name or 'none'}")]


def _split(frames: Sequence[Frame], told_apart: str) -> list[tuple[list[Frame], str]]:
    most = _most_at_one_place(frames)
    if most == 1:
        return [(list(frames), told_apart)]
    for keyword in _TELLING:
        groups: dict[str, list[Frame]] = {}
        for frame in frames:
            groups.setdefault(frame.text(keyword), []).append(frame)
        # An attribute that differs from slice to slice makes more groups than there are images
        # at a place, and one that does not differ within a place leaves as many there.
        if not 1 < len(groups) <= most:
            continue
        if max(_most_at_one_place(group) for group in groups.values()) == most:
            continue
        parts: list[tuple[list[Frame], str]] = []
        for value, group in sorted(groups.items(), key=lambda item: _natural(item[0])):
            label = f"{keyword} {value or 'none'}"
            parts += _split(group, f"{told_apart}, {label}" if told_apart else label)
        return parts
    return _repeats(frames, told_apart) or [(list(frames), told_apart)]


def _repeats(frames: Sequence[Frame], told_apart: str) -> list[tuple[list[Frame], str]]:
    """Repeats that only their order tells apart: the k-th image at every place is repeat k."""
    by_place: dict[tuple[float, ...], list[Frame]] = {}
    for frame in frames:
        by_place.setdefault(_place(frame), []).append(frame)
    counts = Counter(len(group) for group in by_place.values())
    numbers = [
        [(frame.integer("InstanceNumber", 0), frame.number or 0) for frame in group]
        for group in by_place.values()
    ]
    if len(counts) > 1 or any(len(set(group)) < len(group) for group in numbers):
        return []
    (count,) = counts
    ranked = [
        sorted(group, key=lambda frame: (frame.integer("InstanceNumber", 0), frame.number or 0))
        for group in by_place.values()
    ]
    parts = []
    for repeat in range(count):
        label = f"repeat {repeat + 1} of {count} by number"
        stack = [group[repeat] for group in ranked]
        parts.append((stack, f"{told_apart}, {label}" if told_apart else label))
    return parts


def _most_at_one_place(frames: Sequence[Frame]) -> int:
    return max(Counter(_place(frame) for frame in frames).values())


def _place(frame: Frame) -> tuple[float, ...]:
    position = frame.numbers("ImagePositionPatient", 3)
    orientation = frame.numbers("ImageOrientationPatient", 6)
    if position is None or orientation is None:
        # Refused later, with its name; it stands alone until then.
        return (float(id(frame)),)
    rounded = (np.round(position, _PLACES), np.round(orientation, 3))
    return tuple(float(value) + 0.0 for values in rounded for value in values)


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)
