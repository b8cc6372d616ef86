"""How sites are made: what a user may choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnisyn.contrasts import contrast
from omnisyn.errors import UsageError
from omnisyn.preparation.register import PROGRAMS, TRANSFORMS
from omnisyn.studies.site import (
    ROLES,
)


@dataclass(frozen=True)
class PrepareOptions:
    """How sites are made.

    Attributes:
        role, scanner, hospital, credit: of a new site; None takes the instructions', or the
            default.
        instructions: a TOML file; by default the source's own ``prepare.toml``.
        subjects, sessions: only these, by their BIDS labels.
        reference: the contrast to whose grid the others come.
        transform: of the registration: `rigid`, `affine` or `bspline`.
        registration: the program: `sitk`, `greedy`, `flirt`; `none` trusts the positions in the
            files.
        bias_correction: whether N4 evens the brightness of every scan out.
        brain_mask: pattern of the name of each patient's brain mask; volumes are 0 outside it.
        brain_atlases: whole-head label maps, to find the brain with.
        jobs: patients at once; None takes as many as there are cores.
        overwrite: replace a site that exists, with all its volumes.
    """

    role: str | None = None
    scanner: str | None = None
    hospital: str | None = None
    credit: str | None = None
    instructions: Path | None = None
    subjects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    reference: str = "T1"
    transform: str = "rigid"
    registration: str = "sitk"
    bias_correction: bool = False
    brain_mask: str | None = None
    brain_atlases: tuple[Path, ...] = ()
    jobs: int | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Raises UsageError for a value that is none of those there are."""
        for name, value, known in (
            ("role", self.role or ROLES[0], ROLES),
            ("transform", self.transform, TRANSFORMS),
            ("registration", self.registration, (*PROGRAMS, "none")),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} '{value}'", remedy=f"use {', '.join(known)}")
        contrast(self.reference)
        if self.brain_mask and self.brain_atlases:
            raise UsageError(
                "the brain is given twice", remedy="leave --brain-mask or --brain-atlas away"
            )

    @property
    def properties(self) -> dict[str, str]:
        """Those of the site that were said."""
        said = {
            "role": self.role,
            "scanner": self.scanner,
            "hospital": self.hospital,
            "credit": self.credit,
        }
        return {name: value for name, value in said.items() if value is not None}
