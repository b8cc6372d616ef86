import itertools
import json
import math
import os
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest

from omnisyn.errors import InputError, ResourceError
from omnisyn.evaluation.controls import BLIND
from omnisyn.evaluation.report.definitions import GAIN, METRICS, metric_of
from omnisyn.evaluation.report.figures import example_pictures
from omnisyn.evaluation.report.summary import EVERY_DIRECTION, summarize_evaluation
from omnisyn.evaluation.report.write import write_report
from omnisyn.evaluation.results import MODEL, Evaluation, Failure, Row, SiteScores
from omnisyn.evaluation.scoring import evaluate_site
from omnisyn.volumes.normalize import scale


def blur(sources, target):
    volume = next(iter(sources.values()))
    slices = volume.geometry.to_slices(scale(volume.voxels))
    return 0.5 * (slices + np.roll(slices, 1, axis=1))


@pytest.fixture
def write(tmp_path):
    """Write the report of sites under a fresh folder: (*sites, subject) → Report."""
    numbers = iter(range(9))

    def make(*sites, subject="weights example"):
        out = tmp_path / f"report{next(numbers)}"
        out.mkdir()
        evaluation = Evaluation(subject, sites, {"weights": "example, SHA-256 00ff"})
        return write_report(evaluation, out, np.random.default_rng(0))

    return make


@pytest.fixture(scope="module")
def simulated(site_writer, tmp_path_factory):
    return evaluate_site(site_writer(tmp_path_factory.mktemp("root"), "sim-one"), blur)


@pytest.fixture(scope="module")
def real(site_writer, tmp_path_factory):
    patients = {"sub-00": ("T1", "T2"), "sub-01": ("T1", "T2")}
    return evaluate_site(
        site_writer(tmp_path_factory.mktemp("root"), "clinic", patients=patients), blur
    )


@pytest.fixture(scope="module")
def simulated_report(simulated, tmp_path_factory):
    """The report of one simulated site, written once for all that only look at it."""
    evaluation = Evaluation("weights example", (simulated,), {"weights": "example"})
    return write_report(evaluation, tmp_path_factory.mktemp("out"), np.random.default_rng(0))


@pytest.fixture(scope="module")
def mixed_report(simulated, real, tmp_path_factory):
    evaluation = Evaluation("weights example", (simulated, real))
    return write_report(evaluation, tmp_path_factory.mktemp("out"), np.random.default_rng(0))


def bare_site(values, *, site="clinic", method=MODEL, simulated=False, role="external"):
    """A site with one row a patient in one direction, with the PSNR in the head as given."""
    rows = tuple(
        Row(
            site=site,
            patient=f"sub-{number}",
            subject=f"{site}/sub-{number}",
            direction="T1→T2",
            method=method,
            values={"ssim_head": 1.0, "psnr_head": value},
            clipped=0.0,
            slices=3,
            without_head=1,
            constant=0,
        )
        for number, value in enumerate(values)
    )
    return SiteScores(site, role, simulated, "Example 3 T", "the site's other patients", rows)


class References(HTMLParser):
    """Collects every address a page could fetch, and its tags."""

    def __init__(self):
        super().__init__()
        self.addresses, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [
            value for key, value in attrs if key in ("src", "href", "srcset", "data")
        ]


def test_page_fetches_nothing_and_runs_nothing(simulated_report):
    page = simulated_report.page.read_text(encoding="utf-8")
    found = References()
    found.feed(page)
    assert len([item for item in found.addresses if item.startswith("data:image/png")]) == 32
    assert all(item.startswith(("#", "data:image/png;base64,")) for item in found.addresses)
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    assert not re.search(r"https?:|@import|url\(", page)


def test_links_within_the_page_have_their_targets(mixed_report):
    page = mixed_report.page.read_text(encoding="utf-8")
    targets = set(re.findall(r'id="([^"]+)"', page))
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links == targets
    assert len(targets) == 3


def test_simulated_is_said_exactly_where_it_is(write, real, simulated_report, mixed_report):
    assert "SIMULATED" not in write(real).page.read_text(encoding="utf-8")
    page = simulated_report.page.read_text(encoding="utf-8")
    assert "SIMULATED DATA" in page
    assert "all figures" in page
    assert "the figures of sim-one" in mixed_report.page.read_text(encoding="utf-8")
    assert [site["simulated"] for site in mixed_report.summary["sites"]] == [True, False]
    assert mixed_report.table.count("SIMULATED") == 2


