"""What is said about a synthesized volume in the JSON file beside it, and about its folder.

Names are basenames, or BIDS URIs within a dataset: a sidecar travels with its volume, and no path
or patient of the machine where it was made belongs in it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from omnisyn.contrasts import Contrast
from omnisyn.geometry import Geometry
from omnisyn.volumes.volume import Volume

INTENDED_USE = "Research only. A synthetic image: not acquired, not for diagnosis or treatment."
_PACKAGES = ("omnisyn", "torch", "numpy", "nibabel", "SimpleITK")


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights made a volume, and how they were run."""

    name: str
    sha256: str
    device: str
    precision: str
    text_sha256: str | None = None
    """Hash of the weights' text tower, where they have one."""

    @property
    def told(self) -> dict[str, str]:
        """What a sidecar says of the weights."""
        text = {} if self.text_sha256 is None else {"TextTowerSHA256": self.text_sha256}
        return {"Name": self.name, "SHA256": self.sha256, **text}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide about voxel values."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def synthesis_sidecar(
    target: Contrast,
    sources: Mapping[str, Volume],
    source_names: Sequence[str],
    geometry: Geometry,
    model: ModelIdentity,
    *,
    values: str,
    familiarity: Mapping[str, Any],
    arguments: Mapping[str, Any],
    asked_for: Mapping[str, Any],
    warnings: Sequence[str],
    simulated: bool,
) -> dict[str, Any]:
    """The sidecar of one synthesized volume.

    Args:
        sources: volumes by contrast name, in the order they were given.
        source_names: what each of them is called: its basename, or its BIDS URI.
        geometry: the grid of the output.
        values: one sentence on what the voxel values mean.
        familiarity: by source, how much it is like what the model was trained on.
        arguments: the request, with basenames in the place of paths.
        asked_for: how the target was asked for besides its name. Nothing was acquired so: it does
            not stand where BIDS looks for an acquisition.
        warnings: what was odd about the sources or was done to them.
        simulated: whether any source is a simulated patient.
    """
    return {
        "Description": f"Synthetic {target.name} made from {' + '.join(sources)} by omnisyn",
        "Synthetic": True,
        "Simulated": simulated,
        "IntendedUse": INTENDED_USE,
        "Contrast": target.name,
        "Target": target.name,
        "Sources": list(source_names),
        "SourceContrasts": list(sources),
        "SourceSHA256": [volume.provenance.sha256 for volume in sources.values()],
        "Model": model.told,
        "Device": model.device,
        "Precision": model.precision,
        # Synthesis draws no random numbers; null says so where a reader looks for the seed.
        "Seed": None,
        "Versions": versions(),
        "Arguments": dict(arguments),
        **({"AskedFor": dict(asked_for)} if asked_for else {}),
        "Values": values,
        "Familiarity": dict(familiarity),
        "Geometry": {
            "Shape": [int(extent) for extent in geometry.shape],
            "SpacingMillimetres": [float(extent) for extent in geometry.spacing],
            "Orientation": geometry.orientation,
            "Affine": [[float(entry) for entry in row] for row in geometry.affine],
        },
        "Warnings": list(warnings),
        "Time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def uncertainty_sidecar(synthesis: Mapping[str, Any], volume: str) -> dict[str, Any]:
    """The sidecar of the map that belongs to a synthesized volume.

    Args:
        synthesis: that volume's sidecar.
        volume: its basename.
    """
    return {
        **synthesis,
        "Description": f"Expected absolute error of {volume}, by omnisyn",
        "UncertaintyOf": volume,
        "Values": "expected absolute error, in the units of that volume. It tells where errors "
        "are likely; on scans unlike the training data they are larger than it says",
    }


def dataset_description(addresses: Sequence[str], links: Mapping[str, str]) -> dict[str, Any]:
    """BIDS `dataset_description.json` of an output folder.

    Args:
        addresses: URIs of the folders or files that the patients came from, without their place
            on this machine.
        links: where the datasets lie that BIDS URIs name; relative paths.
    """
    return {
        "Name": "Synthetic MRI contrasts",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "Research use only; the terms of the source data apply",
        "GeneratedBy": [
            {
                "Name": "omnisyn",
                "Version": versions()["omnisyn"],
                "Description": "Synthesis of missing MRI contrasts. " + INTENDED_USE,
            }
        ],
        "SourceDatasets": [{"URL": address} for address in addresses],
        **({"DatasetLinks": dict(links)} if links else {}),
    }
