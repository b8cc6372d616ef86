"""A results folder as a BIDS derivative: what describes it, and how it names what it came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omnisyn.errors import InputError
from omnisyn.inference.request import LoadedPatient, Request
from omnisyn.inference.sidecar import INTENDED_USE, dataset_description
from omnisyn.studies.bids import enclosing_dataset
from omnisyn.volumes.atomic import json_bytes, write_bytes_atomic
from omnisyn.volumes.sidecar import DESCRIPTION, read_sidecar

_RAW = "raw"
# BIDS has names for neither pictures nor maps of an expected error.
_IGNORED = "*.png\n*_uncertainty.nii.gz\n*_uncertainty.json\n"
# The validator of the names of raw data (npm bids-validator 1) knows none of derivatives, `desc`
# least of all; the one that goes by the schema does not read this file and checks them.
_FOR_THE_OLD_VALIDATOR = {
    "ignoredFiles": ["**/*_desc-synth_*"],
    "ignore": ["NO_VALID_DATA_FOUND_FOR_SUBJECT"],
}
_README = f"""# Synthetic MRI contrasts

Made by omnisyn. {INTENDED_USE}

Files named `desc-synth` are synthetic images; the JSON file beside each says its sources, the
model that made it, and what was odd. A volume without that file is not finished. Files named
`uncertainty` are maps of the expected error; the PNG pictures are previews. Neither is part of
BIDS, and `.bidsignore` lists them.
"""


def source_names(patient: LoadedPatient, output: Path) -> list[str]:
    """What each source is called in a sidecar: a BIDS URI where the output lies inside the dataset
    that the source is of, else its basename (BIDS 1.10, Common principles, BIDS URI)."""
    if patient.dataset is not None and enclosing_dataset(output) == patient.dataset.resolve():
        return [f"bids:{_RAW}:{patient.places[name]}" for name in patient.sources]
    return [volume.provenance.name for volume in patient.sources.values()]


def facts_of_derivative(patient: LoadedPatient) -> Mapping[str, Any]:
    """What BIDS requires in the sidecar of a derived image (1.10, Common data types and metadata).

    `SkullStripped` is what the first source's sidecar says. Where it says nothing the source counts
    as it was acquired, with the skull: that is what a raw dataset holds.
    """
    if patient.dataset is None:
        return {}
    place = patient.places[next(iter(patient.sources))]
    return {"SkullStripped": read_sidecar(patient.dataset / place).get("SkullStripped") is True}


@contextmanager
def described_folder(request: Request, patient: LoadedPatient) -> Iterator[None]:
    """Give a results folder its `dataset_description.json` and, where the patient is of a BIDS
    dataset, what else a derivative has; take them back when no result comes."""
    ours = []
    for name, content in _descriptions(request, patient).items():
        path = request.output / name
        # Another run may have described the same folder since we looked, which is as good.
        with suppress(InputError):
            ours.append(write_bytes_atomic(path, content, overwrite=False))
    try:
        yield
    except BaseException:
        others = (path for path in request.output.rglob("*") if path.is_file())
        if all(path in ours for path in others):
            for path in ours:
                path.unlink(missing_ok=True)
        raise


def _descriptions(request: Request, patient: LoadedPatient) -> Mapping[str, bytes]:
    """What describes the folder, by file name."""
    dataset = enclosing_dataset(request.output)
    links = {} if dataset is None else {_RAW: os.path.relpath(dataset, request.output.resolve())}
    # The name of a folder or file, made into the address that BIDS asks for.
    addresses = [
        f"bids:{_RAW}:" if dataset and name == dataset.name else f"file:{quote(name)}"
        for name in request.source_names
    ]
    told = {DESCRIPTION: json_bytes(dataset_description(addresses, links))}
    if patient.dataset is not None:
        told |= {
            "README.md": _README.encode(),
            ".bidsignore": _IGNORED.encode(),
            ".bids-validator-config.json": json_bytes(_FOR_THE_OLD_VALIDATOR),
        }
    return told
