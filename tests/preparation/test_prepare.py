"""prepare: a folder of aligned volumes in, a site with a cache out, or nothing at all."""

import gzip
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from omnisyn.errors import InputError, UsageError
from omnisyn.geometry import Geometry
from omnisyn.preparation.found import FoundPatient
from omnisyn.preparation.options import PrepareOptions
from omnisyn.preparation.patient import PatientOptions, prepare_patient
from omnisyn.preparation.plan import plan
from omnisyn.preparation.prepare import PrepareSummary
from omnisyn.preparation.prepare import prepare as prepare_sites
from omnisyn.preparation.staging import Staging
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.cache_files import open_cache
from omnisyn.studies.site import DataRoot, Site
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.volume import Volume
from omnisyn.volumes.write import write_volume

MakeSite = Callable[..., Site]
WriteHead = Callable[..., Path]

SHAPE, SPACING = (10, 32, 28), (4.0, 1.0, 1.0)
REAL = Path(__file__).parents[3] / "shared" / "data" / "real" / "ms_mni"


def prepare(source: Path, out: Path | None = None, **options: object) -> PrepareSummary:
    """One site, in this process, with every patient in it."""
    summary = attempt(source, out, **options)
    assert not summary.failed
    return summary


def attempt(source: Path, out: Path | None = None, **options: object) -> PrepareSummary:
    """One site, in this process."""
    (summary,) = prepare_sites(source, out, PrepareOptions(**{"jobs": 1, **options}))
    return summary


@pytest.fixture
def source(tmp_path: Path, write_head: WriteHead) -> Path:
    """Two patients: one in BIDS names with sidecars, one in plain names, one file unzipped."""
    folder = tmp_path / "source"
    bids = folder / "sub-01" / "anat"
    write_head(bids / "sub-01_T1w.nii.gz", "T1", sidecar={"EchoTime": 0.012, "PatientName": "X"})
    write_head(bids / "sub-01_T2w.nii.gz", "T2", sidecar={"ScanOptions": "FS"})
    plain = folder / "case2"
    write_head(plain / "T1.nii.gz", "T1", seed=1)
    packed = write_head(plain / "t1ce.nii.gz", "T1c", seed=1)
    (plain / "t1ce.nii").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return folder


def test_prepared_site_can_be_trained_on(source: Path, tmp_path: Path):
    summary = prepare(source, tmp_path / "root" / "clinic", scanner="GE 3 T", hospital="Foshan")
    assert not summary.in_place
    assert [patient.identifier for patient in summary.patients] == ["case2", "sub-01"]
    assert [patient.contrasts for patient in summary.patients] == [("T1", "T1c"), ("T1", "T2")]
    assert [patient.head_slices for patient in summary.patients] == [8, 8]
    site = DataRoot(tmp_path / "root").site("clinic")
    assert site.settings.role == "train"
    assert site.settings.reference == "T1"
    assert (site.settings.scanner, site.settings.hospital) == ("GE 3 T", "Foshan")
    assert not site.settings.simulated
    slices = CachedSlices([site], batch_size=3, crop=16, seed=0, validation_fraction=0)
    assert slices.training_patients == ("clinic/case2", "clinic/sub-01")
    arrays = open_cache(site).arrays.values()
    assert summary.cache_bytes >= sum(array.nbytes for array in arrays)


def test_volumes_are_copied_bit_for_bit_and_sidecars_without_people(source: Path, tmp_path: Path):
    prepare(source, tmp_path / "root" / "clinic")
    site = tmp_path / "root" / "clinic"
    original = source / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    assert (site / "sub-01" / "T1.nii.gz").read_bytes() == original.read_bytes()
    unzipped = gzip.decompress((site / "case2" / "T1c.nii.gz").read_bytes())
    assert unzipped == (source / "case2" / "t1ce.nii").read_bytes()
    sidecar = json.loads((site / "sub-01" / "T1.json").read_text())
    assert sidecar["EchoTime"] == 0.012
    assert sidecar["Contrast"] == "T1"
    assert sidecar["SourceFile"] == "sub-01_T1w.nii.gz"
    assert sidecar["SourceSHA256"] == read_volume(original).provenance.sha256
    assert "PatientName" not in sidecar
    assert open_cache(DataRoot(site.parent).site("clinic")).patients["sub-01"].fat_suppressed == (
        False,
        True,
    )


