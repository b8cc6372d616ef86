import gzip
import math

import numpy as np
import pytest

from omnisyn.errors import InputError
from omnisyn.evaluation import scoring
from omnisyn.evaluation.controls import BLIND, CONTROLS, COPY, ORACLE, SHIFTED, CurveSums
from omnisyn.evaluation.results import MODEL
from omnisyn.evaluation.scoring import (
    Scope,
    directions_among,
    evaluate_site,
    slices_in_scope,
)
from omnisyn.volumes.normalize import scale


def invert(sources, target):
    """A toy model: one minus the first source, in the head."""
    volume = next(iter(sources.values()))
    slices = volume.geometry.to_slices(scale(volume.voxels))
    return np.where(slices > 0, 1 - slices, 0)


def find(scores, patient, direction, method):
    return next(
        row
        for row in scores.rows
        if (row.patient, row.direction, row.method) == (patient, direction, method)
    )


def test_directions_run_over_all_ordered_pairs():
    names = [direction.name for direction in directions_among(["T2", "T1", "T1c"])]
    assert names == ["T1→T1c", "T1→T2", "T1c→T1", "T1c→T2", "T2→T1", "T2→T1c"]
    assert directions_among(["T1"]) == ()


def test_several_sources_add_all_others_to_each():
    names = [item.name for item in directions_among(["T1", "T1c", "T2"], several_sources=True)]
    assert names[6:] == ["T1c+T2→T1", "T1+T2→T1c", "T1+T1c→T2"]
    assert len(directions_among(["T1", "T2"], several_sources=True)) == 2


def test_every_patient_and_direction_is_scored_beside_all_controls(make_site):
    scores = evaluate_site(make_site(), invert)
    assert len(scores.rows) == 3 * 6 * (1 + len(CONTROLS))
    assert not scores.failures
    assert scores.simulated
    row = find(scores, "sub-01", "T1→T2", MODEL)
    assert 0 < row.values["ssim_head"] <= 1
    assert row.slices == 4
    assert "psnr_tumour" in row.values


def test_controls_order_as_they_must(make_site):
    scores = evaluate_site(make_site(), invert)
    for direction in ("T1→T2", "T2→T1c"):
        copied, blind, oracle, shifted = (
            find(scores, "sub-00", direction, method).values["psnr_head"] for method in CONTROLS
        )
        assert copied < blind <= oracle
        assert shifted < oracle
    assert (COPY, BLIND, ORACLE, SHIFTED) == CONTROLS


def test_a_monotone_contrast_is_all_but_solved_by_the_blind_curve(make_site):
    scores = evaluate_site(make_site(), invert)
    assert find(scores, "sub-02", "T1→T1c", BLIND).values["psnr_head"] > 30


def test_the_blind_curve_never_sees_its_own_patient(make_site, monkeypatch):
    site = make_site(patients=2)
    truth = {
        patient.identifier: patient.study(masks=()).scaled("T2") for patient in site.patients()
    }
    seen = []
    build = scoring.build_controls

    def watch(target, sources, head, others):
        if others and len(sources) == 1:
            seen.append((target, others))
        return build(target, sources, head, others)

    monkeypatch.setattr(scoring, "build_controls", watch)
    evaluate_site(site, invert)
    assert len(seen) == 12
    studies = {patient.identifier: patient.study(masks=()) for patient in site.patients()}
    other = {"sub-00": "sub-01", "sub-01": "sub-00"}
    checked = 0
    for target, others in seen:
        (source, sums) = next(iter(others.items()))
        for patient, slices in truth.items():
            if source == "T1" and np.array_equal(target, slices):
                study = studies[other[patient]]
                pair = study.scaled("T1"), study.scaled("T2")
                expected = CurveSums.measure(*pair, scoring.head_mask(list(pair)))
                np.testing.assert_array_equal(sums.totals, expected.totals)
                checked += 1
    assert checked == 2


def test_two_scans_of_one_subject_are_left_out_together(make_site):
    tags = {"sub-00": {"subject": "anna"}, "sub-01": {"subject": "anna"}}
    scores = evaluate_site(make_site(patients=2, tags=tags), invert)
    assert {row.method for row in scores.rows} == {MODEL, COPY, ORACLE, SHIFTED}
    assert {row.subject for row in scores.rows} == {"sim-one/anna"}


def test_curves_are_fitted_on_the_sites_training_patients_where_it_has_some(make_site, monkeypatch):
    tags = {f"sub-{n:02d}": {"split": split} for n, split in enumerate(("train", "train", "test"))}
    fitted: dict[str, set[str]] = {}
    original = scoring._sums_without

    def watched(subject, direction, measured):
        fitted[subject] = {patient.identifier for patient, _ in measured}
        return original(subject, direction, measured)

    monkeypatch.setattr(scoring, "_sums_without", watched)
    scores = evaluate_site(make_site(patients=3, tags=tags), invert)
    assert fitted["sim-one/sub-02"] == {"sub-00", "sub-01"}
    assert find(scores, "sub-02", "T1→T2", BLIND).values["psnr_head"] > 10
    assert scores.fitted_on == "the site's 2 training patients (leave-one-out)"


