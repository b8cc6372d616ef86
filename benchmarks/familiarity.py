"""Foreign images that `omnisyn.inference.familiarity` notices, and its false alarms on true heads.

The foreigners are made of the true volumes themselves: turned, inverted, cut along another axis,
filled with noise, or given as another contrast. With `--data` a folder of patients, else the
embedded simulation.

Beside it stands another sign that no warning is made of: how far a source lies from what the model
makes of its own synthesis of another contrast. Its area is the chance that a foreign image differs
by more than a true head does: 1 tells all of them, 0.5 knows nothing.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.patients import Slices, scaled_patients
from benchmarks.table import Row, print_table
from omnisyn.inference.familiarity import Familiarity
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.studies.slices import evenly_thinned
from omnisyn.volumes.normalize import head_mask, head_slices

_OTHER = {"T1": "T2", "T1c": "T2", "T2": "T1", "FLAIR": "T2", "PD": "T1", "MRA": "T2"}
_RETURNED_SLICES = 3


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks familiarity", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of patients with known truth")
    print_table("Foreign images noticed, and false alarms", rows(parser.parse_args(arguments).data))


def rows(data: Path | None) -> list[Row]:
    """Part of the volumes for which a warning was given, by what they are."""
    synthesizer = Synthesizer.load(device="cpu")
    found: dict[str, list[Familiarity]] = defaultdict(list)
    returned: dict[str, list[float]] = defaultdict(list)
    for patient in scaled_patients(data):
        model = synthesizer.on_pixels(*patient.pixel_mm)
        for name, slices in patient.slices.items():
            for what, change in _FOREIGN.items():
                given_as = _OTHER[name] if what == "given as another contrast" else name
                changed = np.ascontiguousarray(change(slices))
                found[what] += model.familiarity({given_as: changed}).values()
                returned[what].append(_error_of_return(model, given_as, changed))
    return [
        Row(
            what,
            float(np.mean([one.warning is not None for one in seen])),
            "warned",
            f"score {min(one.score for one in seen):.2f} to {max(one.score for one in seen):.2f}, "
            f"{len(seen)} volumes; made again from its synthesis: differs by "
            f"{min(returned[what]):.3f} to {max(returned[what]):.3f}, area "
            f"{_area(returned[what], returned[_TRUE]):.2f}",
        )
        for what, seen in found.items()
    ]


def _error_of_return(model: Synthesizer, given_as: str, slices: Slices) -> float:
    """Mean absolute difference in the head, after the way to another contrast and back."""
    head = head_mask([slices])
    places = evenly_thinned(head_slices(head).tolist() or [0], _RETURNED_SLICES)
    shown, by_way_of = slices[places], _OTHER[given_as]
    there = model.synthesize_slices({given_as: shown}, [by_way_of])[by_way_of]
    back = model.synthesize_slices({by_way_of: there}, [given_as])[given_as]
    return float(np.abs(back - shown)[head[places]].mean())


def _area(foreign: Sequence[float], true: Sequence[float]) -> float:
    """Under the curve of the receiver's characteristic; ties count half."""
    above = np.sign(np.array(foreign)[:, None] - np.array(true))
    return float((above.mean() + 1) / 2)


def _noise(slices: Slices) -> Slices:
    drawn = np.random.default_rng(0).random(slices.shape, dtype=np.float32)
    return drawn * head_mask([slices])


_TRUE = "true heads (false alarms)"
_FOREIGN: dict[str, Callable[[Slices], Slices]] = {
    _TRUE: lambda slices: slices,
    "given as another contrast": lambda slices: slices,
    "inverted": lambda slices: (1 - slices) * head_mask([slices]),
    "turned by 180°": lambda slices: np.rot90(slices, 2, (1, 2)),
    "turned by 90°": lambda slices: np.rot90(slices, 1, (1, 2)),
    "coronal as axial": lambda slices: slices.transpose(1, 0, 2)[:, ::-1],
    "sagittal as axial": lambda slices: slices.transpose(2, 0, 1)[:, ::-1],
    "noise in the head's outline": _noise,
}
