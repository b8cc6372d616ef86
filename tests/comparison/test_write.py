import json

import numpy as np
import pytest

from omnisyn.comparison.results import FailedUnit
from omnisyn.comparison.write import write_comparison
from omnisyn.errors import InputError
from tests.comparison.made_up import comparison, nine_arms, two_arms

FILES = {
    "scores.tsv",
    "ranking.tsv",
    "summary.json",
    "quality-against-cost.png",
    "comparison.html",
}


@pytest.fixture
def write(tmp_path):
    def make(found, **settings):
        return write_comparison(found, tmp_path, np.random.default_rng(0), **settings)

    return make


def page_of(report):
    return report.page.read_text("utf-8")


def test_all_files_are_there_and_agree(write):
    whole = write(nine_arms(patients=3, seeds=1))
    assert {path.name for path in whole.page.parent.iterdir() if path.name[0] != "."} == FILES
    assert json.loads(whole.summary_file.read_text("utf-8")) == whole.summary
    head, first = whole.ranking.read_text("utf-8").splitlines()[:2]
    row = dict(zip(head.split("\t"), first.split("\t"), strict=True))
    entry = whole.summary["places"][0]["rankings"]["steps"][0]
    assert row["name"] == entry["name"]
    assert float(row["ssim_head_mean"]) == entry["figures"]["ssim_head"]["mean"]
    assert f"{entry['figures']['ssim_head']['mean']:.3f} ±" in page_of(whole)


def test_a_comparison_where_everything_failed_has_a_report(write):
    failed = [FailedUnit("small", "steps", 0, "no"), FailedUnit("large", "steps", 0, "no")]
    report = write(comparison([], arms=("small", "large"), failed=failed))
    assert "No unit gave figures." in page_of(report)
    assert "<strong>2 units failed</strong>" in page_of(report)
    assert report.summary["places"] == []


def test_the_same_seed_writes_the_same_files(tmp_path):
    def contents(folder):
        (tmp_path / folder).mkdir()
        write_comparison(two_arms(), tmp_path / folder, np.random.default_rng(1))
        return {name: (tmp_path / folder / name).read_bytes() for name in FILES}

    assert contents("one") == contents("other")


def test_an_existing_report_is_kept_unless_overwriting(tmp_path, write):
    (tmp_path / "ranking.tsv").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write(two_arms())
    assert [path.name for path in tmp_path.glob("*.*")] == ["ranking.tsv"]
    write(two_arms(), overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} >= FILES
