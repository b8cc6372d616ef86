"""A miniature of the public dataset External 2: its layout and quirks, with SIMULATED images."""

import datetime
import functools
import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
import openpyxl
import pydicom
import pytest
import torch
from numpy.typing import NDArray

from omnisyn.geometry import Geometry
from omnisyn.preparation.mask_arrangement import Arrangement
from omnisyn.simulate.anatomy.grid import Grid, rotation_matrix
from omnisyn.simulate.cohort import load_cohort, patient_generator
from omnisyn.simulate.dicom_series import SeriesHeader, write_series
from omnisyn.simulate.patient import (
    FieldOfView,
    ProceduralAnatomy,
    SimulatedPatient,
    child,
    draw_exam_plan,
    scan,
)
from omnisyn.simulate.protocols import SiteProfile

FEWEST = 6
FOLDERS = {"T1": "T1WI", "T1c": "CE-T1WI", "T2": "T2WI"}
ROIS = {"T1": "ROI-T1.nii", "T1c": "ROI-CE-T1.nii", "T2": "ROI-T2.nii"}
TABLE = "Supplementary file 3 (final)_v2.xlsx"
STORED = Arrangement(transposed=True, quarter_turns=2)
"""A turn by 90° and a flip: what brings the masks back onto their series."""
EMPTY_PATIENT = "007"
_PIXELS, _SLICES = 64, 12
_SEED = 13131827


@dataclass(frozen=True)
class Truth:
    """What is known of the miniature.

    Attributes:
        folder: as unpacked; holds ``primary_data``.
        archive: ``primary_data.zip``, and its SHA-256.
        contrasts: patient → contrasts that can be read. Whoever is not in it has none, or a
            damaged T1.
        why_not: patient → why it cannot come.
        motions: patient → contrast → 4×4, where a point of the T1 (world, RAS+ mm) lies in that
            contrast.
        tumours: patient → bool, the tumour on the T1 grid in file order of the DICOM reader.
        geometries: patient → contrast → the grid of the series.
        unfit_mask: the patient whose T2 mask does not have the shape of its series.
        uneven_mask: the patient whose T1 mask holds values between 0 and 1.
        facts: patient → what the clinical table says, in our words.
        arrangement: what brings the masks back onto their series.
    """

    folder: Path
    archive: Path
    sha256: str
    contrasts: Mapping[str, tuple[str, ...]]
    why_not: Mapping[str, str]
    motions: Mapping[str, Mapping[str, NDArray[np.float64]]]
    tumours: Mapping[str, NDArray[np.bool_]]
    geometries: Mapping[str, Mapping[str, Geometry]]
    unfit_mask: str
    uneven_mask: str
    facts: Mapping[str, Mapping[str, str]]
    arrangement: Arrangement = field(default=STORED)


def stored(placed: NDArray, arrangement: Arrangement) -> NDArray:
    """The array that the arrangement turns into `placed`."""
    array = placed[:, :, ::-1] if arrangement.reversed_slices else placed
    array = np.rot90(array, -arrangement.quarter_turns, axes=(0, 1))
    return np.ascontiguousarray(array.transpose(1, 0, 2) if arrangement.transposed else array)


def saying(series: Geometry, arrangement: Arrangement) -> Geometry:
    """The geometry of a mask that is stored so and has the right affine."""
    places = np.stack(np.meshgrid(*map(np.arange, series.shape), indexing="ij"), axis=-1)
    lying = np.stack([stored(places[..., axis], arrangement) for axis in range(3)], axis=-1)
    step = np.eye(4)
    step[:3, 3] = lying[0, 0, 0]
    for axis, place_ in enumerate(((1, 0, 0), (0, 1, 0), (0, 0, 1))):
        step[:3, axis] = lying[place_] - lying[0, 0, 0]
    return Geometry(lying.shape[:3], series.affine @ step)


