"""What a comparison finds: costs of the arms, figures of the units, and the units that failed.

An *arm* is a model to be trained: backbone, arrangement, strategy. A *unit* is one arm trained with
one seed under one budget, and evaluated. Units are kept as files, so that a comparison can go on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict

from omnisyn.errors import InputError
from omnisyn.evaluation.results import SiteScores
from omnisyn.paths import read_json
from omnisyn.settings import Settings, parse
from omnisyn.volumes.atomic import resource_error, write_text_atomic


@dataclass(frozen=True)
class Cost:
    """What an arm costs, measured once; NaN where it could not be measured.

    Attributes:
        parameters: of the whole generator.
        training_operations: floating-point operations of one optimizer step, forward and backward.
        slice_operations: floating-point operations from one source to one target, one slice.
        slice_seconds: the time of that on `device`, in s.
        training_memory_mib: peak of the training steps, in MiB.
        device: in words.
        slice_size: rows and columns of the slice.
    """

    parameters: int
    training_operations: float
    slice_operations: float
    slice_seconds: float
    training_memory_mib: float
    device: str
    slice_size: tuple[int, int]


@dataclass(frozen=True)
class UnitResult:
    """One arm trained with one seed under one budget, and evaluated.

    Attributes:
        budget: what was held equal: a key of `Comparison.budgets`.
        learning_rate: the best of the sweep, chosen on validation patients.
        sweep: learning rate as text → validation score.
        steps: optimizer steps of the last stage.
        operations: floating-point operations of all training of the unit, all stages.
        seconds: of all training of the unit.
        scores: rows of the model and of the controls, by patient and direction, for every site.
    """

    arm: str
    budget: str
    seed: int
    learning_rate: float
    sweep: Mapping[str, float]
    steps: int
    operations: float
    seconds: float
    scores: tuple[SiteScores, ...]


@dataclass(frozen=True)
class FailedUnit:
    """A unit that gave no figures, and why."""

    arm: str
    budget: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All that was found.

    Attributes:
        reference: the arm that the others are tested against.
        budgets: name ("steps", "compute") → what was held equal, in words.
        simulated: whether any of the training data is simulated.
        data: what the arms were trained, chosen and evaluated on, in words.
        arms: in the order of the plan, with those that gave nothing.
        costs: arm → cost; an arm that could not be measured is missing.
        details: facts for the report (versions, devices, settings); no absolute paths.
    """

    name: str
    description: str
    reference: str
    budgets: Mapping[str, str]
    simulated: bool
    data: str
    arms: tuple[str, ...]
    costs: Mapping[str, Cost]
    results: tuple[UnitResult, ...]
    failed: tuple[FailedUnit, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


class _Record(Settings):
    """What a file holds: strict JSON, figures that it does not know as "Infinity", "NaN".

    Unlike the null of a summary they can be told apart when they are read back.
    """

    # An example's images are arrays, which the file leaves out.
    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, ser_json_inf_nan="strings"
    )


class _UnitRecord(_Record):
    unit: UnitResult


class _CostRecord(_Record):
    cost: Cost


_RecordType = TypeVar("_RecordType", bound=_Record)


def write_unit(path: Path, unit: UnitResult) -> None:
    """Write a unit to a file, whole or not at all, without its example slices.

    Raises:
        ResourceError: the disk is full, read-only or gone.
    """
    scores = tuple(replace(site, examples=()) for site in unit.scores)
    _write(path, _UnitRecord(unit=replace(unit, scores=scores)))


def read_unit(path: Path) -> UnitResult:
    """Read back what `write_unit` wrote.

    Raises:
        InputError: the file cannot be read, is no JSON, or does not hold a unit.
    """
    return _read(path, _UnitRecord).unit


def write_cost(path: Path, cost: Cost) -> None:
    """Write a cost to a file, whole or not at all. Raises as `write_unit`."""
    _write(path, _CostRecord(cost=cost))


def read_cost(path: Path) -> Cost:
    """Read back what `write_cost` wrote. Raises as `read_unit`."""
    return _read(path, _CostRecord).cost


def _write(path: Path, record: _Record) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as fault:
        raise resource_error("cannot make the folder of", path, fault) from fault
    write_text_atomic(path, record.model_dump_json(indent=1) + "\n")


def _read(path: Path, kind: type[_RecordType]) -> _RecordType:
    try:
        content = read_json(path)
    except OSError as fault:
        raise InputError("cannot be read", where=path.name, why=fault.strerror) from None
    except ValueError as fault:
        raise InputError("is not valid JSON", where=path.name, why=str(fault)) from None
    if not isinstance(content, dict):
        raise InputError("does not hold what a comparison keeps", where=path.name)
    return parse(kind, content, where=path.name)
