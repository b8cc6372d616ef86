import shutil
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.real.goals import check_goals, mean_over_single
from benchmarks.real.heads import PAIRED, SINGLE, read_heads, sites_in
from benchmarks.real.measure import CONTROLS, OTHER, TRAINING, measure_head
from benchmarks.real.tables import rows_tsv, site_lines
from omnisyn.evaluation.controls import COPY
from omnisyn.evaluation.results import Row
from omnisyn.geometry import Geometry
from omnisyn.volumes.write import write_volume

MODEL = "ours"
GOOD = {"ssim_head": 0.8, "psnr_head": 20.0, "ssim_frame": 0.9}
POOR = {"ssim_head": 0.5, "psnr_head": 15.0, "ssim_frame": 0.8}


def row(direction, method, values, patient="one"):
    return Row("site", patient, patient, direction, method, values, 0.0, 1, 0, 0)


def rows(**changed):
    """A model that reaches every goal, but for the directions that are changed."""
    found = []
    for direction in SINGLE:
        name = direction.name
        found += [row(name, control, POOR) for control in (COPY, OTHER, TRAINING)]
        found.append(row(name, MODEL, {**GOOD, **changed.get(name, {})}))
    for direction in PAIRED:
        better = {**GOOD, "ssim_head": 0.82}
        found.append(row(direction.name, MODEL, {**better, **changed.get(direction.name, {})}))
    return found


def holds(found):
    return [goal.holds for goal in check_goals(found, MODEL)]


def test_good_model_reaches_every_goal():
    assert holds(rows()) == [True] * 6


@pytest.mark.parametrize("figure", ["ssim_head", "psnr_head"])
def test_one_lost_direction_is_named(figure):
    beats = check_goals(rows(**{"T1→T2": {figure: POOR[figure] - 0.1}}), MODEL)[:2]
    assert [goal.holds for goal in beats] == [False, False]
    assert all("8 of 9" in goal.evidence and "one T1→T2" in goal.evidence for goal in beats)


def test_a_draw_is_no_win():
    assert holds(rows(**{"T1→T2": POOR}))[:2] == [False, False]


def test_mean_gain_and_mean_psnr_have_thresholds():
    close = {direction.name: {"ssim_head": 0.52, "psnr_head": 16.4} for direction in SINGLE}
    assert holds(rows(**close))[:4] == [True, True, False, False]


def test_two_sources_are_held_to_the_better_one_alone():
    loss, draw = {"ssim_head": 0.785}, {"ssim_head": 0.8}
    assert holds(rows(**{"T1+T2→FLAIR": loss}))[4:] == [False, True]
    assert holds(rows(**{direction.name: draw for direction in PAIRED}))[4:] == [True, False]
    # Better than T1 alone is not enough where T2 alone is better still.
    single = {"T1→FLAIR": {"ssim_head": 0.6}}
    assert holds(rows(**single, **{"T1+T2→FLAIR": loss}))[4:] == [False, True]


def test_goal_without_its_control_cannot_be_told():
    found = [each for each in rows() if each.method != TRAINING]
    assert holds(found) == [True, None, True, True, True, True]


def test_means_are_over_directions_of_one_source():
    assert mean_over_single(rows(), MODEL, "ssim_head") == pytest.approx(0.8)


