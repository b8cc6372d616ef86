"""What a source seems to be: it is made into another contrast and back, and compared with itself.

A model that is told the truth about a source gives it back; told that a T2 is a T1, or shown an
inverted image, it does not. So several explanations are tried, and the one under which the least
is changed is the likeliest. It holds on heads that training never saw, since the source itself is
the truth (figures in docs/commands/synthesize.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from omnisyn.inference.uncertainty import Slices, Synthesize
from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.normalize import head_mask

INVERTED = "inverted"
CLEARLY_LESS_CHANGED = 1.15
"""So many times less must another explanation change an image than the given one."""
# Four tell no better (17 volumes, docs/experiments.md).
_SLICES = 2
# To a contrast that looks unlike the source: a copy would come back unchanged whatever it is.
_BY_WAY_OF = {"T1": "T2", "T1c": "T2", "T2": "T1", "FLAIR": "T2", "PD": "T1", "MRA": "T2"}
LIKELY = ("T1", "T2", "FLAIR")
"""What a source may be instead; the others are too rare, or too like one of these."""
# Without its history, an agent cannot be told from a T1.
_ALIKE = {"T1c": "T1"}


def without_agent(name: str) -> str:
    """T1 for T1c: what a contrast looks like by itself."""
    return _ALIKE.get(name, name)


def changed_on_the_way(
    synthesize: Synthesize, slices: Slices, given_as: str, contrasts: Sequence[str]
) -> dict[str, float]:
    """By explanation, how much of a source is changed on the way to another contrast and back.

    Args:
        slices: of the source, (slices, rows, columns) in [0, 1]; two of them are made again.
        given_as: the contrast that it is said to be; always the first explanation.
        contrasts: that the weights know.

    Returns:
        The mean absolute difference in the head, a.u., each image less its median there, for
        `given_as`, for each other contrast that is likely (T1 and T1c count as one), and for an
        inverted image of `given_as`. Only those for which the weights know the contrast and the one
        on its way.
    """
    slices = slices[evenly_thinned(range(len(slices)), _SLICES)]
    head = head_mask([slices])
    others = [name for name in LIKELY if name != without_agent(given_as)]
    explained = {name: (name, slices) for name in (given_as, *others)}
    explained[INVERTED] = (given_as, ((1 - slices) * head).astype(np.float32))
    return {
        explanation: _changed(synthesize, shown, name, head)
        for explanation, (name, shown) in explained.items()
        if {name, _BY_WAY_OF[name]} <= set(contrasts)
    }


def likeliest(changed: Mapping[str, float], given_as: str) -> str:
    """The explanation under which clearly less is changed than as `given_as`, or `given_as`."""
    least = min(changed, key=changed.__getitem__, default=given_as)
    if given_as in changed and changed[least] * CLEARLY_LESS_CHANGED < changed[given_as]:
        return least
    return given_as


def _changed(synthesize: Synthesize, slices: Slices, name: str, head: NDArray[np.bool_]) -> float:
    way = _BY_WAY_OF[name]
    there: Mapping[str, Slices] = synthesize({name: slices}, [way])
    back = synthesize({way: there[way]}, [name])[name]
    if not head.any():
        return 0.0
    # How bright a head comes back as a whole is a guess of the target's protocol, whatever it was.
    before, after = (image[head] - np.median(image[head]) for image in (slices, back))
    return float(np.abs(after - before).mean())
