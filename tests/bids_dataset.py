"""A small raw BIDS dataset of random images, with much beside the scans that are to be found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume

SHAPE = (24, 20, 6)
PIXEL_MM, SLICE_MM = 1.5, 4.0
README = "A dataset of random numbers. It shows nothing and nobody, and exists to be read. " * 3

# Subject 01 has two sessions, subject 02 none: both are BIDS.
SCANS = (
    "sub-01/ses-pre/anat/sub-01_ses-pre_run-1_T1w",
    "sub-01/ses-pre/anat/sub-01_ses-pre_run-2_T1w",
    "sub-01/ses-pre/anat/sub-01_ses-pre_ce-gadolinium_T1w",
    "sub-01/ses-pre/anat/sub-01_ses-pre_FLAIR",
    "sub-01/ses-pre/anat/sub-01_ses-pre_PDw",
    "sub-01/ses-pre/anat/sub-01_ses-pre_angio",
    "sub-01/ses-post/anat/sub-01_ses-post_acq-FLAIRlike_T1w",
    "sub-02/anat/sub-02_acq-axial_T1w",
    "sub-02/anat/sub-02_acq-sagittal_T1w",
    "sub-02/anat/sub-02_T2w",
)
OTHERS = (
    "sub-01/ses-pre/anat/sub-01_ses-pre_inplaneT1",
    "sub-01/ses-pre/anat/sub-01_ses-pre_acq-mprage_T2starw",
    "sub-01/ses-pre/anat/sub-01_ses-pre_T1map",
    "sub-02/anat/sub-02_part-phase_T2w",
)


def raw_dataset(folder: Path) -> Path:
    """Write the dataset; sagittal slices where a name says so. Returns the folder."""
    for number, name in enumerate((*SCANS, *OTHERS)):
        coarse = 0 if "acq-sagittal" in name else 2
        write_scan(folder / f"{name}.nii.gz", number, coarse_axis=coarse)
    write_scan(folder / "sub-02" / "dwi" / "sub-02_sbref.nii.gz", 90)
    write_scan(folder / "sourcedata" / "sub-03" / "anat" / "sub-03_T1w.nii.gz", 91)
    write_scan(folder / "derivatives" / "other" / "sub-04" / "anat" / "sub-04_T1w.nii.gz", 92)
    _write(folder / "derivatives" / "other" / "dataset_description.json", {
        "Name": "other", "BIDSVersion": "1.10.0", "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "other"}],
    })  # fmt: skip
    _write(folder / "dataset_description.json", {
        "Name": "random numbers", "BIDSVersion": "1.10.0", "DatasetType": "raw",
        "License": "CC0", "Authors": ["Nobody", "No one"],
    })  # fmt: skip
    (folder / "README").write_text(README)
    (folder / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-02\t40\n")
    _write(folder / "participants.json", {"age": {"Description": "age", "Units": "year"}})
    return folder


def write_scan(path: Path, seed: int, *, coarse_axis: int = 2) -> Path:
    """Random grey values in a frame of air, with the facts that BIDS asks for beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape, spacing = list(SHAPE), [PIXEL_MM, PIXEL_MM, PIXEL_MM]
    shape[coarse_axis], shape[2] = SHAPE[2], SHAPE[coarse_axis]
    spacing[coarse_axis] = SLICE_MM
    voxels = np.random.default_rng(seed).uniform(20, 100, shape).astype(np.float32)
    voxels[:2], voxels[:, :2] = 0, 0
    sidecar: dict[str, Any] = {}
    if path.name.endswith(("_T2starw.nii.gz", "_part-phase_T2w.nii.gz")):
        sidecar = {"EchoTime": 0.02, "Units": "rad"}
    return write_volume(path, voxels, Geometry(shape, np.diag([*spacing, 1])), sidecar=sidecar)


def _write(path: Path, told: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
