import json
from importlib.metadata import version

import numpy as np

from omnisyn.contrasts import contrast
from omnisyn.geometry import Geometry
from omnisyn.inference.sidecar import (
    ModelIdentity,
    dataset_description,
    synthesis_sidecar,
    versions,
)
from omnisyn.volumes.volume import Provenance, Volume

GRID = Geometry((4, 5, 6), np.diag([1.0, 1.0, 3.0, 1.0]))


def test_a_sidecar_says_everything_the_convention_lists() -> None:
    volume = Volume(
        np.ones(GRID.shape, dtype=np.float32),
        GRID,
        provenance=Provenance(name="sub-01_T1w.nii.gz", sha256="ab" * 32),
    )
    sidecar = synthesis_sidecar(
        contrast("T1c"),
        {"T1": volume},
        ["sub-01_T1w.nii.gz"],
        GRID,
        ModelIdentity("small", "cd" * 32, "cuda:0", "bfloat16"),
        values="the model's scale",
        familiarity={"T1": {"Score": 0.5, "LooksLike": "T1", "Warning": None}},
        arguments={"Targets": ["T1c"]},
        asked_for={},
        warnings=["odd"],
        simulated=True,
    )
    assert json.loads(json.dumps(sidecar, allow_nan=False)) == sidecar
    expected = {
        "Synthetic": True,
        "Simulated": True,
        "Sources": ["sub-01_T1w.nii.gz"],
        "SourceContrasts": ["T1"],
        "SourceSHA256": ["ab" * 32],
        "Contrast": "T1c",
        "Model": {"Name": "small", "SHA256": "cd" * 32},
        "Device": "cuda:0",
        "Precision": "bfloat16",
        "Seed": None,
        "Arguments": {"Targets": ["T1c"]},
        "Warnings": ["odd"],
        "Values": "the model's scale",
        "Familiarity": {"T1": {"Score": 0.5, "LooksLike": "T1", "Warning": None}},
    }
    assert {key: sidecar[key] for key in expected} == expected
    assert "Research only" in sidecar["IntendedUse"]
    assert sidecar["Geometry"]["Shape"] == [4, 5, 6]
    assert sidecar["Geometry"]["Affine"] == GRID.affine.tolist()
    assert sidecar["Versions"]["omnisyn"] == version("omnisyn")
    assert sidecar["Time"].endswith("+00:00")


def test_what_was_asked_for_never_passes_for_an_acquisition() -> None:
    volume = Volume(np.ones(GRID.shape, dtype=np.float32), GRID)
    asked_for = {"Text": "T2, TE 90 ms", "EchoTime": 0.09, "FatSuppressed": True}

    def told(asked_for: dict[str, object]) -> dict[str, object]:
        return synthesis_sidecar(
            contrast("T2"),
            {"T1": volume},
            ["T1.nii.gz"],
            GRID,
            ModelIdentity("small", "cd" * 32, "cpu", "float32", "ef" * 32),
            values="the model's scale",
            familiarity={},
            arguments={},
            asked_for=asked_for,
            warnings=[],
            simulated=False,
        )

    sidecar = told(asked_for)
    assert sidecar["AskedFor"] == asked_for
    assert not {"EchoTime", "FatSuppressed"} & sidecar.keys()
    assert sidecar["Model"]["TextTowerSHA256"] == "ef" * 32
    assert "AskedFor" not in told({})


def test_versions_name_what_decides_about_values() -> None:
    assert {"python", "omnisyn", "torch", "numpy"} <= set(versions())


def test_a_folder_is_described_as_a_bids_derivative() -> None:
    description = dataset_description(["file:hospital"], {})
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "omnisyn"
    assert description["SourceDatasets"] == [{"URL": "file:hospital"}]
    assert "DatasetLinks" not in description
    linked = dataset_description(["bids:raw:"], {"raw": "../.."})
    assert linked["DatasetLinks"] == {"raw": "../.."}