def test_contrasts_on_two_grids_are_registered_to_the_first(
    source: Path, tmp_path: Path, write_head: WriteHead
):
    moved = Geometry.axial(SHAPE, SPACING, (12.0, 17.0, -16.0))
    sidecar = {"EchoTime": 0.1, "PatientName": "X"}
    write_head(source / "case2" / "FLAIR.nii.gz", "FLAIR", seed=1, geometry=moved, sidecar=sidecar)
    site = prepare(source, tmp_path / "root" / "clinic").site
    patient = site.patients()[0]
    study = patient.study()
    assert set(study.volumes) == {"T1", "T1c", "FLAIR"}
    t1, flair = study.volumes["T1"].voxels, study.volumes["FLAIR"].voxels
    assert np.corrcoef(t1.ravel(), flair.ravel())[0, 1] > 0.9
    assert flair.min() >= 0

    facts = json.loads((patient.path / "FLAIR.json").read_text())
    assert facts["RegisteredTo"] == "T1"
    assert facts["MutualInformationAfter"] >= facts["MutualInformationBefore"]
    assert facts["EchoTime"] == 0.1
    assert "PatientName" not in facts
    transform = site.path / "preparation" / "case2" / "FLAIR-to-T1.tfm"
    assert SimpleITK.ReadTransform(str(transform)).GetDimension() == 3
    kept = gzip.decompress((patient.path / "T1c.nii.gz").read_bytes())
    assert kept == (source / "case2" / "t1ce.nii").read_bytes()
    assert json.loads((patient.path / "T1c.json").read_text())["Resampled"] is False


def test_patient_that_fails_is_told_and_left_out(
    source: Path, tmp_path: Path, write_head: WriteHead
):
    elsewhere = Geometry.axial(SHAPE, SPACING, (900.0, 15.5, -18.0))
    write_head(source / "case2" / "FLAIR.nii.gz", "FLAIR", geometry=elsewhere)
    heard: list[str] = []
    options = PrepareOptions(jobs=1)
    (summary,) = prepare_sites(source, tmp_path / "root" / "clinic", options, note=heard.append)
    assert [patient.identifier for patient in summary.patients] == ["sub-01"]
    assert [record.identifier for record in summary.failed] == ["case2"]
    assert "share no place" in summary.failed[0].failure
    assert any("clinic/case2 failed" in line for line in heard)
    assert sorted(path.name for path in summary.site.path.iterdir()) == [
        "cache", "patients.tsv", "preparation", "site.toml", "sub-01",
    ]  # fmt: skip
    assert list(open_cache(summary.site).patients) == ["sub-01"]
    assert "case2" in (summary.site.path / "preparation" / "report.html").read_text()


def test_where_every_patient_fails_nothing_is_left(
    source: Path, tmp_path: Path, write_head: WriteHead
):
    elsewhere = Geometry.axial(SHAPE, SPACING, (900.0, 15.5, -18.0))
    write_head(source / "case2" / "FLAIR.nii.gz", "FLAIR", geometry=elsewhere)
    shutil.rmtree(source / "sub-01")
    with pytest.raises(InputError, match=r"no patient could be prepared.*case2.*share no place"):
        prepare(source, tmp_path / "root" / "clinic")
    assert not (tmp_path / "root").exists()


def test_site_of_contrasts_on_two_grids_is_refused(make_site: MakeSite, write_head: WriteHead):
    site = make_site()
    moved = Geometry.axial(SHAPE, SPACING, (12.0, 17.0, -16.0))
    write_head(site.path / "p1" / "FLAIR.nii.gz", "FLAIR", geometry=moved)
    with pytest.raises(InputError, match=r"FLAIR of patient p1 does not lie.*prepare registers"):
        prepare(site.path)


def test_patient_whose_brain_is_not_found_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def none(scan: Volume, atlases: list[str]) -> NDArray[np.bool_]:
        raise InputError("no brain was found", where=scan.provenance.name)

    monkeypatch.setattr("omnisyn.preparation.brain.read_atlas", lambda path: path.name)
    monkeypatch.setattr("omnisyn.preparation.brain.brain_mask", none)
    with pytest.raises(InputError, match=r"case2: case2/T1.*no brain was found"):
        prepare(source, tmp_path / "root" / "brains", brain_atlases=(Path("one"),))


