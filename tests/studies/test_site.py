"""Sites and data roots: what is where, who is chosen, what is refused."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omnisyn.errors import InputError
from omnisyn.settings import parse
from omnisyn.studies import site as site_module
from omnisyn.studies.site import (
    DataRoot,
    Site,
    SiteSettings,
    open_site,
    register_site,
    site_at,
    write_site,
)
from omnisyn.volumes.atomic import write_text_atomic

MakeSite = Callable[..., Site]


def test_written_site_is_read_back(make_site: MakeSite, tmp_path: Path):
    rows = [{"participant_id": "p2", "T": 4, "split": "test"}, {"participant_id": "p1"}]
    made = make_site(patients={"p1": ("T1",), "p2": ("T2", "T1")}, rows=rows)
    site = DataRoot(tmp_path / "root").site("sim-site")
    assert site == made
    assert [patient.identifier for patient in site.patients()] == ["p2", "p1"]
    second, first = site.patients()
    assert second.tags == {"T": "4", "split": "test"}
    assert second.contrasts() == ("T1", "T2")
    assert first.tags == {}
    assert first.label == "sim-site/p1"


def test_folders_that_the_table_does_not_name_are_patients_too(make_site: MakeSite):
    site = make_site(rows=[{"participant_id": "p3"}])
    (site.path / "notes").mkdir()
    assert [patient.identifier for patient in site.patients()] == ["p3", "p1", "p2", "p4"]


def test_patient_without_a_folder_is_refused(make_site: MakeSite):
    site = make_site(rows=[{"participant_id": "p1"}, {"participant_id": "gone"}])
    with pytest.raises(InputError, match="patient gone has no folder"):
        site.patients()


def test_sites_are_selected_by_name_by_role_and_all(make_site: MakeSite, tmp_path: Path):
    for name, role in (("sim-b", "train"), ("sim-a", "external"), ("sim-c", "train")):
        make_site(name, role=role)
    root = DataRoot(tmp_path / "root")

    def names(wanted: str | list[str]) -> list[str]:
        return [site.name for site in root.select(wanted)]

    assert names("all") == ["sim-b", "sim-a", "sim-c"]
    assert names("train") == ["sim-b", "sim-c"]
    assert names(["sim-c", "external", "train"]) == ["sim-b", "sim-a", "sim-c"]
    with pytest.raises(InputError, match="no site has the role internal"):
        root.select("internal")
    with pytest.raises(InputError, match=r"no site sim-d .*sim-b, sim-a, sim-c"):
        root.select("sim-d")


def test_root_without_a_list_is_searched(make_site: MakeSite, tmp_path: Path):
    make_site("sim-b")
    make_site("sim-a")
    (tmp_path / "root" / "sites.toml").unlink()
    assert DataRoot(tmp_path / "root").names() == ("sim-a", "sim-b")


def half_made(root: Path) -> None:
    """What a killed first `prepare` leaves, as a site of its own."""
    hidden = root / ".sim-a.0123456789ab.partial"
    hidden.mkdir(parents=True)
    (hidden / "site.toml").write_text('name = "sim-a"\nrole = "train"\nsimulated = true\n')


def test_half_made_folder_of_a_killed_run_is_no_site(make_site: MakeSite, tmp_path: Path):
    half_made(tmp_path / "root")
    make_site("sim-b")
    (tmp_path / "root" / "sites.toml").unlink()
    assert DataRoot(tmp_path / "root").names() == ("sim-b",)


def test_half_made_folder_is_never_listed(make_site: MakeSite, tmp_path: Path):
    half_made(tmp_path / "root")
    make_site("sim-b")
    assert (tmp_path / "root" / "sites.toml").read_text() == 'sites = [\n    "sim-b",\n]\n'


def test_list_with_a_half_made_folder_can_be_read_and_is_mended(
    make_site: MakeSite, tmp_path: Path
):
    make_site("sim-b")
    listed = tmp_path / "root" / "sites.toml"
    listed.write_text('sites = [".sim-a.0123456789ab.partial", "sim-b"]\n')
    assert [site.name for site in DataRoot(listed.parent).select()] == ["sim-b"]
    make_site("sim-c")
    assert listed.read_text() == 'sites = [\n    "sim-b",\n    "sim-c",\n]\n'


def test_no_site_is_lost_when_several_processes_list_theirs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def slowly(path: Path, text: str) -> None:
        time.sleep(0.01)
        write_text_atomic(path, text)

    monkeypatch.setattr(site_module, "write_text_atomic", slowly)
    names = [f"sim-{number}" for number in range(12)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: register_site(tmp_path, name), names))
    assert sorted(DataRoot(tmp_path).names()) == sorted(names)


def test_whole_site_that_is_not_listed_is_refused_with_the_way_to_list_it(
    make_site: MakeSite, tmp_path: Path
):
    make_site("sim-a")
    make_site("sim-b")
    (tmp_path / "root" / "sites.toml").write_text('sites = ["sim-a"]\n')
    with pytest.raises(InputError, match=r"sim-b is there but not listed .*prepare ROOT/sim-b"):
        DataRoot(tmp_path / "root").select("sim-b")


def test_site_is_listed_once_however_often_it_is_written(make_site: MakeSite, tmp_path: Path):
    make_site("sim-a")
    make_site("sim-b")
    make_site("sim-a")
    assert DataRoot(tmp_path / "root").names() == ("sim-a", "sim-b")


def test_missing_public_site_names_its_simulated_stand_in(make_site: MakeSite, tmp_path: Path):
    make_site("sim-external2", role="external")
    with pytest.raises(InputError, match=r"13131827.*fetch.*--site sim-external2") as refusal:
        DataRoot(tmp_path / "root").site("external2")
    assert refusal.value.exit_code == 3


def test_roots_without_sites_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist"):
        DataRoot(tmp_path / "none").sites()
    with pytest.raises(InputError, match="holds no site"):
        DataRoot(tmp_path).sites()


@pytest.mark.parametrize(
    ("name", "simulated"),
    [("external2", True), ("sim-external2", False), ("SIM-external2", False), ("hospital", True)],
)
def test_simulated_and_real_names_are_never_mixed(name: str, simulated: bool):
    values = {"name": name, "role": "external", "simulated": simulated}
    with pytest.raises(InputError, match="exactly where it is simulated"):
        parse(SiteSettings, values, "site.toml")


@pytest.mark.parametrize("name", ["train", "all", "a b", "../a", "", "cache"])
def test_names_that_select_or_escape_are_refused(name: str):
    with pytest.raises(InputError):
        parse(SiteSettings, {"name": name, "role": "train"}, "site.toml")


def test_folder_that_is_no_site_or_another_site_is_refused(make_site: MakeSite, tmp_path: Path):
    with pytest.raises(InputError, match=r"no site.*omnisyn prepare"):
        open_site(tmp_path)
    site = make_site("sim-a")
    site.path.rename(site.path.with_name("sim-b"))
    with pytest.raises(InputError, match="sim-b says that it is site sim-a"):
        open_site(site.path.with_name("sim-b"))


def test_folders_of_patients_are_an_external_site_where_no_file_describes_them(
    make_site: MakeSite, tmp_path: Path
):
    site = make_site("sim-a")
    assert site_at(site.path) == open_site(site.path)
    plain = tmp_path / "plain"
    shutil.copytree(site.path / "p1", plain / "p1")
    found = site_at(plain)
    assert (found.name, found.settings.role, found.settings.simulated) == (
        "plain",
        "external",
        False,
    )
    assert [patient.identifier for patient in found.patients()] == ["p1"]
    with pytest.raises(InputError, match="holds no patients"):
        site_at(tmp_path)


def test_site_without_patients_is_refused(tmp_path: Path):
    settings = SiteSettings(name="sim-empty", role="train", simulated=True)
    with pytest.raises(InputError, match="has no patients"):
        write_site(tmp_path / "root", settings).patients()