def build_miniature(
    folder: Path, patients: int = FEWEST, arrangement: Arrangement = STORED
) -> Truth:
    """Writes the miniature below `folder`, unpacked and as an archive.

    Patients 001, 002 and from 008 on are whole; 003 has a T2 mask that does not fit; 004 no T2
    series, 005 an empty folder for CE-T1WI, 006 a T1 series with a file that is cut short; 007
    is an empty folder.
    """
    if patients < FEWEST:
        raise ValueError(f"the quirks take {FEWEST} patients")
    data = folder / "unpacked" / "primary_data" / "data"
    numbers = [number for number in range(1, patients + 2) if number != int(EMPTY_PATIENT)]
    contrasts, why_not, motions, tumours, geometries, facts = {}, {}, {}, {}, {}, {}
    for number in numbers:
        name = f"{number:03d}"
        place = data / "MRI-Segments" / name
        scans, motions[name] = _scanned(number)
        geometries[name] = {key: scan.geometry for key, scan in scans.items()}
        tumours[name] = _in_file_order(scans["T1"], scans["T1"].tumour)
        facts[name] = _facts(number, scans["T1"])
        for contrast, patient in scans.items():
            _write_series(place / FOLDERS[contrast], name, contrast, patient)
            _write_mask(place / ROIS[contrast], number, contrast, patient, arrangement)
        contrasts[name] = _spoil(place, number)
    (data / "MRI-Segments" / EMPTY_PATIENT).mkdir()
    why_not[EMPTY_PATIENT] = "no series"
    why_not["006"] = "a file of its T1 series is cut short"
    del contrasts["006"]
    _write_table(data.parent / TABLE, facts)
    (data.parent / "README.docx").write_bytes(b"PK not a table")
    archive, digest = _packed(folder)
    return Truth(
        folder / "unpacked", archive, digest, contrasts, why_not, motions, tumours, geometries,
        unfit_mask="003", uneven_mask="002", facts=facts, arrangement=arrangement,
    )  # fmt: skip


def _profile(philips: bool) -> SiteProfile:
    """One scanner of the dataset each; its T2 with fat suppression on the Philips alone."""
    profile = load_cohort("hospitals").profiles["external2"]
    scanner = next(s for s in profile.scanners if (s.vendor == "Philips") == philips)
    still = {"misregistration_mm": (0.0, 0.0), "misregistration_degrees": (0.0, 0.0)}
    return profile.model_copy(
        update={
            "scanners": (scanner,),
            "matrix": _PIXELS,
            "fat_suppressed": {"T2": float(philips)},
            "effects": profile.effects.model_copy(update=still),
        }
    )


def _scanned(number: int) -> tuple[dict[str, SimulatedPatient], dict[str, NDArray]]:
    """The series of a patient, each on its own grid after a motion of its own."""
    generator = patient_generator(_SEED, "external2 miniature", number)
    profile = _profile(philips=number % 2 == 0)
    anatomy = ProceduralAnatomy()
    parameters = anatomy.draw(child(generator))
    draw = np.random.default_rng((_SEED, number))
    # T1c on the grid of the T1; T2 with other pixels, other slices and another middle.
    grids = {"T1": (_SLICES, 7.5, 3.5), "T1c": (_SLICES, 7.5, 3.5), "T2": (_SLICES + 1, 7.0, 3.3)}
    middle, tilt = np.array([0.0, 9.0, -52.0]), draw.uniform(-2.0, 2.0, 3)
    first: FieldOfView | None = None
    plan = None
    scans, motions = {}, {}
    for contrast, (slices, height, pixel) in grids.items():
        prescribed = middle + (np.array([2.0, -3.0, 2.5]) if contrast == "T2" else 0.0)
        moved, turned = draw.uniform(-4.0, 4.0, 3), tilt + draw.uniform(-2.5, 2.5, 3)
        if first is None:
            moved, turned = np.zeros(3), tilt
        view = FieldOfView(
            grid=Grid(
                shape=(slices, _PIXELS, _PIXELS),
                spacing_mm=(height, pixel, pixel),
                centre_mm=tuple(float(value) for value in prescribed + moved),
                tilt_degrees=tuple(float(value) for value in turned),
            ),
            sublayers=2,
            samples=round(1.2 * _PIXELS),
            thickness_mm=height - 1.0,
        )
        plan = plan or draw_exam_plan(profile, view, child(generator), tuple(grids))
        built = anatomy.build(parameters, view.fine, torch.device("cpu"))
        one = replace(
            plan,
            acquisitions={contrast: plan.acquisitions[contrast]},
            series={contrast: plan.series[contrast]},
        )
        # The header says where the field was prescribed, not where the head has gone.
        unmoved = replace(view.grid, centre_mm=tuple(float(value) for value in prescribed))
        scans[contrast] = replace(
            scan(built, view, one), geometry=replace(view, grid=unmoved).geometry
        )
        first = first or view
        motions[contrast] = _motion(first, middle, view, prescribed)
    return scans, {contrast: motion for contrast, motion in motions.items() if contrast != "T1"}


