"""Embeddings on disk: one safetensors file a patient, with all the patient's scans.

Tensors are named CONTRAST/volume/LEVEL, CONTRAST/slices/LEVEL, CONTRAST/positions_mm and
CONTRAST/head_mm2, as the attributes of `ScanEmbedding`. The file's metadata has one entry,
`omnisyn`: a JSON object in the manner of a sidecar. It says nothing of when the file was made, so
that the same scans and weights give the same bytes. Names in it are basenames.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from omnisyn.errors import InputError, reason_of
from omnisyn.inference.embedder import Embedder, ScanEmbedding
from omnisyn.inference.request import LoadedPatient
from omnisyn.inference.sidecar import versions
from omnisyn.volumes.atomic import write_bytes_atomic

INTENDED_USE = "Research only. Features of an encoder: not for diagnosis or treatment."
SUFFIX = ".safetensors"
_KEY = "omnisyn"


@dataclass(frozen=True, eq=False)
class PatientEmbedding:
    """The embeddings of one patient.

    Attributes:
        path: the file they lie in.
        patient: the patient's id.
        scans: by contrast name, in the order of the sources.
        description: what the file says about itself.
    """

    path: Path
    patient: str
    scans: Mapping[str, ScanEmbedding]
    description: Mapping[str, Any] = field(repr=False)


def describe(identifier: str, patient: LoadedPatient, embedder: Embedder) -> dict[str, Any]:
    """What is said about the embeddings of a patient, which need not be made for it."""
    model = embedder.identity
    return {
        "Description": f"Encoder features of {' + '.join(patient.sources)}, by omnisyn",
        "Patient": identifier,
        "Simulated": patient.simulated,
        "IntendedUse": INTENDED_USE,
        "Model": {
            "Name": model.name,
            "SHA256": model.sha256,
            "TrainedOn": embedder.trained_on,
        },
        "Levels": embedder.levels,
        "PixelMillimetres": embedder.working_mm,
        "Device": model.device,
        "Precision": model.precision,
        "Versions": versions(),
        "Scans": {
            name: {
                "Source": volume.provenance.name,
                "SHA256": volume.provenance.sha256,
                "SlicesRowsColumns": list(volume.geometry.slices_shape),
                "SpacingMillimetres": list(volume.geometry.slice_spacing),
            }
            for name, volume in patient.sources.items()
        },
        "Warnings": list(patient.warnings),
    }


def write_embedding(embedding: PatientEmbedding, *, overwrite: bool = False) -> None:
    """Write a patient's embeddings to their path, whole or not at all.

    Raises:
        InputError: the file exists and `overwrite` is false.
        ResourceError: the disk refuses.
    """
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, scan in embedding.scans.items():
        for kind in ("volume", "slices"):
            vectors = getattr(scan, kind)
            tensors |= {f"{name}/{kind}/{level}": vectors[level] for level in vectors}
        tensors[f"{name}/positions_mm"] = scan.positions_mm
        tensors[f"{name}/head_mm2"] = scan.head_mm2
    metadata = {_KEY: json.dumps(embedding.description, ensure_ascii=False)}
    content = safetensors.numpy.save(tensors, metadata)
    write_bytes_atomic(embedding.path, content, overwrite=overwrite)


def read_embedding(path: Path) -> PatientEmbedding:
    """The embeddings in a file that `write_embedding` made.

    Raises:
        InputError: it is missing, damaged or another file.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {})[_KEY])
            scans = {
                name: ScanEmbedding(
                    volume=_vectors(file, f"{name}/volume", description),
                    slices=_vectors(file, f"{name}/slices", description),
                    positions_mm=file.get_tensor(f"{name}/positions_mm"),
                    head_mm2=file.get_tensor(f"{name}/head_mm2"),
                )
                for name in description["Scans"]
            }
            return PatientEmbedding(path, description["Patient"], scans, description)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as fault:
        raise InputError(
            "this is no file of embeddings, or a damaged one",
            where=path.name,
            why=reason_of(fault),
            remedy="make it with omnisyn embed",
        ) from fault


def _vectors(file: Any, group: str, description: Mapping[str, Any]) -> dict[str, Any]:
    return {level: file.get_tensor(f"{group}/{level}") for level in description["Levels"]}
