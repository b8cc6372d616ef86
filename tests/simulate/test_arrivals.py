import tomllib
from collections import Counter

import pydicom
import pytest

from omnisyn import api
from omnisyn.errors import InputError, UsageError
from omnisyn.simulate import visit
from omnisyn.simulate.arrivals import README_FILE, write_arrivals
from omnisyn.simulate.cohort import Cohort, CohortSettings, PlannedSite, load_cohort
from omnisyn.volumes.inspection import inspect
from omnisyn.volumes.read import is_dicom_file
from tests.simulate.tilted_head import TiltedHead

SITES = (
    ("sim-hospital01", "train", "GE"),
    ("sim-hospital02", "train", "Siemens"),
    ("sim-hospital03", "train", "Philips"),
    ("sim-external1", "external", "Canon"),
)


def profile(vendor):
    """Three contrasts on small images."""
    whole = load_cohort("hospitals").profiles["hospital08"]
    (scanner,) = whole.scanners
    protocols = {name: scanner.protocols[name] for name in ("T1", "T1c", "T2")}
    changed = {"vendor": vendor, "model": "Model", "protocols": protocols}
    return whole.model_copy(
        update={
            "scanners": (scanner.model_copy(update=changed),),
            "matrix": 48,
            "slices": (10, 10),
            "slice_thickness_mm": (9.0, 9.0),
        }
    )


def cohort():
    planned = tuple(
        PlannedSite(name=name, role=role, profile=vendor, patients=2, hospital=f"of {vendor}")
        for name, role, vendor in SITES
    )
    settings = CohortSettings(name="small", description="SIMULATED", seed=1, sites=planned)
    return Cohort(settings, {vendor: profile(vendor) for _, _, vendor in SITES})


def write(out, **options):
    return write_arrivals(cohort(), out, anatomy=TiltedHead(), **options)


@pytest.fixture(scope="module", autouse=True)
def coarse_localizers():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visit, "_CORONAL_MATRIX", 48)
        patch.setattr(visit, "_CUBE", 35)
        patch.setattr(visit, "_CUBE_MM", 7.5)
        yield


@pytest.fixture(scope="module")
def incoming(tmp_path_factory):
    """Three hospitals whose exams lack nothing and hold everything."""
    out = tmp_path_factory.mktemp("arrivals") / "incoming"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visit, "_LACKING", 0.0)
        patch.setattr(visit, "_WITH_DIFFUSION", 1.0)
        patch.setattr(visit, "_WITH_CORONAL", 1.0)
        write(out)
    return out


def images(folder):
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    read = {path: pydicom.dcmread(path) for path in paths if is_dicom_file(path)}
    return {path: image for path, image in read.items() if "PixelData" in image}


def test_the_training_hospitals_come_with_instructions_for_prepare(incoming):
    assert sorted(path.name for path in incoming.iterdir()) == [
        "hospital01",
        "hospital02",
        "hospital03",
        "prepare.toml",
    ]
    sites = tomllib.loads((incoming / "prepare.toml").read_text())["sites"]
    assert list(sites) == ["sim-hospital01", "sim-hospital02", "sim-hospital03"]
    assert sites["sim-hospital02"] == {
        "folder": "hospital02",
        "role": "train",
        "hospital": "of Siemens",
        "scanner": "SIMULATED Siemens Model 3 T",
    }


def test_a_tidy_hospital_has_a_folder_a_patient_and_a_folder_a_series(incoming):
    folder = incoming / "hospital01"
    assert sorted(path.name for path in folder.iterdir()) == ["001", "002", README_FILE]
    series = sorted((folder / "001").iterdir())
    assert "SIMULATED-Ax-T2-TSE" in [path.name.removesuffix("-FS") for path in series]
    for path in series:
        uids = {image.SeriesInstanceUID for image in images(path).values()}
        assert len(uids) == 1
        names = sorted(file.name for file in path.iterdir())
        assert names == [f"IM{number:04d}.dcm" for number in range(1, len(names) + 1)]


def test_an_export_mixes_the_series_of_an_exam_under_names_without_meaning(incoming):
    folder = incoming / "hospital02"
    assert sorted(path.name for path in folder.iterdir()) == ["DICOM", "DICOMDIR", README_FILE]
    exams = sorted((folder / "DICOM").iterdir())
    assert [path.name for path in exams] == ["A0000017", "A0000024"]
    for exam in exams:
        found = images(exam)
        assert len({image.PatientID for image in found.values()}) == 1
        assert len({image.SeriesInstanceUID for image in found.values()}) == 6
        assert not any(path.suffix for path in found)
        order = [(image.SeriesNumber, image.InstanceNumber) for image in found.values()]
        assert order != sorted(order)


