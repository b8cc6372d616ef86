"""What scoring finds: rows by patient, example slices, and the cases that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnisyn.contrasts import direction_name

MODEL = "model"


@dataclass(frozen=True)
class Direction:
    """Which contrasts a target is made from; written `T1→T2` or `T1+T1c→T2`."""

    sources: tuple[str, ...]
    target: str

    @property
    def name(self) -> str:
        """The direction as tables show it."""
        return direction_name(self.sources, self.target)

    @property
    def contrasts(self) -> frozenset[str]:
        """All contrasts whose true volumes the direction needs."""
        return frozenset((*self.sources, self.target))


@dataclass(frozen=True)
class Row:
    """The figures of one patient, one direction and one method (the model or a control).

    Attributes:
        subject: who was scanned (`site/subject`); several studies of one subject count as one
            patient.
        values: `metric_region` → figure; infinite or NaN as in `metrics.Scores`.
        clipped: share of the head's voxels that the method put outside [0, 1].
        slices: scored axial slices.
        without_head, constant: slices left out, by reason.
        control_source: for a control, the source it was made from.
    """

    site: str
    patient: str
    subject: str
    direction: str
    method: str
    values: Mapping[str, float]
    clipped: float
    slices: int
    without_head: int
    constant: int
    control_source: str | None = None


@dataclass(frozen=True)
class Failure:
    """A case that gave no figures; `direction` is None where the whole patient failed."""

    site: str
    patient: str
    direction: str | None
    reason: str


@dataclass(frozen=True)
class Example:
    """One axial slice of a case: label → (rows, columns) in [0, 1], sources first, truth last."""

    site: str
    patient: str
    direction: str
    slice_index: int
    pixel_aspect: float
    images: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Coverage:
    """What a site's figures rest on, all directions together.

    Attributes:
        patients: persons, however many studies each has.
        scored: axial slices that were scored.
        without_head, constant: slices left out, by reason.
    """

    patients: int
    scored: int
    without_head: int
    constant: int


@dataclass(frozen=True)
class SiteScores:
    """All that was found at one site.

    `fitted_on` says on whose patients the blind curves were fitted.
    """

    site: str
    role: str
    simulated: bool
    scanner: str
    fitted_on: str
    rows: tuple[Row, ...] = ()
    failures: tuple[Failure, ...] = ()
    examples: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def coverage(self) -> Coverage:
        """What the model's figures rest on."""
        rows = [row for row in self.rows if row.method == MODEL]
        return Coverage(
            patients=len({row.subject for row in rows}),
            scored=sum(row.slices for row in rows),
            without_head=sum(row.without_head for row in rows),
            constant=sum(row.constant for row in rows),
        )


@dataclass(frozen=True)
class Evaluation:
    """Several sites scored by one rule.

    Attributes:
        subject: what was scored, in words ("weights small-1", "predictions in the folder ours").
        details: facts about it for the report (hash, versions, settings); no absolute paths.
    """

    subject: str
    sites: tuple[SiteScores, ...]
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether any of the sites is simulated."""
        return any(site.simulated for site in self.sites)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failed cases of all sites."""
        return tuple(failure for site in self.sites for failure in site.failures)