def test_page_says_research_use_and_how_each_figure_is_defined(simulated_report):
    page = simulated_report.page.read_text(encoding="utf-8")
    assert "Research use only" in page
    for metric in METRICS.values():
        assert escape(metric.definition) in page
    assert GAIN in page


def test_page_holds_no_patient_data_and_no_folders(simulated_report):
    report = simulated_report
    folders = {str(parent) for parent in report.page.parents} - {"/"}
    for path in (report.page, report.patients, report.summary_file):
        text = path.read_text(encoding="utf-8")
        assert not any(f"{folder}/" in text for folder in folders)


def test_foreign_words_are_escaped(write, real):
    hostile = replace(
        real, failures=(Failure("clinic", "sub-00", "T1→T2", "<script>alert(1)</script>"),)
    )
    page = write(hostile, subject="<b>ours</b>").page.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>" not in page
    assert "1 cases failed" not in page
    assert "1 case failed" in page


def test_summary_is_strict_json_with_the_figures_of_the_table(simulated_report, simulated):
    report = simulated_report

    def refuse(constant):
        raise AssertionError(constant)

    text = report.summary_file.read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse) == report.summary
    lines = report.patients.read_text(encoding="utf-8").splitlines()
    head = lines[0].split("\t")
    rows = [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]
    assert len(rows) == len(simulated.rows)
    chosen = [
        float(row["ssim_head"])
        for row in rows
        if (row["direction"], row["method"]) == ("T1→T2", MODEL)
    ]
    entry = report.summary["sites"][0]["directions"]["T1→T2"][MODEL]["ssim_head"]
    assert entry["mean"] == pytest.approx(np.mean(chosen), abs=2e-6)
    assert entry["sd"] == pytest.approx(np.std(chosen, ddof=1), abs=2e-6)
    assert entry["patients"] == 3


def test_gain_is_model_minus_blind_curve_by_patient(simulated_report):
    report = simulated_report
    head, *lines = [
        line.split("\t") for line in report.patients.read_text(encoding="utf-8").splitlines()
    ]
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    figures = {(row["patient"], row["method"]): row for row in rows if row["direction"] == "T2→T1"}
    gains = []
    for patient in ("sub-00", "sub-01", "sub-02"):
        model, blind = figures[patient, MODEL], figures[patient, BLIND]
        gains.append(float(model["psnr_head"]) - float(blind["psnr_head"]))
        assert float(model["gain_psnr_head"]) == pytest.approx(gains[-1], abs=2e-6)
        assert blind["gain_psnr_head"] == "n/a"
    table = report.summary["sites"][0]["directions"]["T2→T1"][GAIN]
    assert table["psnr_head"]["mean"] == pytest.approx(np.mean(gains), abs=2e-6)
    assert {"ssim_frame", "psnr_tumour", "ms_ssim_head"} < set(table)
    assert not {"mae_head", "nmse_head"} & set(table)


def test_infinite_psnr_is_null_with_a_note(write):
    report = write(bare_site([math.inf, math.inf]))
    entry = report.summary["sites"][0]["directions"]["T1→T2"][MODEL]["psnr_head"]
    assert entry["mean"] is None
    assert entry["ci95"] == [None, None]
    assert entry["note"] == "infinite in 2 (identical images), left out"
    assert "∞" in report.page.read_text(encoding="utf-8")
    assert "\tinf\t" in report.patients.read_text(encoding="utf-8")


def test_a_finite_mean_beside_infinite_patients_carries_the_note(write):
    report = write(bare_site([30.0, math.inf, 20.0]))
    entry = report.summary["sites"][0]["directions"]["T1→T2"][MODEL]["psnr_head"]
    assert entry["mean"] == 25
    assert "infinite in 1" in entry["note"]


def test_means_keep_real_and_simulated_sites_apart():
    sites = (
        bare_site([10.0, 20.0], site="a"),
        bare_site([31.0], site="b"),
        bare_site([99.0], site="sim-c", simulated=True),
    )
    by_site, means = summarize_evaluation(Evaluation("x", sites), np.random.default_rng(0))
    assert [figures.title for figures in by_site] == ["a", "b", "sim-c"]
    assert [figures.title for figures in means] == ["mean over 2 real sites"]
    assert means[0].directions["T1→T2"][MODEL]["psnr_head"].mean == pytest.approx(23)