def test_a_heap_tells_patients_apart_by_their_headers_alone(incoming):
    folder = incoming / "hospital03"
    found = images(folder)
    assert {path.name for path in folder.iterdir()} == {README_FILE, *(p.name for p in found)}
    assert {path.stem for path in found} == {image.SOPInstanceUID for image in found.values()}
    patients = Counter(image.PatientID for image in found.values())
    assert sorted(patients) == ["sim-hospital03-001", "sim-hospital03-002"]


def test_our_reader_knows_every_series_of_an_exam(incoming):
    entries = inspect(incoming / "hospital02" / "DICOM" / "A0000017")
    assert sorted(str(entry.contrast) for entry in entries) == [
        *("None",) * 3,
        *("T1", "T1c", "T2", "T2"),
    ]
    known = {entry.description: entry for entry in entries if entry.contrast}
    assert all(name.startswith("SIMULATED ") for name in known)
    assert {entry.refusal for entry in known.values()} == {None}
    # Of images so coarse.
    warnings = {warning for entry in known.values() for warning in entry.warnings}
    assert all(warning.startswith("the voxel size is unusual") for warning in warnings)
    coronal = [entry for entry in known.values() if entry.orientation == "LIP"]
    assert [entry.description for entry in coronal] == ["SIMULATED T2 TSE cor"]
    (axial,) = (e for e in known.values() if e.contrast == "T2" and e not in coronal)
    t1 = next(entry for entry in known.values() if entry.contrast == "T1")
    assert axial.spacing != t1.spacing
    others = [entry for entry in entries if not entry.contrast]
    assert sum("DiffusionBValue" in entry.description for entry in others) == 2
    (localizer,) = (entry for entry in others if "localizer" in entry.description)
    assert localizer.refusal is not None


def test_nothing_real_and_nothing_of_the_motion_stands_in_a_header(incoming):
    for image in images(incoming).values():
        assert image.ImageType[-1] == "SIMULATED"
        assert image.PatientName == f"SIMULATED^{image.PatientID}"
        assert str(image.InstitutionName).startswith("SIMULATED")
        assert str(image.ManufacturerModelName).endswith("(simulated)")
        assert not any("otion" in element.name for element in image)


def test_the_vendors_store_as_they_do(incoming):
    for name, scaled in (("hospital01", False), ("hospital03", True)):
        assert all(
            ("RescaleSlope" in image) == scaled for image in images(incoming / name).values()
        )


def test_only_what_was_written_here_is_replaced(tmp_path):
    options = {"sites": ["sim-external1"], "patients": 1}
    (first,) = write(tmp_path, **options)
    assert (first.path, first.site.role) == (tmp_path / "external1", "external")
    before = {path.name for path in first.path.rglob("IM0001.dcm")}
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path, **options)
    write(tmp_path, **options, overwrite=True)
    assert {path.name for path in first.path.rglob("IM0001.dcm")} == before
    (first.path / README_FILE).unlink()
    with pytest.raises(InputError, match=r"external1: what is there is no simulated hospital"):
        write(tmp_path, **options, overwrite=True)
    assert list(first.path.rglob("IM0001.dcm"))


def test_instructions_that_are_there_stay(tmp_path):
    (tmp_path / "prepare.toml").write_text('identifiers = "pseudonyms"\n')
    write(tmp_path, sites=["sim-hospital03"], patients=1)
    content = tomllib.loads((tmp_path / "prepare.toml").read_text())
    assert content["identifiers"] == "pseudonyms"
    assert list(content["sites"]) == ["sim-hospital03"]


def test_another_seed_gives_other_patients_and_other_uids(tmp_path):
    options = {"sites": ["sim-hospital03"], "patients": 1}
    found = []
    for seed in (1, 1, 2):
        (arrival,) = write(tmp_path / str(len(found)), **options, seed=seed)
        found.append({path.name: path.read_bytes() for path in arrival.path.iterdir()})
    assert found[0] == found[1]
    assert {*found[0]} & {*found[2]} == {README_FILE}


def test_the_command_knows_the_example_as_nifti_only(tmp_path):
    with pytest.raises(UsageError, match="NIfTI"):
        api.simulate("example", tmp_path / "out", format="dicom")
    with pytest.raises(UsageError, match="sim-nowhere"):
        api.simulate("hospitals", tmp_path / "out", format="dicom", sites=["sim-nowhere"])
    assert not (tmp_path / "out").exists()