def _motion(
    first: FieldOfView, first_prescribed: NDArray, view: FieldOfView, prescribed: NDArray
) -> NDArray:
    """4×4: a point in the header's world of the first view (RAS+) → the same tissue in another's.

    A point of a header's world p lies in the head at R (p − prescribed) + centre, all LPS+.
    """

    def to_head(of: FieldOfView, said: NDArray) -> NDArray:
        matrix = np.eye(4)
        matrix[:3, :3] = rotation_matrix(of.grid.tilt_degrees).double().numpy()
        matrix[:3, 3] = np.array(of.grid.centre_mm) - matrix[:3, :3] @ said
        return matrix

    mirror = np.diag([-1.0, -1.0, 1.0, 1.0])
    between = np.linalg.inv(to_head(view, prescribed)) @ to_head(first, first_prescribed)
    return mirror @ between @ mirror


def _in_file_order(patient: SimulatedPatient, slices: torch.Tensor) -> NDArray:
    return patient.geometry.from_slices(slices.numpy())


def _write_series(folder: Path, name: str, contrast: str, patient: SimulatedPatient) -> None:
    """Numbered from the top down: 1.dcm is the highest slice, and 10.dcm comes before 2.dcm."""
    folder.mkdir(parents=True)
    acquisition, scanner = patient.acquisitions[contrast], patient.plan.scanner
    count = patient.geometry.shape[2]
    paths = [folder / f"{count - index}.dcm" for index in range(count)]
    voxels = _in_file_order(patient, patient.images[contrast])
    header = SeriesHeader(
        patient=name,
        study="external2 miniature",
        number=list(FOLDERS).index(contrast) + 1,
        description="SIMULATED",
        facts={
            "Manufacturer": scanner.vendor,
            "ManufacturerModelName": scanner.model,
            "MagneticFieldStrength": f"{scanner.field_tesla:g}",
            "RepetitionTime": f"{acquisition.repetition_time_ms:.1f}",
            "EchoTime": f"{acquisition.echo_time_ms:.2f}",
            "FlipAngle": f"{acquisition.flip_degrees:.0f}",
            "SliceThickness": f"{acquisition.slice_thickness_mm:.1f}",
        },
    )
    write_series(paths, voxels.astype(np.float32), patient.geometry, header)
    for path in paths:
        image = pydicom.dcmread(path)
        image.PatientName = image.PatientID = image.StudyDate = ""
        image.SeriesDescription = ""
        image.InstanceNumber = int(path.stem)
        image.save_as(path, enforce_file_format=True)


