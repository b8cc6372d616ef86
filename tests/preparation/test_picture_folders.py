"""The published arrangement of slices as pictures: ordered by number, upright, of known size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnisyn.errors import InputError
from omnisyn.preparation.find import find_patients
from omnisyn.preparation.instructions import Instructions, Pictures
from omnisyn.preparation.scans import NO_SPACING, read_scan


def write(folder: Path, numbers: list[int], mode: str = "L") -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        pixels = np.zeros((12, 10), np.uint8)
        pixels[1, 2] = 100 + number  # in front, on the patient's right
        Image.fromarray(pixels).convert(mode).save(folder / f"slice_{number}.png")


def test_slices_become_a_volume_in_the_order_of_their_numbers(tmp_path: Path):
    for name in ("T1", "T1c_reg", "T2_reg"):
        write(tmp_path / "case1" / name, [2, 10, 1, 9])
    instructions = Instructions(pictures=Pictures(spacing_mm=(3.0, 0.5, 0.5)))
    (patient,) = find_patients(tmp_path, instructions).patients
    assert patient.identifier == "case1"
    assert list(patient.scans) == ["T1", "T1c", "T2"]
    volume = read_scan(patient.scans["T1c"], "T1c")
    assert volume.slices()[:, 1, 2].tolist() == [101, 102, 109, 110]
    assert volume.geometry.slice_spacing == (3.0, 0.5, 0.5)
    index = np.argwhere(volume.voxels == 110)[0]
    place = volume.geometry.affine @ [*index, 1]
    right, front, top = place[:3]
    assert right > 0
    assert front > 0
    assert top > 0
    assert volume.provenance.warnings == ()


def test_without_a_size_one_millimetre_is_assumed_and_said(tmp_path: Path):
    write(tmp_path / "case1" / "T1", [1, 2, 3], "RGB")
    (patient,) = find_patients(tmp_path).patients
    volume = read_scan(patient.scans["T1"], "T1")
    assert volume.geometry.spacing == (1.0, 1.0, 1.0)
    assert volume.provenance.warnings == (NO_SPACING,)
    turned = Instructions(pictures=Pictures(first_slice="superior"))
    (patient,) = find_patients(tmp_path, turned).patients
    assert read_scan(patient.scans["T1"], "T1").slices()[:, 1, 2].tolist() == [103, 102, 101]


def test_what_is_no_series_of_a_contrast_is_passed_over(tmp_path: Path):
    write(tmp_path / "case1" / "T1", [1, 2, 3])
    write(tmp_path / "case1" / "T2", [1, 2])
    write(tmp_path / "case1" / "figures", [1, 2, 3])
    found = find_patients(tmp_path)
    assert list(found.patients[0].scans) == ["T1"]
    assert found.passed_over == (
        "T2: pictures, and no contrast",
        "figures: pictures, and no contrast",
    )


def test_pictures_that_are_no_slices_are_refused(tmp_path: Path):
    write(tmp_path / "a" / "T1", [1, 2, 3])
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "a" / "T1" / "slice_4.png")
    write(tmp_path / "b" / "T1", [1, 2])
    Image.fromarray(np.array([[[9, 0, 0]]], np.uint8)).save(tmp_path / "b" / "T1" / "slice_3.png")
    write(tmp_path / "c" / "T1", [1, 2])
    (tmp_path / "c" / "T1" / "slice_3.png").write_bytes(b"\x89PNG no more")
    patients = find_patients(tmp_path).patients
    for patient, fault in zip(
        patients, ("several sizes", "coloured", "cannot be read"), strict=True
    ):
        with pytest.raises(InputError, match=fault):
            read_scan(patient.scans["T1"], "T1")
