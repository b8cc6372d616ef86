"""Whole comparisons of narrow networks on small heads, as the command runs them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnisyn import api
from omnisyn.comparison import bench, compare, cost
from omnisyn.comparison.results import read_unit
from omnisyn.errors import InputError, ModelError
from omnisyn.evaluation.results import MODEL
from omnisyn.studies.cache_files import build_cache
from omnisyn.studies.site import DataRoot
from tests.small_heads import MakeSite, make_site, write_head

__all__ = ["make_site", "write_head"]

PLAN = """
name = "tiny"
description = "for the tests"
recipe = "narrow"
reference = "small"
equal = ["compute", "steps"]
steps = 3
learning_rates = [1e-3, 1e-2]
seeds = [0, 1]

[changes.model]
width = 4
condition_size = 16
contrasts = ["T1", "T2"]

[changes.clip]
embed_size = 16

[changes.finetune]
pretrained = false
aligned = false
batch_size = 1
crop = 32
directions = 2
save_every = 2

[axes.backbone]
small = {}
unet = { model = { backbone = "unet" } }

[data]
batches = 2
validation_patients = 1
validation_slices = 2

[evaluation]
sites = ["external"]
slices = 3
"""


@pytest.fixture
def root(make_site: MakeSite) -> Path:
    site = make_site("sim-train")
    build_cache(site)
    patients = {f"q{number}": ("T1", "T2") for number in range(1, 4)}
    make_site("sim-other", patients, role="external")
    return site.path.parent


@pytest.fixture(autouse=True)
def _costs_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of its own for each arm, as in earnest, takes seconds to begin (test_cost.py).
    monkeypatch.setattr(compare, "measure_cost", cost.measure_in_this_process)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(PLAN)
    return path


def run(plan: Path, root: Path, out: Path, **options: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    options = {"devices": ("cpu",), **options}
    report = api.compare(plan, out, data=root, note=notes.append, **options)
    return report, notes


def units_in(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "units").iterdir())}


def _sites_in(table: Path) -> set[str]:
    header, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    return {row[header.index("site")] for row in rows}


def forbid(monkeypatch: pytest.MonkeyPatch, allowed: Callable[[Path], bool]) -> None:
    """No run is trained but those in folders that `allowed` accepts."""

    def guarded(train: Callable[..., Any]) -> Callable[..., Any]:
        def call(options: Any, **rest: Any) -> Any:
            assert allowed(options.out), f"{options.out.name} is trained again"
            return train(options, **rest)

        return call

    monkeypatch.setattr(
        bench, "_TRAIN", {name: guarded(train) for name, train in bench._TRAIN.items()}
    )


def test_a_comparison_ends_in_a_report_and_what_is_finished_is_not_done_again(
    plan: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "comparison"
    report, _ = run(plan, root, out)
    assert report.page.is_file()
    assert "unet" in report.table
    summary = report.scores.read_text()
    assert "sim-other" in summary
    found = units_in(out)
    # Two arms, two budgets, two seeds, and the controls.
    assert len(found) == 9
    for name in found:
        unit = read_unit(out / "units" / name)
        (scores,) = unit.scores
        assert not scores.failures
        methods = {row.method for row in scores.rows}
        assert methods == ({MODEL} if unit.arm != "controls" else methods - {MODEL})
        assert {row.slices for row in scores.rows} == {3}
        if unit.arm != "controls":
            assert unit.learning_rate == float(max(unit.sweep, key=lambda r: unit.sweep[r]))
            assert set(unit.sweep) == {"0.001", "0.01"}
    small, unet = (
        next(
            read_unit(out / "units" / name)
            for name in found
            if name.startswith(f"{arm}.compute.seed0")
        )
        for arm in ("small", "unet")
    )
    assert small.steps == 3
    step = unet.operations / unet.steps
    assert abs(unet.operations - small.operations) <= step / 2
    # A resumed comparison trains nothing and says the same.
    forbid(monkeypatch, lambda folder: False)
    again, _ = run(plan, root, out)
    assert again.table == report.table
    assert units_in(out) == found


def test_what_a_kill_left_undone_is_all_that_is_done(
    plan: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan.write_text(PLAN.replace("seeds = [0, 1]", "seeds = [0]").replace('"compute", ', ""))
    out = tmp_path / "comparison"
    report, _ = run(plan, root, out)
    whole = units_in(out)
    lost = next(path for path in (out / "units").iterdir() if path.name.startswith("unet"))
    lost.unlink()
    # As it is between a run's last step and its record of having finished.
    (folder,) = (out / "runs").glob("unet.steps3.rate0.001.seed0.*")
    record = folder / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "finished": False}))
    forbid(monkeypatch, lambda folder: folder == record.parent)
    again, _ = run(plan, root, out)
    scores = {name: json.loads(content)["unit"]["scores"] for name, content in whole.items()}
    assert scores == {
        name: json.loads(content)["unit"]["scores"] for name, content in units_in(out).items()
    }
    assert again.table.splitlines()[0] == report.table.splitlines()[0]


def test_two_processes_find_what_one_finds(plan: Path, root: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN.replace("seeds = [0, 1]", "seeds = [0]"))
    run(plan, root, tmp_path / "alone")
    both, notes = run(plan, root, tmp_path / "both", devices=("cpu", "cpu"))
    assert any(line.startswith("cpu: ") for line in notes)
    one, two = (
        {
            (unit.arm, unit.budget): [row.values["ssim_head"] for row in unit.scores[0].rows]
            for unit in (read_unit(path) for path in (tmp_path / name / "units").iterdir())
        }
        for name in ("alone", "both")
    )
    assert set(one) == set(two)
    for key, values in one.items():
        assert values == pytest.approx(two[key], abs=1e-3)
    assert both.page.is_file()


def test_an_arm_that_cannot_be_trained_is_told_and_costs_no_other(
    plan: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan.write_text(PLAN.replace("seeds = [0, 1]", "seeds = [0]").replace('"compute", ', ""))
    finetune = bench._TRAIN["finetune"]

    def diverging(options: Any, **rest: Any) -> Any:
        if options.out.name.startswith("unet"):
            raise ModelError("the loss is no longer a number")
        return finetune(options, **rest)

    monkeypatch.setattr(bench, "_TRAIN", {**bench._TRAIN, "finetune": diverging})
    report, notes = run(plan, root, tmp_path / "comparison")
    assert any("failed: unet" in line for line in notes)
    assert "no learning rate gave a network" in report.page.read_text()


def test_a_stage_before_that_fails_costs_only_the_arms_that_need_it(
    plan: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PLAN.replace("seeds = [0, 1]", "seeds = [0]").replace('"compute", ', "")
    text = text.replace(
        'unet = { model = { backbone = "unet" } }', "other = { finetune = { pretrained = true } }"
    )
    assert "other" in text
    plan.write_text(text)

    def diverging(options: Any, **rest: Any) -> Any:
        raise ModelError("the loss is no longer a number")

    monkeypatch.setattr(bench, "_TRAIN", {**bench._TRAIN, "pretrain": diverging})
    report, notes = run(plan, root, tmp_path / "comparison")
    assert any("failed: other" in line for line in notes)
    assert "| small |" in report.table


def test_stages_before_are_trained_once_for_all_arms_that_share_them(
    plan: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    forbid(monkeypatch, lambda folder: begun.append(folder.name.split(".")[0]) is None)
    text = PLAN.replace("pretrained = false\n", "").replace("aligned = false\n", "")
    text = text.replace(
        'unet = { model = { backbone = "unet" } }', 'two = { finetune = { encoder = "frozen" } }'
    )
    text = text.replace("seeds = [0, 1]", "seeds = [0]").replace('"compute", ', "")
    for stage in ("pretrain", "align"):
        text += f"\n[changes.{stage}]\nsteps = 2\nbatch_size = 2\ncrop = 32\nvalidate_every = 2\n"
    plan.write_text(text)
    out = tmp_path / "comparison"
    _, notes = run(plan, root, out)
    assert not [line for line in notes if line.startswith("failed")]
    runs = sorted(path.name.split(".")[0] for path in (out / "runs").iterdir())
    assert runs == ["align", "pretrain", "small", "small", "two", "two"]
    # Once, too, for all the learning rates that are tried.
    assert sorted(begun) == runs
    unit = next(path for path in (out / "units").iterdir() if path.name.startswith("two"))
    assert read_unit(unit).operations > 2 * read_unit(unit).steps


def test_a_folder_that_is_in_use_is_left_alone(plan: Path, root: Path, tmp_path: Path) -> None:
    from omnisyn.volumes.locks import held_if_free

    out = tmp_path / "comparison"
    out.mkdir()
    with held_if_free(out / ".lock"), pytest.raises(InputError, match="another process"):
        run(plan, root, out)


def test_patients_that_no_site_describes_are_scored_besides(
    plan: Path, root: Path, tmp_path: Path, write_head: Callable[..., Path]
) -> None:
    plan.write_text(PLAN.replace("seeds = [0, 1]", "seeds = [0]").replace('"compute", ', ""))
    for patient in ("one", "two"):
        for contrast in ("T1", "T2"):
            write_head(tmp_path / "plain" / patient / f"{contrast}.nii.gz", contrast)
    report, _ = run(plan, root, tmp_path / "comparison", sites=[tmp_path / "plain"])
    assert {"sim-other", "plain"} <= _sites_in(report.scores)
    assert [site.name for site in DataRoot(root).select("external")] == ["sim-other"]
