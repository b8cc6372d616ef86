"""Blind curves of a model's own training data: what grey values alone could have taught it.

A model that makes a contrast no better than these curves has learned nothing from its training
but how intensities go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import Field

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.evaluation.controls import BINS, CurveSums, total
from omnisyn.evaluation.results import Direction
from omnisyn.listeners import Progress, unwatched
from omnisyn.paths import read_json
from omnisyn.settings import Settings, parse
from omnisyn.studies.slices import SliceSource
from omnisyn.volumes.atomic import write_json_atomic
from omnisyn.volumes.normalize import head_mask


@dataclass(frozen=True)
class TrainingCurves:
    """The sums of every direction with one source that the training data show.

    Attributes:
        fitted_on: what the slices came from, for tables (no paths).
        slices: how many slices were looked at.
        sums: direction with one source → what its curve is fitted from.
    """

    fitted_on: str
    slices: int
    sums: Mapping[Direction, CurveSums]

    def of(self, direction: Direction) -> dict[str, CurveSums]:
        """By source of a direction, as `build_controls` takes them; empty where one is missing."""
        single = {source: Direction((source,), direction.target) for source in direction.sources}
        if not all(each in self.sums for each in single.values()):
            return {}
        return {source: self.sums[each] for source, each in single.items()}


def measure_curves(
    source: SliceSource, batches: int, progress: Progress = unwatched, *, every: int = 1
) -> TrainingCurves:
    """Sum up batches of a source of slices, in the head of each pair of contrasts.

    Of every so many steps one is looked at: a simulator shows other heads only after some steps.

    Targets with fat suppression are left out: a model is asked for the plain contrast, and one
    curve over both would be weaker than a model must beat.

    Raises:
        ValueError: `batches` below 1.
    """
    if batches < 1:
        raise ValueError(f"curves need at least one batch, not {batches}")
    parts: dict[Direction, list[CurveSums]] = {}
    slices = 0
    for step in range(batches):
        batch = source.batch(step * every)
        images = batch.images.numpy()
        present = batch.present.numpy()
        plain = present & ~batch.fat_suppressed.numpy()
        for one, other in combinations(range(len(NAMES)), 2):
            both = present[:, one] & present[:, other]
            if not both.any():
                continue
            head = head_mask([images[both, one], images[both, other]])
            for given, made in ((one, other), (other, one)):
                direction = Direction((NAMES[given],), NAMES[made])
                inside = head & plain[both, made][:, None, None]
                sums = CurveSums.measure(images[both, given], images[both, made], inside)
                parts.setdefault(direction, []).append(sums)
        slices += len(batch)
        progress(step + 1, batches, source.name)
    found = {direction: total(each) for direction, each in parts.items()}
    return TrainingCurves(
        source.name, slices, {key: sums for key, sums in found.items() if sums.counts.any()}
    )


class _CurveFile(Settings):
    source: str
    target: str
    counts: tuple[int, ...] = Field(min_length=BINS, max_length=BINS)
    totals: tuple[float, ...] = Field(min_length=BINS, max_length=BINS)


class _CurvesFile(Settings):
    fitted_on: str
    slices: int
    curves: tuple[_CurveFile, ...]


def write_curves(path: Path, curves: TrainingCurves) -> None:
    """Keep curves as JSON.

    Raises:
        ResourceError: the disk is full or read-only.
    """
    content = _CurvesFile(
        fitted_on=curves.fitted_on,
        slices=curves.slices,
        curves=tuple(
            _CurveFile(
                source=direction.sources[0],
                target=direction.target,
                counts=tuple(sums.counts.tolist()),
                totals=tuple(sums.totals.tolist()),
            )
            for direction, sums in curves.sums.items()
        ),
    )
    write_json_atomic(path, content.model_dump(mode="json"))


def read_curves(path: Path) -> TrainingCurves:
    """What `write_curves` wrote.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        content = read_json(path)
    except OSError as error:
        raise InputError("cannot be read", where=path.name, why=error.strerror) from None
    except ValueError as error:
        raise InputError("is not valid JSON", where=path.name, why=str(error)) from None
    if not isinstance(content, dict):
        raise InputError("holds no curves", where=path.name)
    stored = parse(_CurvesFile, content, where=path.name)
    sums = {
        Direction((each.source,), each.target): CurveSums(
            np.array(each.counts, np.int64), np.array(each.totals, np.float64)
        )
        for each in stored.curves
    }
    return TrainingCurves(stored.fitted_on, stored.slices, sums)
