"""What was measured about a set of weights: `NAME.calibration.safetensors` beside it.

It holds how errors follow from the signs of uncertainty, and descriptions of training-like volumes,
against which a source is held. Both belong to one file of weights, which is named by its SHA-256.
`omnisyn models calibrate NAME` makes it (`calibrate.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from pydantic import Field

from omnisyn.errors import InputError, ModelError
from omnisyn.inference.familiarity import FamiliarityStatistics
from omnisyn.inference.uncertainty import ErrorStatistics
from omnisyn.listeners import Note
from omnisyn.models.tensor_file import parse_tensors
from omnisyn.paths import open_regular
from omnisyn.settings import Settings, parse
from omnisyn.volumes.atomic import resource_error, write_bytes_atomic

_KEY = "calibration"


class CalibrationFacts(Settings):
    """What of a calibration is no tensor."""

    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    measured_on: str
    simulated: bool
    patients: int = Field(ge=2)
    contrasts: tuple[str, ...] = Field(min_length=1)
    limit: float = Field(gt=0)
    errors: ErrorStatistics


@dataclass(frozen=True)
class Calibration:
    """A calibration.

    Attributes:
        weights_sha256: of the weights it belongs to.
        measured_on: the data, in words.
        simulated: whether the patients were simulated.
        patients: how many.
        familiarity: descriptions of their volumes.
        errors: how errors follow from the signs of uncertainty.
    """

    weights_sha256: str
    measured_on: str
    simulated: bool
    patients: int
    familiarity: FamiliarityStatistics
    errors: ErrorStatistics


def calibration_path(card: Path) -> Path:
    """Where the calibration of the weights with this card lies."""
    return card.with_name(f"{card.stem}.calibration.safetensors")


def read_calibration(card: Path, sha256: str, note: Note) -> Calibration | None:
    """The calibration beside a set of weights; None where there is none, or one of other weights.

    Args:
        card: of the weights that were loaded.
        sha256: of these weights.
        note: hears that the calibration belongs to other weights.

    Raises:
        ModelError: it is damaged.
        ResourceError: the disk does not let it be read.
    """
    path = calibration_path(card)
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise resource_error("cannot read", path, error) from error
    found = _parsed(content, path.name)
    if found.weights_sha256 != sha256:
        note(f"{path.name} was measured on other weights and is not used; calibrate these anew")
        return None
    return found


def write_calibration(path: Path, calibration: Calibration, *, overwrite: bool = False) -> None:
    """Write it, whole.

    Raises:
        InputError: the file exists and must not be replaced.
        ResourceError: the disk refuses.
    """
    statistics = calibration.familiarity
    facts = CalibrationFacts(
        weights_sha256=calibration.weights_sha256,
        measured_on=calibration.measured_on,
        simulated=calibration.simulated,
        patients=calibration.patients,
        contrasts=statistics.contrasts,
        limit=statistics.limit,
        errors=calibration.errors,
    )
    tensors = {
        "descriptions": torch.from_numpy(statistics.descriptions).half(),
        "spread": torch.from_numpy(statistics.spread),
    }
    content = safetensors.torch.save(tensors, {_KEY: facts.model_dump_json()})
    write_bytes_atomic(path, content, overwrite=overwrite)


def _parsed(content: bytes, where: str) -> Calibration:
    tensors = parse_tensors(content, where)
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        told = json.loads(header["__metadata__"][_KEY])
        facts = parse(CalibrationFacts, told, where=where)
        descriptions, spread = (
            tensors[name].float().numpy() for name in ("descriptions", "spread")
        )
        if descriptions.shape != (len(facts.contrasts), *spread.shape):
            raise ValueError(f"{descriptions.shape} descriptions, {len(facts.contrasts)} contrasts")
        if not (np.isfinite(descriptions).all() and (spread > 0).all()):
            raise ValueError("a description is not finite, or a spread is not above zero")
    except (KeyError, TypeError, ValueError, RecursionError, InputError) as error:
        raise ModelError(
            "this is no calibration of weights",
            where=where,
            why=str(error),
            remedy="make it again: omnisyn models calibrate WEIGHTS --overwrite",
        ) from error
    return Calibration(
        weights_sha256=facts.weights_sha256,
        measured_on=facts.measured_on,
        simulated=facts.simulated,
        patients=facts.patients,
        familiarity=FamiliarityStatistics(facts.contrasts, descriptions, spread, facts.limit),
        errors=facts.errors,
    )