def test_terminal_table_says_over_what_it_averages(write):
    table = write(bare_site([10.0, 20.0], site="a"), bare_site([30.0], site="b")).table
    heads = [line for line in table.splitlines() if "±" in line and ":" in line]
    assert [line.rsplit(" ", 1)[1] for line in heads] == ["patients"] * 4 + ["sites"] * 2
    assert "22.50 ± 10.61" in table


def test_roles_have_means_of_their_own():
    sites = [bare_site([10.0], site=name, role="internal") for name in "ab"]
    sites += [bare_site([20.0], site=name, role="external") for name in "cd"]
    _, means = summarize_evaluation(Evaluation("x", tuple(sites)), np.random.default_rng(0))
    values = {part.title: part.directions["T1→T2"][MODEL]["psnr_head"].mean for part in means}
    assert values == {
        "mean over 4 real sites": pytest.approx(15),
        "mean over 2 real internal sites": pytest.approx(10),
        "mean over 2 real external sites": pytest.approx(20),
    }


def test_mean_over_directions_is_of_single_sources(make_site):
    scores = evaluate_site(make_site(), blur, several_sources=True)
    (figures,), _ = summarize_evaluation(Evaluation("x", (scores,)), np.random.default_rng(0))
    single = [
        methods[MODEL]["ssim_head"].mean
        for name, methods in figures.directions.items()
        if name != EVERY_DIRECTION and "+" not in name
    ]
    assert len(single) == 6
    mean = figures.directions[EVERY_DIRECTION][MODEL]["ssim_head"].mean
    assert mean == pytest.approx(np.mean(single))


def test_a_site_where_everything_failed_still_has_a_report(write, make_site):
    def broken(sources, target):
        raise RuntimeError("no")

    report = write(evaluate_site(make_site(patients=1), broken))
    assert report.summary["failed_cases"] == 6
    assert "Nothing could be scored" in report.page.read_text(encoding="utf-8")


def test_the_same_seed_writes_the_same_report(write, real):
    one, other = write(real), write(real)
    assert one.page.read_bytes() == other.page.read_bytes()
    assert one.summary_file.read_bytes() == other.summary_file.read_bytes()


def test_an_existing_report_is_kept_unless_overwriting(tmp_path, real):
    evaluation = Evaluation("x", (real,))
    (tmp_path / "summary.json").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_report(evaluation, tmp_path, np.random.default_rng(0))
    assert [path.name for path in tmp_path.glob("*.*")] == ["summary.json"]
    report = write_report(evaluation, tmp_path, np.random.default_rng(0), overwrite=True)
    assert json.loads(report.summary_file.read_text(encoding="utf-8"))["failed_cases"] == 0


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_disk_leaves_the_whole_old_report(tmp_path, real, simulated, monkeypatch, call):
    out = tmp_path / "out"
    out.mkdir()
    write_report(Evaluation("old", (real,), {}), out, np.random.default_rng(0))
    old = {path.name: path.read_bytes() for path in out.iterdir()}
    synchronize, calls = os.fsync, itertools.count(1)

    def fail_once(descriptor):
        if next(calls) == call:
            raise OSError(28, "No space left on device")
        synchronize(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(ResourceError, match="the disk is full"):
        write_report(
            Evaluation("new", (simulated,), {}), out, np.random.default_rng(0), overwrite=True
        )

    assert {path.name: path.read_bytes() for path in out.iterdir()} == old


def test_example_pictures_show_square_pixels_and_the_difference(simulated):
    example = replace(simulated.examples[0], pixel_aspect=2.0)
    pictures = example_pictures(example)
    assert list(pictures) == [*example.images, "model − truth"]
    rows, columns = example.images[MODEL].shape
    for picture in pictures.values():
        assert picture.startswith(b"\x89PNG")
        width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
        assert (width, height) == (columns, 2 * rows)


def test_names_of_figures_are_told_apart():
    assert metric_of("ms_ssim_head") == (METRICS["ms_ssim"], "head")
    assert metric_of("ssim_frame") == (METRICS["ssim"], "frame")
