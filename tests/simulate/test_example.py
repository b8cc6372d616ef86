import pytest

from omnisyn.errors import InputError
from omnisyn.simulate import example
from omnisyn.simulate.cohort import cohort_patient
from omnisyn.volumes.read import read_volume
from omnisyn.volumes.sidecar import read_sidecar


@pytest.fixture
def quick(monkeypatch, ellipsoids, small_demo):
    monkeypatch.setattr(example, "load_cohort", lambda name: {"demo": small_demo}[name])

    def patient(cohort, site, number):
        return cohort_patient(cohort, site, number, anatomy=ellipsoids)

    monkeypatch.setattr(example, "cohort_patient", patient)


def test_the_example_has_t1_and_t1c_and_keeps_the_truth_aside(quick, tmp_path):
    written = example.write_example(tmp_path / "patient", truth=True)
    names = [path.relative_to(tmp_path / "patient").as_posix() for path in written]
    assert names == ["T1.nii.gz", "T1c.nii.gz", "truth/T2.nii.gz"]
    assert all(read_sidecar(path)["Simulated"] is True for path in written)
    assert read_volume(written[1]).contrast.name == "T1c"
    assert read_volume(written[0]).geometry == read_volume(written[2]).geometry


def test_the_example_is_not_overwritten_unasked(quick, tmp_path):
    example.write_example(tmp_path)
    assert not (tmp_path / "truth").exists()
    with pytest.raises(InputError, match="exists"):
        example.write_example(tmp_path)