def _write_mask(
    path: Path, number: int, contrast: str, patient: SimulatedPatient, arrangement: Arrangement
) -> None:
    """Without an affine where the number is odd, with a wrong one where it is even."""
    mask = stored(_in_file_order(patient, patient.tumour), arrangement).astype(np.uint8)
    if (number, contrast) == (3, "T2"):
        mask = mask[:, :, 1:]
    if (number, contrast) == (2, "T1"):
        mask = np.where(mask > 0, 0.7, 0.2).astype(np.float32)
    image = nibabel.Nifti1Image(mask, np.eye(4))
    image.header.set_sform(np.diag([5.0, 0.5, 0.5, 1.0]), code=0 if number % 2 else 1)
    image.header.set_qform(None, code=0)
    nibabel.save(image, path)


def _spoil(place: Path, number: int) -> tuple[str, ...]:
    """Takes away what this patient lacks.

    Returns:
        the contrasts that are left.
    """
    left = dict(FOLDERS)
    spoiled = {4: "T2", 5: "T1c"}.get(number)
    if spoiled:
        for path in (place / left.pop(spoiled)).iterdir():
            path.unlink()
    if number == 4:
        (place / FOLDERS["T2"]).rmdir()
    if number == 6:
        victim = place / FOLDERS["T1"] / "5.dcm"
        victim.write_bytes(victim.read_bytes()[:-2000])
    return tuple(left)


def _facts(number: int, patient: SimulatedPatient) -> dict[str, str]:
    stage = patient.stage
    assert stage is not None
    return {
        "sex": "FM"[number % 2],
        "age": str(35 + 3 * (number % 3)),
        "T": stage.T,
        "N": stage.N,
        "M": stage.M,
        "stage": stage.clinical,
        "EBV": str(1000 * number),
        "OS_months": str(12 + number),
        "OS_status": str(number % 2),
        "Smoking": "yes" if number % 3 else "no",
    }


def _write_table(path: Path, facts: Mapping[str, Mapping[str, str]]) -> None:
    book = openpyxl.Workbook()
    book.active.title = "说明"
    book.active.append(["SIMULATED table of a miniature"])
    sheet = book.create_sheet("Sheet2")
    sheet.append(["Clinical data, SIMULATED"])
    sheet.append(
        ["编号 No.", "Patient name", "性别", "年龄（岁）", "T分期", "N stage", "M",
         "临床分期 (8th)", "EBV-DNA (copies/mL)", "OS (months)", "OS status",
         "Date of last visit", "Smoking"]
    )  # fmt: skip
    for name, row in facts.items():
        staged = {"I": "Ⅰ", "II": "Ⅱ", "III": "Ⅲ"}.get(row["stage"], row["stage"])
        sheet.append(
            [float(name), "SIMULATED", {"F": "女", "M": "男"}[row["sex"]], int(row["age"]),
             int(row["T"][1:]), row["N"].lower(), row["M"], f"{staged}期", int(row["EBV"]),
             float(row["OS_months"]), int(row["OS_status"]), datetime.date(2020, 1, 2),
             row["Smoking"]]
        )  # fmt: skip
    book.save(path)


def _packed(folder: Path) -> tuple[Path, str]:
    """The archive as macOS packs it: for every file one of ``__MACOSX`` that describes it."""
    archive, unpacked = folder / "primary_data.zip", folder / "unpacked"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(unpacked.rglob("*")):
            name = path.relative_to(unpacked)
            packed.write(path, name.as_posix() + ("/" if path.is_dir() else ""))
            shadow = Path("__MACOSX") / name.parent / f"._{name.name}"
            packed.writestr(shadow.as_posix(), b"\0\5\x16\7 Mac OS X")
    # An unpacked copy made by other programs has the shadows beside the folders.
    for name in ("__MACOSX/primary_data", "primary_data/data/MRI-Segments/001/T1WI"):
        (unpacked / name).mkdir(parents=True, exist_ok=True)
        (unpacked / name / "._1.dcm").write_bytes(b"\0\5\x16\7 Mac OS X")
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()


@functools.cache
def _built_in(folder: Path) -> Truth:
    folder.mkdir()
    return build_miniature(folder)


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """The miniature, built once for all tests that import this; they only read it."""
    return _built_in(tmp_path_factory.getbasetemp() / "external2-miniature")
