"""The public dataset, from a server that breaks off to a site: on a miniature of it."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import omnisyn
from omnisyn.errors import InputError, ResourceError
from omnisyn.preparation.fetch.external2 import EXTERNAL2, Published, fetch_external2
from omnisyn.preparation.images import TO_LPS
from omnisyn.preparation.options import PrepareOptions
from omnisyn.preparation.prepare import PrepareSummary, prepare
from omnisyn.studies.patients_table import read_patients_table
from omnisyn.studies.site import DataRoot
from tests.external2_miniature import EMPTY_PATIENT, Truth
from tests.file_server import FileServer
from tests.tiny_weights import save_tiny

UNREGISTERED = PrepareOptions(jobs=1, registration="none")


@pytest.fixture(scope="module")
def published(miniature: Truth) -> Published:
    """The miniature's archive in the place of the real one, whose hash it cannot have."""
    return Published(EXTERNAL2.record, miniature.archive.name, miniature.sha256)


@pytest.fixture(scope="module")
def server_folder(miniature: Truth, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(miniature.archive, folder)
    return folder


@pytest.fixture(scope="module")
def fetched(
    miniature: Truth,
    published: Published,
    server_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> PrepareSummary:
    """Fetched over a connection that breaks off twice."""
    out = tmp_path_factory.mktemp("root") / "external2"
    with FileServer(server_folder) as server:
        server.break_off_after = [1000, 200_000]
        summary = fetch_external2(
            out, UNREGISTERED, address=server.address, published=published, wait=lambda _: None
        )
        assert len([asked for asked in server.ranges if asked]) == 2
    return summary


@pytest.fixture(scope="module")
def registered(miniature: Truth, tmp_path_factory: pytest.TempPathFactory) -> PrepareSummary:
    """Two of its patients, registered: to register all takes minutes."""
    out = tmp_path_factory.mktemp("registered") / "external2"
    options = PrepareOptions(jobs=2, subjects=("001", "002"))
    (summary,) = prepare(miniature.folder, out, options)
    return summary


def test_every_patient_comes_or_is_told_with_its_reason(fetched: PrepareSummary, miniature: Truth):
    found = {patient.identifier: patient.contrasts for patient in fetched.patients}
    assert found == miniature.contrasts
    told = {record.identifier: record.failure for record in fetched.failed}
    # A folder without files does not come with an archive.
    assert set(told) == set(miniature.why_not) - {EMPTY_PATIENT}
    assert "cut short" in told["006"]
    settings = fetched.site.settings
    assert (settings.name, settings.role, settings.reference) == ("external2", "external", "T1")
    assert "CC BY 4.0" in settings.credit
    assert [path.name for path in fetched.site.path.parent.iterdir() if path.is_dir()] == [
        "external2"
    ]


def test_contrasts_come_to_where_the_t1_shows_the_same(
    registered: PrepareSummary, miniature: Truth
):
    """Against the known motion between the series, in mm, at places within the head."""
    errors = []
    for patient in registered.site.patients():
        study = patient.study()
        grid = study.geometry
        inside = grid.from_slices(study.scaled("T1")) > 0.2
        voxels = np.argwhere(inside)[::997]
        places = voxels @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        for name in patient.contrasts()[1:]:
            file = registered.site.path / "preparation" / patient.identifier / f"{name}-to-T1.tfm"
            transform = SimpleITK.ReadTransform(str(file))
            meant = miniature.motions[patient.identifier][name]
            for place in places:
                expected = (meant @ [*place, 1])[:3]
                reached = transform.TransformPoint((TO_LPS[:3, :3] @ place).tolist())
                errors.append(np.linalg.norm(TO_LPS[:3, :3] @ reached - expected))
    assert np.median(errors) < 1.0
    # Half a slice: of the miniature's there are a dozen, 7 mm apart.
    assert np.percentile(errors, 95) < 3.75


def test_tumours_lie_where_they_were_drawn(registered: PrepareSummary, miniature: Truth):
    for patient in registered.site.patients():
        mask = patient.study().masks["tumour"]
        true = miniature.tumours[patient.identifier]
        assert mask.shape == true.shape
        assert 2 * (mask & true).sum() / (mask.sum() + true.sum()) > 0.6, patient.identifier


def test_the_clinical_table_comes_along(fetched: PrepareSummary, miniature: Truth):
    rows = read_patients_table(fetched.site.path)
    for patient in miniature.contrasts:
        known = {key: value for key, value in miniature.facts[patient].items() if value}
        assert known.items() <= rows[patient].items()


def test_the_report_says_what_was_skipped(fetched: PrepareSummary, miniature: Truth):
    folder = fetched.site.path / "preparation"
    record = json.loads((folder / "record.json").read_text())
    patients = {patient["identifier"]: patient for patient in record["patients"]}
    assert any("shape" in doubt for doubt in patients[miniature.unfit_mask]["doubts"])
    assert patients["001"]["mask_overlap_after"] == patients["001"]["mask_overlap_before"]
    page = (folder / "report.html").read_text()
    assert all(name in page for name in miniature.contrasts)
    assert "cut short" in page


def test_masks_of_three_contrasts_overlap_more_after_registration(registered: PrepareSummary):
    record = json.loads((registered.site.path / "preparation" / "record.json").read_text())
    for patient in record["patients"]:
        assert patient["mask_overlap_after"] > max(0.6, patient["mask_overlap_before"])


def test_evaluate_scores_the_tumour_apart(registered: PrepareSummary, tmp_path: Path):
    weights = save_tiny(tmp_path / "tiny.safetensors")
    done = omnisyn.evaluate(
        ["external2"],
        data=registered.site.path.parent,
        out=tmp_path / "report",
        weights=weights,
        device="cpu",
    )
    assert not done.evaluation.failures
    rows = (tmp_path / "report" / "patients.tsv").read_text().splitlines()
    columns = rows[0].split("\t")
    for row in rows[1:]:
        figures = dict(zip(columns, row.split("\t"), strict=True))
        assert figures["site"] == "external2"
        assert math.isfinite(float(figures["psnr_tumour"]))


def test_an_archive_brought_by_hand_needs_no_network(
    miniature: Truth, published: Published, tmp_path: Path
):
    summary = fetch_external2(
        tmp_path / "external2",
        UNREGISTERED,
        archive=miniature.archive,
        address="http://127.0.0.1:9",
        published=published,
    )
    assert {patient.identifier for patient in summary.patients} == set(miniature.contrasts)
    assert DataRoot(tmp_path).names() == ("external2",)


def test_a_table_brought_beside_the_archive_is_looked_at(
    miniature: Truth, published: Published, tmp_path: Path
):
    brought = tmp_path / "brought"
    brought.mkdir()
    shutil.copy(miniature.archive, brought)
    # One known column more than the archive's own table has.
    columns = "ID,T,N,M,Stage,Sex,Age,EBV DNA,OS months,OS status,Histology"
    rows = [f"{patient},3,2,0,III,M,50,1200,20,0,II" for patient in miniature.facts]
    (brought / "clinical.csv").write_text("\n".join([columns, *rows]))
    options = replace(UNREGISTERED, subjects=("001",))
    summary = fetch_external2(
        tmp_path / "external2",
        options,
        archive=brought / miniature.archive.name,
        published=published,
    )
    assert read_patients_table(summary.site.path)["001"]["EBV"] == "1200"


def test_what_is_not_the_dataset_is_refused(miniature: Truth, published: Published, tmp_path: Path):
    def fetch(out: str = "external2", **options: object) -> None:
        fetch_external2(tmp_path / out, UNREGISTERED, **options)

    with pytest.raises(InputError, match="not the published archive"):
        fetch(archive=miniature.archive)
    with pytest.raises(InputError, match="no such file"):
        fetch(archive=tmp_path / "gone.zip", published=published)
    with pytest.raises(InputError, match="always site external2"):
        fetch("npc", archive=miniature.archive, published=published)
    with pytest.raises(ResourceError, match="--from FILE"):
        fetch(address="http://127.0.0.1:9", wait=lambda _: None)
    (tmp_path / "external2").mkdir()
    with pytest.raises(InputError, match="exists already"):
        fetch(archive=miniature.archive, published=published)
