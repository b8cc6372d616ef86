"""Foreign images that `omnisyn.inference.familiarity` notices, and its false alarms on true heads.

The foreigners are made of the true volumes themselves: turned, inverted, cut along another axis,
filled with noise, or given as another contrast. With `--data` a folder of patients, else the
embedded simulation.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.patients import Slices, scaled_patients
from benchmarks.table import Row, print_table
from omnisyn.inference.familiarity import Familiarity
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.inference.way_back import LIKELY, without_agent
from omnisyn.volumes.normalize import head_mask


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks familiarity", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of patients with known truth")
    print_table("Foreign images noticed, and false alarms", rows(parser.parse_args(arguments).data))


def rows(data: Path | None) -> list[Row]:
    """Part of the volumes for which a warning was given, by what they are."""
    synthesizer = Synthesizer.load(device="cpu")
    found: dict[str, list[Familiarity]] = defaultdict(list)
    for patient in scaled_patients(data):
        model = synthesizer.on_pixels(*patient.pixel_mm)
        for name, slices in patient.slices.items():
            for what, change in _FOREIGN.items():
                changed = np.ascontiguousarray(change(slices))
                found[what] += model.familiarity({name: changed}).values()
            for other in sorted({*LIKELY} - {without_agent(name)}):
                found["given as another contrast"] += model.familiarity({other: slices}).values()
    return [
        Row(
            what,
            float(np.mean([one.warning is not None for one in seen])),
            "warned",
            f"score {min(one.score for one in seen):.2f} to {max(one.score for one in seen):.2f}, "
            f"{len(seen)} volumes: "
            + ", ".join(f"{said} {count}" for said, count in Counter(map(_said, seen)).items()),
        )
        for what, seen in found.items()
    ]


def _said(found: Familiarity) -> str:
    if found.warning is None:
        return "nothing"
    if found.fault is None and not found.other_contrast:
        return "unlike"
    return found.fault or f"{found.given_as} like {found.looks_like}"


def _noise(slices: Slices) -> Slices:
    drawn = np.random.default_rng(0).random(slices.shape, dtype=np.float32)
    return drawn * head_mask([slices])


_FOREIGN: dict[str, Callable[[Slices], Slices]] = {
    "true heads (false alarms)": lambda slices: slices,
    "inverted": lambda slices: (1 - slices) * head_mask([slices]),
    "turned by 180°": lambda slices: np.rot90(slices, 2, (1, 2)),
    "turned by 90°": lambda slices: np.rot90(slices, 1, (1, 2)),
    "coronal as axial": lambda slices: slices.transpose(1, 0, 2)[:, ::-1],
    "sagittal as axial": lambda slices: slices.transpose(2, 0, 1)[:, ::-1],
    "noise in the head's outline": _noise,
}
