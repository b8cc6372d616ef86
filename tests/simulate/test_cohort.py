import pytest
import torch

from omnisyn.errors import InputError, UsageError
from omnisyn.simulate.cohort import (
    cohort_patient,
    load_cohort,
    patient_generator,
    simulate_cohort,
)
from omnisyn.studies.site import DataRoot


def test_the_large_cohort_has_the_papers_twenty_six_validation_sites():
    sites = load_cohort("hospitals").settings.sites
    names = {role: [s.name for s in sites if s.role == role] for role in ("internal", "external")}
    assert names["internal"] == [f"sim-internal{number:02d}" for number in range(1, 14)]
    assert names["external"] == [f"sim-external{number}" for number in range(1, 14)]
    training = [site for site in sites if site.role == "train"]
    assert [s.name for s in training] == [f"sim-hospital{number:02d}" for number in range(1, 14)]
    held_out = [site for site in sites if site.role == "internal"]
    assert [s.profile for s in training] == [s.profile for s in held_out]
    assert [s.hospital for s in training] == [s.hospital for s in held_out]


def test_shared_external_sites_hold_the_same_patients_in_both_cohorts():
    demo, hospitals = load_cohort("demo"), load_cohort("hospitals")
    assert demo.settings.seed == hospitals.settings.seed
    for name in ("sim-external1", "sim-external2"):
        assert demo.site(name) == hospitals.site(name)
        profile = demo.site(name).profile
        assert demo.profiles[profile] == hospitals.profiles[profile]


def test_the_demo_is_three_small_sites():
    sites = load_cohort("demo").settings.sites
    assert [(site.name, site.role) for site in sites] == [
        ("sim-internal", "internal"),
        ("sim-external1", "external"),
        ("sim-external2", "external"),
    ]
    assert all(site.patients <= 5 for site in sites)


def test_patients_differ_by_site_number_and_seed():
    drawn = {
        float(torch.rand((), generator=patient_generator(*key)))
        for key in ((1, "sim-a", 1), (1, "sim-a", 2), (1, "sim-b", 1), (2, "sim-a", 1))
    }
    assert len(drawn) == 4


def test_a_cohort_is_written_in_the_form_of_a_data_root(small_cohort, ellipsoids, tmp_path):
    seen = []
    written = simulate_cohort(
        small_cohort,
        tmp_path,
        anatomy=ellipsoids,
        progress=lambda done, total, what: seen.append((done, total, what)),
    )
    root = DataRoot(tmp_path)
    assert root.names() == ("sim-hospital01", "sim-hospital02", "sim-external1")
    assert [site.name for site in written] == list(root.names())
    assert seen[0] == (1, 6, "sim-hospital01/001")
    assert seen[-1] == (6, 6, "sim-external1/002")
    site = root.site("sim-external1")
    assert site.settings.simulated
    assert "SIMULATED" in site.settings.description
    patients = site.patients()
    assert [patient.identifier for patient in patients] == ["001", "002"]
    tags = patients[0].tags
    assert (tags["T"], tags["N"], tags["M"], tags["stage"]) == ("T2", "N1", "M0", "II")
    assert tags["split"] == "test"
    study = patients[0].study()
    assert set(study.masks) == {"tumour", "nodes", "head"}
    again = cohort_patient(small_cohort, small_cohort.site(site.name), 1, anatomy=ellipsoids)
    assert (study.volumes["T2"].slices() == again.images["T2"].numpy()).all()
    assert patients[0].fat_suppressed("T2") == again.acquisitions["T2"].fat_suppressed
    training = root.site("sim-hospital01").patients()
    assert {patient.tags["split"] for patient in training} == {"train", "validation"}


def test_an_existing_site_is_refused_and_replaced_when_asked(small_cohort, ellipsoids, tmp_path):
    options = {"sites": ["sim-external1"], "patients": 1, "anatomy": ellipsoids}
    simulate_cohort(small_cohort, tmp_path, **options)
    table = (tmp_path / "sim-external1" / "patients.tsv").read_text()
    with pytest.raises(InputError, match="exists"):
        simulate_cohort(small_cohort, tmp_path, **options)
    simulate_cohort(small_cohort, tmp_path, **options, seed=99, overwrite=True)
    assert (tmp_path / "sim-external1" / "patients.tsv").read_text() != table
    (tmp_path / "sim-external1" / "site.toml").unlink()
    with pytest.raises(InputError, match="sim-external1: what is there is no site"):
        simulate_cohort(small_cohort, tmp_path, **options, overwrite=True)


def test_sites_are_chosen_by_name_or_role(small_cohort):
    assert [site.name for site in small_cohort.select(["train"])] == [
        "sim-hospital01",
        "sim-hospital02",
    ]
    assert len(small_cohort.select(["external", "sim-hospital02"])) == 2
    with pytest.raises(UsageError, match="sim-external1"):
        small_cohort.select(["sim-external9"])


def test_a_cohort_of_ones_own_may_use_shipped_profiles(tmp_path):
    site = 'name = "sim-mine"\nrole = "train"\nprofile = "{}"\npatients = 1\nhospital = "mine"\n'
    head = 'name = "mine"\ndescription = "SIMULATED"\nseed = 3\n[[sites]]\n'
    path = tmp_path / "mine.toml"
    path.write_text(head + site.format("hospital03"))
    assert load_cohort(path).profiles["hospital03"].scanners[0].vendor == "Philips"
    path.write_text(head + site.format("hospital99"))
    with pytest.raises(InputError, match="hospital99"):
        load_cohort(path)
    path.write_text(head + site.format("hospital03").replace("sim-mine", "external2"))
    with pytest.raises(InputError, match="name"):
        load_cohort(path)


def test_a_profile_of_ones_own_says_only_what_differs_from_a_shipped_one(tmp_path):
    cohort = tmp_path / "mine.toml"
    cohort.write_text(
        'name = "mine"\ndescription = "d"\nseed = 1\n[[sites]]\nname = "sim-mine"\n'
        'role = "train"\nprofile = "thin"\npatients = 1\nhospital = "h"\n'
    )
    (tmp_path / "profiles").mkdir()
    profile = tmp_path / "profiles" / "thin.toml"
    profile.write_text('base = "external2"\n[effects]\nphase_encode = "columns"\n')
    shipped = load_cohort("demo").profiles["external2"]
    effects = shipped.effects.model_copy(update={"phase_encode": "columns"})
    assert shipped.effects.phase_encode == "rows"
    assert load_cohort(cohort).profiles["thin"] == shipped.model_copy(update={"effects": effects})
    profile.write_text('base = "external99"\n')
    with pytest.raises(InputError, match="the base 'external99' is no shipped profile"):
        load_cohort(cohort)


def test_an_unknown_cohort_is_a_usage_error():
    with pytest.raises(UsageError, match="demo"):
        load_cohort("dmeo")
