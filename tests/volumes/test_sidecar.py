import json
import math

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.geometry import Geometry
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.sidecar import FACTS, acquisition_facts, numbers_of, read_sidecar
from omnisyn.volumes.write import write_volume

GEOMETRY = Geometry((6, 7, 5), np.diag([-0.5, -0.75, 3.0, 1.0]))
SCAN = "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_T1w.nii.gz"


@pytest.fixture
def save(tmp_path, grey_voxels):
    """Write the grey volume under a name, with a sidecar where one is given."""

    def make(name, sidecar=None):
        return write_volume(tmp_path / name, grey_voxels, GEOMETRY, sidecar=sidecar)

    return make


@pytest.fixture
def dataset(tmp_path):
    """Write JSON files of a BIDS dataset; the path of one of its scans, which need not be there."""

    def make(sidecars):
        (tmp_path / "sub-01/ses-1/anat").mkdir(parents=True)
        (tmp_path / "dataset_description.json").write_text("{}")
        for name, told in sidecars.items():
            (tmp_path / name).write_text(told if isinstance(told, str) else json.dumps(told))
        return tmp_path / SCAN

    return make


def test_times_in_the_sidecar_are_seconds_and_become_milliseconds(save):
    sidecar = {
        "RepetitionTime": 4.5,
        "EchoTime": 0.095,
        "InversionTime": 2.4,
        "FlipAngle": 90,
        "MagneticFieldStrength": 1.5,
        "Manufacturer": "Maker",
        "FatSuppressed": True,
        "PatientName": "Secret",
        "EchoTime2": 5,
    }

    facts = read_volume(save("T2.nii.gz", sidecar)).provenance.acquisition

    assert facts == pytest.approx(
        {
            "RepetitionTime": 4500,
            "EchoTime": 95,
            "InversionTime": 2400,
            "FlipAngle": 90,
            "MagneticFieldStrength": 1.5,
            "Manufacturer": "Maker",
            "FatSuppressed": True,
        }
    )


@pytest.mark.parametrize("value", ["long", None, [1.0], True, float("nan")])
def test_facts_that_are_no_numbers_are_left_out(value):
    assert acquisition_facts({"EchoTime": value, "FlipAngle": 9}) == {"FlipAngle": 9.0}


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "not valid JSON"), ("[1]", "not a JSON mapping"), ("[" * 100_000, "not valid JSON")],
)
def test_a_broken_sidecar_is_refused(save, tmp_path, content, reason):
    path = save("T1.nii.gz")
    (tmp_path / "T1.json").write_text(content)

    with pytest.raises(InputError, match=rf"T1\.json: the sidecar is {reason}"):
        read_volume(path)


@pytest.mark.parametrize("value", ["1" + "0" * 31, "NaN", "1e400", "-Infinity"])
def test_numbers_that_no_scanner_writes_are_no_facts(save, tmp_path, value):
    path = save("T1.nii.gz")
    (tmp_path / "T1.json").write_text(f'{{"EchoTime": {value}, "RepetitionTime": 0.5}}')

    facts = read_volume(path).provenance.acquisition

    assert dict(facts) == {"RepetitionTime": 500.0}


def test_a_sidecar_that_names_an_unknown_contrast_is_refused(save):
    with pytest.raises(InputError, match="unknown contrast 'T7'"):
        read_volume(save("T1.nii.gz", {"Contrast": "T7"}))


def test_what_stands_nearer_to_a_scan_overrules_what_the_dataset_says(dataset):
    scan = dataset(
        {
            "T1w.json": {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1},
            "acq-ax_T1w.json": {"b": 2, "c": 2, "d": 2, "e": 2},
            "sub-01/sub-01_T1w.json": {"c": 3, "d": 3, "e": 3},
            "sub-01/ses-1/sub-01_ses-1_T1w.json": {"d": 4, "e": 4},
            "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_T1w.json": {"e": 5},
        }
    )

    assert read_sidecar(scan) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


@pytest.mark.parametrize(
    "name",
    [
        "T2w.json",
        "task-T1w.json",
        "acq-sag_T1w.json",
        "acq-a_T1w.json",
        "sub-01/sub-02_T1w.json",
        "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_run-1_T1w.json",
        "sub-01/ses-1/anat/sub-01_ses-1_acq-ax_T1w.nii.json",
    ],
)
def test_what_a_dataset_says_of_other_scans_does_not_apply(dataset, name):
    assert read_sidecar(dataset({name: {"a": 1}})) == {}


def test_only_a_dataset_is_looked_through(dataset, tmp_path):
    scan = dataset({"T1w.json": {"a": 1}, "sub-01/T1w.json": {"b": 1}})
    assert read_sidecar(scan) == {"a": 1, "b": 1}
    assert read_sidecar(scan.with_name("T1w.nii.gz")) == {}

    (tmp_path / "dataset_description.json").unlink()
    assert read_sidecar(scan) == {}


def test_nothing_above_the_dataset_applies(dataset, tmp_path):
    scan = dataset({"T1w.json": {"a": 1}})
    (tmp_path / "sub-01" / "dataset_description.json").write_text("{}")

    assert read_sidecar(scan) == {}


def test_a_broken_sidecar_of_the_dataset_is_refused_by_its_name(dataset):
    with pytest.raises(InputError, match=r"^T1w\.json: the sidecar is not valid JSON"):
        read_sidecar(dataset({"T1w.json": "{"}))


def test_a_volume_is_read_with_what_its_dataset_says(save, tmp_path):
    (tmp_path / "sub-01/anat").mkdir(parents=True)
    path = save("sub-01/anat/sub-01_T1w.nii.gz", {"EchoTime": 0.01})
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "T1w.json").write_text('{"EchoTime": 0.02, "ContrastBolusAgent": "Gadavist"}')

    volume = read_volume(path)

    assert volume.contrast.name == "T1c"
    assert volume.provenance.acquisition == {"EchoTime": 10.0, "ContrastBolusAgent": "Gadavist"}


def test_numbers_are_in_ms_and_tesla_and_nan_where_nothing_sensible_is_stated():
    stated = {"RepetitionTime": 0.55, "EchoTime": -1, "InversionTime": "long"}
    numbers = dict(zip(FACTS, numbers_of(stated | {"MagneticFieldStrength": 1.5}), strict=True))
    assert numbers["repetition_time_ms"] == pytest.approx(550)
    assert numbers["field_tesla"] == 1.5
    assert math.isnan(numbers["echo_time_ms"])
    assert math.isnan(numbers["inversion_time_ms"])
