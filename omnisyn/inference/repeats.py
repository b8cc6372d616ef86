"""One scan of each contrast, where a BIDS dataset has several runs or acquisitions of it."""

from __future__ import annotations

from collections.abc import Sequence

from omnisyn.errors import InputError
from omnisyn.inference.patients import Source
from omnisyn.studies.bids import run_number
from omnisyn.studies.choose_scan import Candidate, preferred, why_preferred
from omnisyn.volumes.nifti import read_geometry


def without_repeats(sources: Sequence[Source]) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """The scans to take, by the rule of `omnisyn.studies.choose_scan`, from their headers alone.

    Args:
        sources: NIfTI files of one exam.

    Returns:
        the sources, at most one of each known contrast, in their order, and a sentence for each
        contrast of which there was a choice. A scan without a readable header is not taken where
        there is another one.
    """
    taken: list[Source] = []
    told: list[str] = []
    for name in dict.fromkeys(source.contrast for source in sources):
        alike = [source for source in sources if source.contrast is name]
        if name is None or len(alike) == 1:
            taken += alike
            continue
        choice: list[tuple[Source, Candidate]] = []
        for source in alike:
            try:
                geometry = read_geometry(source.path)
            except InputError as fault:
                told.append(f"left out: {fault}")
            else:
                number = run_number(source.path.name)
                choice.append((source, Candidate(source.path.name, geometry, number)))
        if not choice:
            # Whoever reads it says what is wrong with it.
            taken.append(alike[0])
            continue
        candidates = [candidate for _, candidate in choice]
        best = preferred(candidates)
        taken.append(choice[best][0])
        if len(choice) > 1:
            told.append(
                f"{candidates[best].name} was taken of {len(choice)} {name.name} scans: "
                f"{why_preferred(candidates)}"
            )
    return tuple(taken), tuple(told)