SHAPE = (6, 48, 48)
GEOMETRY = Geometry.axial(SHAPE, (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder as real data come, without site.toml: two patients, FLAIR = a curve of T1."""
    root = tmp_path_factory.mktemp("root")
    rows, columns = np.mgrid[:48, :48]
    head = np.broadcast_to((rows - 24) ** 2 + (columns - 24) ** 2 < 18**2, SHAPE)
    for patient in ("one", "two"):
        folder = root / "clinic" / patient
        folder.mkdir(parents=True)
        tissue = np.random.default_rng(len(patient)).uniform(0.3, 1, SHAPE)
        lesions = np.zeros(SHAPE, np.uint8)
        lesions[1:4, 20:24, 20:24] = 1
        tissue[lesions > 0] = 0.25
        for name, image in {"T1": tissue, "T2": tissue**2, "FLAIR": 1.2 - tissue}.items():
            voxels = GEOMETRY.from_slices((1000 * image * head).astype(np.float32))
            write_volume(folder / f"{name}.nii.gz", voxels, GEOMETRY)
        voxels = GEOMETRY.from_slices(lesions)
        write_volume(folder / "lesions.nii.gz", voxels, GEOMETRY, dtype="uint8")
    (root / "notes").mkdir()
    return root


class Inverter:
    """A model that makes FLAIR of T1 perfectly, and everything else of nothing."""

    def __init__(self):
        self.asked = []

    def on_pixels(self, rows_mm, columns_mm):
        assert (rows_mm, columns_mm) == (1.0, 1.0)
        return self

    def synthesize_slices(self, sources, targets):
        self.asked.append((tuple(sources), tuple(targets)))
        first = next(iter(sources.values()))
        return {name: np.where(first > 0, 1.2 - first, 0) for name in targets}


def test_whole_table_of_a_folder_without_site_file(root):
    sites = sites_in(root)
    assert [site.name for site in sites] == ["clinic"]
    heads = read_heads(sites[0].patients(), every=2)
    assert heads[0].scaled["T1"].shape == (3, 48, 48)
    model, seen = Inverter(), []
    found = measure_head(heads[0], heads, {MODEL: model}, None, lambda *seen_: seen.append(seen_))
    # Without T1c six directions remain of one source and three of two; sources are encoded once.
    assert len(seen) == 9
    assert model.asked[0] == (("T1",), ("T2", "FLAIR"))
    assert len(model.asked) == 6
    table = {(each.direction, each.method): each.values for each in found}
    assert {method for _, method in table} == {MODEL, *CONTROLS} - {TRAINING}
    # FLAIR is a curve of T1: the curve of the other patient keeps the lesions, a copy turns them.
    assert table["T1→FLAIR", OTHER]["contrast_lesions"] == pytest.approx(1, abs=0.1)
    assert table["T1→FLAIR", COPY]["sign_lesions"] == 0
    assert table["T1→FLAIR", OTHER]["ssim_head"] > 0.95
    text = "\n".join(site_lines(found, [MODEL]))
    assert "T1+T2→FLAIR" in text
    assert "In lesions" in text
    lines = rows_tsv(found, {"every_nth_slice": "2"}).splitlines()
    assert len(lines) == 1 + len(found)
    assert {len(line.split("\t")) for line in lines} == {len(lines[0].split("\t"))}


def test_tumours_have_a_table_of_their_own_and_patients_without_one_do_no_harm(root, tmp_path):
    shutil.copytree(root / "clinic", tmp_path / "clinic")
    for patient in ("one", "two"):
        folder = tmp_path / "clinic" / patient
        if patient == "one":
            (folder / "lesions.nii.gz").rename(folder / "tumour.nii.gz")
        else:
            (folder / "lesions.nii.gz").unlink()
            voxels = GEOMETRY.from_slices(np.zeros(SHAPE, np.uint8))
            write_volume(folder / "tumour.nii.gz", voxels, GEOMETRY, dtype="uint8")
    heads = read_heads(sites_in(tmp_path)[0].patients(), every=2)
    found = [
        row
        for head in heads
        for row in measure_head(head, heads, {MODEL: Inverter()}, None, lambda *_: None)
    ]
    ours = {(row.patient, row.direction): row.values for row in found if row.method == MODEL}
    assert ours["one", "T1→FLAIR"]["contrast_tumour"] == pytest.approx(1, abs=0.1)
    assert ours["one", "T1→FLAIR"]["mae_tumour"] < 0.1
    assert ours["two", "T1→FLAIR"]["count_tumour"] == 0
    (line,) = (
        line
        for line in "\n".join(site_lines(found, [MODEL])).split("### In tumour")[1].splitlines()
        if line.startswith(f"| T1→FLAIR | {MODEL} |")
    )
    assert "n/a" not in line


def test_other_studies_of_the_same_subject_are_no_control(root):
    one, two = read_heads(sites_in(root)[0].patients(), every=3)
    for subject, expected in ((one.subject, False), (two.subject, True)):
        others = [one, replace(two, subject=subject)]
        found = measure_head(one, others, {MODEL: Inverter()}, None, lambda *_: None)
        assert (OTHER in {each.method for each in found}) is expected
