import json

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.evaluation.predictions import PredictionFolder, direction_of
from omnisyn.evaluation.results import MODEL
from omnisyn.evaluation.scoring import evaluate_site
from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "ours"
    path.mkdir()
    return path


def put(path, site, patient, name, *, site_folder=False, change=lambda slices: slices, **extra):
    """Write the true T2 of a patient, changed, as a prediction."""
    study = next(item for item in site.patients() if item.identifier == patient).study(masks=())
    place = path / site.name / patient if site_folder else path / patient
    place.mkdir(parents=True, exist_ok=True)
    geometry = extra.pop("geometry", study.geometry)
    voxels = geometry.from_slices(np.asarray(change(study.scaled("T2")), np.float32))
    return write_volume(place / name, voxels, geometry, **extra)


def models(scores):
    return {(row.patient, row.direction): row for row in scores.rows if row.method == MODEL}


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("T1_to_T2.nii.gz", "T1→T2"),
        ("t1ce_to_T2w.nii", "T1c→T2"),
        ("T2+T1_to_T1c.nii.gz", "T1+T2→T1c"),
        ("T1_to_CT.nii.gz", None),
        ("T1_to_T1.nii.gz", None),
        ("T1.nii.gz", None),
        ("T1_to_T2.json", None),
        # The map that says how sure a prediction is.
        ("case7_mod-T2w_desc-synth_uncertainty.nii.gz", None),
    ],
)
def test_direction_is_told_by_the_name(tmp_path, name, direction):
    found = direction_of(tmp_path / name)
    assert (found.name if found else None) == direction


@pytest.mark.parametrize(
    "sidecar",
    [
        {"SourceContrasts": ["T1", "T1c"], "Target": "T2"},
        {"SourceContrasts": ["T1c", "T1"]},
        {"Sources": ["case7_T1.nii.gz", "raw/case7_T1_ce.nii.gz"]},
    ],
)
def test_direction_of_a_derivative_is_told_by_its_sidecar(tmp_path, sidecar):
    (tmp_path / "case7_desc-synth_T2w.json").write_text(json.dumps(sidecar))
    assert direction_of(tmp_path / "case7_desc-synth_T2w.nii.gz").name == "T1+T1c→T2"


@pytest.mark.parametrize("sidecar", [None, {"Sources": ["scan.nii.gz"]}, {"Target": "T2"}])
def test_a_derivative_without_a_direction_is_refused(tmp_path, sidecar):
    if sidecar is not None:
        (tmp_path / "desc-synth_T2w.json").write_text(json.dumps(sidecar))
    with pytest.raises(InputError, match="nothing tells"):
        direction_of(tmp_path / "desc-synth_T2w.nii.gz")


@pytest.mark.parametrize("site_folder", [True, False])
def test_only_the_directions_in_the_folder_are_scored(make_site, folder, site_folder):
    site = make_site(patients=2)
    for patient in ("sub-00", "sub-01"):
        put(folder, site, patient, "T1_to_T2.nii.gz", site_folder=site_folder)
    scores = evaluate_site(site, PredictionFolder(folder))
    assert set(models(scores)) == {("sub-00", "T1→T2"), ("sub-01", "T1→T2")}
    assert all(row.values["ssim_head"] == pytest.approx(1) for row in models(scores).values())


def test_a_missing_prediction_is_a_counted_failure(make_site, folder):
    site = make_site(patients=2)
    put(folder, site, "sub-00", "T1_to_T2.nii.gz")
    scores = evaluate_site(site, PredictionFolder(folder))
    assert [(item.patient, item.direction) for item in scores.failures] == [("sub-01", "T1→T2")]
    assert set(models(scores)) == {("sub-00", "T1→T2")}


def test_predictions_are_clipped_and_never_rescaled(make_site, folder):
    site = make_site(patients=2)
    put(folder, site, "sub-00", "T1_to_T2.nii.gz", change=lambda slices: 0.5 * slices)
    put(folder, site, "sub-01", "T1_to_T2.nii.gz", change=lambda slices: 4095 * slices)
    found = models(evaluate_site(site, PredictionFolder(folder)))
    assert found["sub-00", "T1→T2"].values["psnr_head"] < 20
    assert found["sub-00", "T1→T2"].clipped == 0
    assert found["sub-01", "T1→T2"].values["psnr_head"] < 20
    assert found["sub-01", "T1→T2"].clipped > 0.9


def test_another_affine_or_shape_is_refused(make_site, folder):
    site = make_site(patients=2)
    affine = site.patients()[0].study().geometry.affine.copy()
    affine[0, 3] += 1
    moved = Geometry((40, 44, 4), affine)
    put(folder, site, "sub-00", "T1_to_T2.nii.gz", geometry=moved)
    smaller = Geometry.axial((3, 44, 40), (4.0, 1.0, 1.0))
    put(
        folder,
        site,
        "sub-01",
        "T1_to_T2.nii.gz",
        geometry=smaller,
        change=lambda slices: slices[:3],
    )
    scores = evaluate_site(site, PredictionFolder(folder))
    reasons = [failure.reason for failure in scores.failures]
    assert len(reasons) == 2
    assert "affines differ" in reasons[0]
    assert "40×44×3 voxels against 40×44×4" in reasons[1]
    assert scores.rows == ()


def test_two_files_of_one_direction_are_refused(make_site, folder):
    site = make_site(patients=1)
    put(folder, site, "sub-00", "T1_to_T2.nii.gz")
    put(folder, site, "sub-00", "T1w_to_T2w.nii.gz")
    with pytest.raises(InputError, match="two predictions of T1→T2"):
        evaluate_site(site, PredictionFolder(folder))


def test_several_sites_need_a_folder_each(make_site, folder):
    site = make_site(patients=1)
    put(folder, site, "sub-00", "T1_to_T2.nii.gz")
    with pytest.raises(InputError, match="no prediction for a patient of site sim-one"):
        evaluate_site(site, PredictionFolder(folder, ["sim-one", "sim-two"]))
    put(folder, site, "sub-00", "T1_to_T2.nii.gz", site_folder=True)
    assert models(evaluate_site(site, PredictionFolder(folder, ["sim-one", "sim-two"])))


def test_a_folder_without_predictions_or_none_at_all_is_refused(make_site, folder):
    with pytest.raises(InputError, match="no prediction"):
        evaluate_site(make_site(), PredictionFolder(folder))
    with pytest.raises(InputError, match="does not exist"):
        PredictionFolder(folder / "nowhere")