def test_brain_alone_is_kept_where_atlases_are_given(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # How the brain is found is tested with brain itself; here, what becomes of the site.
    def middle(scan: Volume, atlases: list[str]) -> NDArray[np.bool_]:
        assert atlases == ["one", "two"]
        mask = np.zeros(scan.geometry.shape, dtype=bool)
        mask[8:20, 8:24, 2:8] = True
        return mask

    monkeypatch.setattr("omnisyn.preparation.brain.read_atlas", lambda path: path.name)
    monkeypatch.setattr("omnisyn.preparation.brain.brain_mask", middle)
    prepare(source, tmp_path / "root" / "whole")
    site = prepare(
        source, tmp_path / "root" / "brains", brain_atlases=(Path("one"), Path("two"))
    ).site
    whole = DataRoot(tmp_path / "root").site("whole")
    for patient, same in zip(site.patients(), whole.patients(), strict=True):
        for name, volume in patient.study().volumes.items():
            mask = middle(volume, ["one", "two"])
            before = same.volume(name)
            assert volume.geometry.matches(before.geometry)
            np.testing.assert_array_equal(volume.voxels, np.where(mask, before.voxels, 0))
            assert json.loads((patient.path / f"{name}.json").read_text())["BrainOnly"] is True
    assert len(open_cache(site).patients) == 2
    with pytest.raises(UsageError, match="brain alone cannot be kept"):
        prepare(site.path, brain_atlases=(Path("one"),))


@pytest.mark.parametrize(
    ("put", "reason"), [(os.mkfifo, "a pipe"), (lambda p: p.symlink_to("gone"), "leads nowhere")]
)
def test_what_has_the_name_of_a_contrast_and_is_no_file_fails(
    source: Path, tmp_path: Path, put: Callable[[Path], None], reason: str
):
    put(source / "case2" / "FLAIR.nii.gz")
    (failed,) = attempt(source, tmp_path / "root" / "clinic").failed
    assert re.search(rf"FLAIR\.nii\.gz: .*{reason}", failed.failure)


def test_mask_on_no_grid_of_its_patient_is_left_out_and_told(source: Path, tmp_path: Path):
    write_volume(
        source / "case2" / "tumor.nii.gz", np.ones((4, 4, 4)), Geometry((4,) * 3, np.eye(4))
    )
    patient, _ = prepare(source, tmp_path / "root" / "clinic").patients
    assert patient.masks == ()
    assert "tumour left out: tumor.nii.gz: the mask lies on the grid of no scan" in patient.flags[0]


def test_mask_drawn_on_a_scan_that_moved_moves_with_it(
    source: Path, tmp_path: Path, write_head: WriteHead
):
    moved = Geometry.axial(SHAPE, SPACING, (12.0, 17.0, -16.0))
    write_head(source / "case2" / "FLAIR.nii.gz", "FLAIR", seed=1, geometry=moved)
    marker = np.zeros(SHAPE, np.uint8)
    marker[4:6, 8:11, 6:9] = 1
    write_volume(
        source / "case2" / "FLAIR_lesions.nii.gz", moved.from_slices(marker), moved, dtype="uint8"
    )
    study = prepare(source, tmp_path / "root" / "clinic").site.patients()[0].study()
    found = study.geometry.to_slices(study.masks["lesions"])
    overlap = 2 * (found & (marker > 0)).sum() / (found.sum() + marker.sum())
    assert overlap > 0.7


def test_masks_come_along(source: Path, tmp_path: Path):
    geometry = read_volume(source / "case2" / "T1.nii.gz").geometry
    mask = np.zeros(geometry.shape, dtype=np.uint8)
    mask[3:6, 4:9, 2:4] = 1
    write_volume(source / "case2" / "T1_tumor.nii.gz", mask, geometry, dtype="uint8")
    summary = prepare(source, tmp_path / "root" / "clinic")
    assert summary.patients[0].masks == ("tumour",)
    study = summary.site.patients()[0].study()
    assert np.array_equal(study.masks["tumour"], mask.astype(bool))


def test_columns_that_name_people_stay_behind(source: Path, tmp_path: Path):
    (source / "participants.tsv").write_text(
        "participant_id\tname\tPatientBirthDate\tT\nsub-01\tSecret\t19600229\t3\n"
    )

    prepare(source, tmp_path / "root" / "clinic")

    table = (tmp_path / "root" / "clinic" / "patients.tsv").read_text()
    assert "Secret" not in table
    assert "19600229" not in table
    assert "T" in table.splitlines()[0].split("\t")


def test_known_facts_of_participants_come_along(source: Path, tmp_path: Path):
    (source / "participants.tsv").write_text("participant_id\tT\tstage\nsub-01\t3\tn/a\n")
    site = prepare(source, tmp_path / "root" / "clinic").site
    tags = {patient.identifier: patient.tags for patient in site.patients()}
    assert tags == {"case2": {}, "sub-01": {"T": "3"}}


def test_repeated_scans_share_a_subject(tmp_path: Path, write_head: WriteHead):
    for visit in ("study1", "study2"):
        write_head(tmp_path / "source" / "p1" / visit / "T1.nii.gz")
    site = prepare(tmp_path / "source", tmp_path / "root" / "clinic").site
    assert {patient.tags["subject"] for patient in site.patients()} == {"p1"}


def test_own_form_gets_its_cache_in_place_and_nothing_else(make_site: MakeSite):
    site = make_site()

    def volumes() -> dict[str, bytes]:
        files = (path for path in site.path.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files if "cache" not in path.parts}

    before = volumes()
    summary = prepare(site.path)
    assert summary.in_place
    assert len(summary.patients) == 4
    assert volumes() == before
    assert len(open_cache(site).patients) == 4
    assert prepare(site.path, site.path).cache_bytes == summary.cache_bytes


def test_site_whose_prepare_was_killed_before_listing_it_is_listed_in_place(
    make_site: MakeSite, tmp_path: Path
):
    make_site("sim-a")
    unlisted = make_site("sim-b")
    root = DataRoot(tmp_path / "root")
    (root.path / "sites.toml").write_text('sites = ["sim-a"]\n')
    prepare(unlisted.path)
    assert root.names() == ("sim-a", "sim-b")
    (root.path / "sites.toml").unlink()
    prepare(unlisted.path)
    assert not (root.path / "sites.toml").exists()


def test_site_that_exists_is_kept_unless_overwriting_is_allowed(source: Path, tmp_path: Path):
    out = tmp_path / "root" / "clinic"
    prepare(source, out)
    with pytest.raises(InputError, match="exists already"):
        prepare(source, out)
    prepare(source, out, role="external", overwrite=True)
    assert DataRoot(out.parent).select("external")[0].name == "clinic"
    assert DataRoot(out.parent).names() == ("clinic",)


def test_overwriting_replaces_a_site_or_an_empty_folder_and_nothing_else(
    source: Path, tmp_path: Path
):
    out = tmp_path / "root" / "clinic"
    out.mkdir(parents=True)
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="clinic: what is there is no site"):
        prepare(source, out, overwrite=True)
    assert (out / "thesis.txt").read_text() == "precious"
    (out / "thesis.txt").rename(out.with_name("other"))
    with pytest.raises(InputError, match="other: what is there is no site"):
        prepare(source, out.with_name("other"), overwrite=True)
    assert out.with_name("other").read_text() == "precious"
    assert prepare(source, out, overwrite=True).site.name == "clinic"