def test_a_single_patient_has_no_blind_curve(make_site):
    scores = evaluate_site(make_site(patients=1), invert)
    assert BLIND not in {row.method for row in scores.rows}
    assert not scores.failures


def test_patients_with_fewer_contrasts_are_scored_in_what_they_have(make_site):
    patients = {"sub-00": ("T1", "T2"), "sub-01": ("T1", "T1c", "T2"), "sub-02": ("T1",)}
    scores = evaluate_site(make_site(patients=patients), invert)
    assert {row.direction for row in scores.rows if row.patient == "sub-00"} == {"T1→T2", "T2→T1"}
    assert scores.notes == ("sub-02: no direction to score",)
    assert not scores.failures


def test_a_model_that_fails_on_one_case_costs_that_case_only(make_site):
    def moody(sources, target):
        if target == "T1c" and "T2" in sources:
            raise RuntimeError("cannot open /home/John Doe/private/weights.bin")
        return invert(sources, target)

    scores = evaluate_site(make_site(), moody)
    assert [failure.direction for failure in scores.failures] == ["T2→T1c"] * 3
    assert scores.failures[0].reason == "RuntimeError: cannot open weights.bin"
    assert len(scores.rows) == 3 * 5 * 5


def test_a_prediction_of_another_shape_is_a_counted_failure(make_site):
    scores = evaluate_site(make_site(patients=1), lambda sources, target: np.zeros((1, 2, 3)))
    assert len(scores.failures) == 6
    assert "shape" in scores.failures[0].reason
    assert scores.rows == ()


def test_a_damaged_patient_is_counted_and_the_others_are_scored(make_site):
    site = make_site()
    path = site.path / "sub-01" / "T2.nii.gz"
    path.write_bytes(gzip.compress(b"no image"))
    scores = evaluate_site(site, invert)
    assert [failure.patient for failure in scores.failures] == ["sub-01"]
    assert {row.patient for row in scores.rows} == {"sub-00", "sub-02"}


def test_a_damaged_mask_is_a_counted_failure(make_site):
    site = make_site(patients=2)
    (site.path / "sub-00" / "tumour.nii.gz").write_bytes(b"no image")
    scores = evaluate_site(site, invert)
    assert [failure.patient for failure in scores.failures] == ["sub-00"]
    assert {row.patient for row in scores.rows} == {"sub-01"}


def test_the_true_volume_as_prediction_is_perfect(make_site):
    site = make_site(patients=2)
    studies = {patient.identifier: patient.study() for patient in site.patients()}

    def oracle(sources, target):
        (name, volume) = next(iter(sources.items()))
        study = next(
            study
            for study in studies.values()
            if np.array_equal(study.volumes[name].voxels, volume.voxels)
        )
        return study.scaled(target)

    scores = evaluate_site(site, oracle)
    for row in scores.rows:
        if row.method == MODEL:
            assert row.values["ssim_head"] == pytest.approx(1)
            assert row.values["psnr_head"] == math.inf


def test_examples_show_the_slice_with_most_tumour_of_the_first_patient(make_site):
    scores = evaluate_site(make_site(), invert, several_sources=True)
    assert len(scores.examples) == 9
    example = next(item for item in scores.examples if item.direction == "T1+T1c→T2")
    assert (example.patient, example.slice_index) == ("sub-00", 2)
    assert list(example.images) == ["T1", "T1c", BLIND, MODEL, "true T2"]


def test_progress_runs_to_its_end(make_site):
    calls = []
    evaluate_site(make_site(), invert, progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1] == 36
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


def test_a_site_without_patients_is_refused(make_site):
    with pytest.raises(InputError, match="no patients"):
        evaluate_site(make_site(patients=0), invert)


def test_a_scope_leaves_out_contrasts_slices_and_controls_and_changes_no_figure(make_site):
    site = make_site()
    whole = evaluate_site(site, invert)
    some = evaluate_site(site, invert, scope=Scope(contrasts=("T1", "T2"), slices=4))
    assert {row.direction for row in some.rows} == {"T1→T2", "T2→T1"}
    for row in some.rows:
        assert row.values == find(whole, row.patient, row.direction, row.method).values
    thinned = evaluate_site(site, invert, scope=Scope(slices=2, controls=False))
    assert {row.method for row in thinned.rows} == {MODEL}
    assert {row.slices for row in thinned.rows} == {2}
    assert slices_in_scope(4, 2) == [1, 3]
    assert slices_in_scope(4, None) == slices_in_scope(4, 9) == [0, 1, 2, 3]


def test_controls_can_be_scored_alone(make_site):
    site = make_site()
    alone = evaluate_site(site, None)
    beside = evaluate_site(site, invert)
    assert {row.method for row in alone.rows} == set(CONTROLS)
    for row in alone.rows:
        assert row.values == find(beside, row.patient, row.direction, row.method).values