def test_sidecars_that_strict_json_cannot_hold_are_copied_without_what_is_odd(
    source: Path, tmp_path: Path
):
    sidecar = source / "sub-01" / "anat" / "sub-01_T1w.json"
    sidecar.write_text('{"EchoTime": NaN, "a": 1e400, "b": "\\ud800", "patient_id": "x", "c": 1}')
    prepare(source, tmp_path / "root" / "clinic")
    copied = json.loads((tmp_path / "root" / "clinic" / "sub-01" / "T1.json").read_text())
    assert set(copied) == {"c", "Contrast", "SourceFile", "SourceForm", "SourceSHA256"}


def test_a_source_given_as_a_dot_is_called_by_its_name(
    source: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(source)
    with pytest.raises(UsageError, match=r"^source: .*--out ROOT/SITE"):
        prepare(Path("."))
    with pytest.raises(InputError, match=r"^source: the source lies inside the site"):
        prepare(Path("case2"), Path("."), overwrite=True)


def test_simulated_volumes_make_a_simulated_site_only(
    tmp_path: Path, source: Path, write_head: WriteHead
):
    simulated = tmp_path / "simulated"
    for name in ("T1", "T2"):
        write_head(simulated / "p1" / f"{name}.nii.gz", name, sidecar={"Simulated": True})
    with pytest.raises(InputError, match="exactly where it is simulated"):
        prepare(simulated, tmp_path / "root" / "clinic")
    assert prepare(simulated, tmp_path / "root" / "sim-clinic").site.settings.simulated
    with pytest.raises(InputError, match="exactly where it is simulated"):
        prepare(source, tmp_path / "root" / "sim-real")
    write_head(source / "case2" / "FLAIR.nii.gz", "FLAIR", sidecar={"Simulated": True})
    with pytest.raises(InputError, match="simulated and real volumes are mixed"):
        prepare(source, tmp_path / "root" / "clinic")


def test_name_of_the_public_dataset_is_kept_for_it(source: Path, tmp_path: Path):
    with pytest.raises(InputError, match="13131827"):
        prepare(source, tmp_path / "root" / "external2")


def test_source_inside_the_new_site_is_never_replaced(source: Path):
    with pytest.raises(InputError, match="inside the site to be made"):
        prepare(source / "case2", source, overwrite=True)
    assert (source / "case2" / "T1.nii.gz").is_file()


def test_calls_that_make_no_sense_are_refused(source: Path, tmp_path: Path, make_site: MakeSite):
    site = make_site()
    with pytest.raises(InputError, match="no such folder"):
        prepare(source / "gone")
    with pytest.raises(InputError, match="is no folder"):
        prepare(site.path / "patients.tsv")
    with pytest.raises(UsageError, match="--out ROOT/SITE"):
        prepare(source)
    with pytest.raises(UsageError, match="leave --out away"):
        prepare(site.path, tmp_path / "root" / "clinic")
    with pytest.raises(UsageError, match="role cannot be given"):
        prepare(site.path, role="external")
    with pytest.raises(UsageError, match="is a data root"):
        prepare(site.path.parent, tmp_path / "other" / "clinic")


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data/real/ms_mni is not here")
def test_real_patients_keep_their_orientation(tmp_path: Path):
    one = tmp_path / "source" / "patient07"
    one.mkdir(parents=True)
    for name in ("T1", "lesions"):
        (one / f"{name}.nii.gz").symlink_to(REAL / "patient07" / f"{name}.nii.gz")
    site = prepare(tmp_path / "source", tmp_path / "root" / "real", role="external").site
    study = site.patients()[0].study()
    cached = open_cache(site).arrays["patient07"][:, 0]
    np.testing.assert_allclose(cached, study.scaled("T1"), atol=5e-4)
    # The right front quarter of the frame, by the file's affine and in the picture.
    grid = study.geometry
    world = np.einsum("ij,j...->i...", grid.affine[:3, :3], np.indices(grid.shape))
    right, front = (world[axis] > world[axis].mean() for axis in (0, 1))
    rows, columns = cached.shape[1:]
    in_picture = np.zeros(cached.shape, dtype=bool)
    in_picture[:, : rows // 2, : columns // 2] = True
    assert np.array_equal(grid.to_slices(right & front), in_picture)
    assert study.masks["lesions"].any()


def test_a_run_that_was_stopped_goes_on_where_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made: list[str] = []

    def prepare_one(patient: FoundPatient, options: PatientOptions, staging: Staging) -> object:
        if len(made) == 1 and stopping:
            raise KeyboardInterrupt
        made.append(patient.identifier)
        return prepare_patient(patient, options, staging)

    monkeypatch.setattr("omnisyn.preparation.workers.prepare_patient", prepare_one)
    stopping = True
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "root" / "clinic")
    assert not (tmp_path / "root" / "clinic").exists()
    stopping = False
    summary = prepare(source, tmp_path / "root" / "clinic")
    assert made == ["case2", "sub-01"]
    assert [patient.identifier for patient in summary.patients] == ["case2", "sub-01"]
    assert [path.name for path in (tmp_path / "root").iterdir() if path.is_dir()] == ["clinic"]


def test_a_patient_whose_files_changed_meanwhile_is_made_anew(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_head: WriteHead
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("omnisyn.preparation.prepare._assemble", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(source, tmp_path / "root" / "clinic")
    write_head(source / "case2" / "T1.nii.gz", "T1", seed=9)
    (source / "sub-01" / "anat" / "sub-01_T2w.nii.gz").unlink()
    site = prepare(source, tmp_path / "root" / "clinic").site
    case2, sub01 = site.patients()
    now, then = (case2.volume("T1"), read_volume(source / "case2" / "T1.nii.gz"))
    assert np.array_equal(now.voxels, then.voxels)
    assert sub01.contrasts() == ("T1",)


def test_several_processes_make_the_same_site_as_one(source: Path, tmp_path: Path):
    alone = prepare(source, tmp_path / "alone" / "clinic").site.path
    several = prepare(source, tmp_path / "several" / "clinic", jobs=2).site.path
    for path in sorted(alone.rglob("*.nii.gz")):
        assert (several / path.relative_to(alone)).read_bytes() == path.read_bytes()
    assert sorted(p.relative_to(alone) for p in alone.rglob("*")) == sorted(
        p.relative_to(several) for p in several.rglob("*")
    )


def test_a_process_that_ends_takes_nobody_with_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crashing))
    with pytest.raises(InputError, match="its process ended with code -11"):
        attempt(source, tmp_path / "root" / "clinic", jobs=2)


def test_several_sites_of_one_source(source: Path, tmp_path: Path):
    (source / "prepare.toml").write_text(
        '[sites.north]\nfolder = "case2"\nrole = "internal"\nhospital = "North"\n'
        '[sites.south]\nfolder = "sub-01"\nscanner = "GE"\n'
    )
    options = PrepareOptions(jobs=1)
    north, south = prepare_sites(source, tmp_path / "root", options)
    assert (north.site.settings.role, north.site.settings.hospital) == ("internal", "North")
    assert (south.site.settings.role, south.site.settings.scanner) == ("train", "GE")
    assert DataRoot(tmp_path / "root").names() == ("north", "south")
    assert [patient.identifier for patient in south.patients] == ["sub-01"]


def test_reference_brain_mask_and_filters(source: Path, tmp_path: Path):
    geometry = read_volume(source / "case2" / "T1.nii.gz").geometry
    brain = np.zeros(geometry.shape, np.uint8)
    brain[8:20, 8:24, 2:8] = 1
    write_volume(source / "case2" / "hdbet_out.nii.gz", brain, geometry, dtype="uint8")
    summary = prepare(
        source,
        tmp_path / "root" / "clinic",
        subjects=("case2",),
        reference="T1c",
        brain_mask="hdbet*",
    )
    (patient,) = summary.site.patients()
    assert summary.site.settings.reference == "T1c"
    assert patient.masks() == ()
    volume = patient.volume("T1")
    assert not volume.voxels[brain == 0].any()
    assert volume.voxels[brain == 1].any()
    with pytest.raises(UsageError, match=r"no subject 'case3'.*case2"):
        prepare(source, tmp_path / "root" / "other", subjects=("case3",))


def test_unknown_options_are_refused(source: Path, tmp_path: Path):
    for option, value in (("transform", "fluid"), ("registration", "elastix"), ("role", "friend")):
        with pytest.raises(UsageError, match=f"unknown {option} '{value}'"):
            prepare(source, tmp_path / "root" / "clinic", **{option: value})
    with pytest.raises(UsageError, match="unknown contrast 'T9'"):
        prepare(source, tmp_path / "root" / "clinic", reference="T9")


def test_a_plan_writes_nothing(source: Path, tmp_path: Path):
    (site,) = plan(source, tmp_path / "root" / "clinic", PrepareOptions())
    assert [patient.identifier for patient in site.found.patients] == ["case2", "sub-01"]
    assert site.settings.name == "clinic"
    assert not (tmp_path / "root").exists()
