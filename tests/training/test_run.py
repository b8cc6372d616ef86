import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from omnisyn.errors import InputError, ModelError, ResourceError, UsageError
from omnisyn.listeners import Note
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import (
    RunConfig,
    RunFolder,
    RunOptions,
    find_runs,
    held_run,
    named_runs,
    named_weights,
    newest_finished_run,
)
from omnisyn.volumes.locks import held_if_free


@pytest.fixture
def config(stand_in: ModuleType) -> RunConfig:
    recipe = load_recipe(stand_in.RECIPE)
    return RunConfig(stage="pretrain", seed=0, precision="float32", data="discs", recipe=recipe)


def made(path: Path, config: RunConfig, **record: object) -> RunFolder:
    run = RunFolder(path)
    run.make()
    run.start(config, ())
    if record:
        run.update(**record)
    return run


def say_nothing(_: str) -> None:
    pass


def chosen(
    options: RunOptions, config: RunConfig, say: Note = say_nothing
) -> tuple[RunFolder, bool]:
    """What `held_run` gives; the run is let go at once."""
    with held_run(options, config, say) as (run, resumed):
        return run, resumed


def longer(config: RunConfig, steps: int) -> RunConfig:
    stage = config.recipe.pretrain.model_copy(update={"steps": steps})
    recipe = config.recipe.model_copy(update={"pretrain": stage})
    return config.model_copy(update={"recipe": recipe})


def test_resolved_settings_are_kept_beside_the_run(tmp_path: Path, config: RunConfig) -> None:
    assert made(tmp_path / "run", config).config() == config


def test_new_runs_are_numbered(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, resumed = chosen(RunOptions(), config)
    assert (first.path, resumed) == (Path("runs/pretrain-tiny-001"), False)
    assert not first.path.exists()  # nothing was put in
    made(Path("runs/pretrain-tiny-007"), config, finished=True)
    second, _ = chosen(RunOptions(), config)
    assert second.name == "pretrain-tiny-008"


def test_new_runs_that_start_at_once_have_folders_of_their_own(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with held_run(RunOptions(), config, say_nothing) as (first, _):
        with held_run(RunOptions(), config, say_nothing) as (second, resumed):
            assert (first.name, second.name) == ("pretrain-tiny-001", "pretrain-tiny-002")
            assert not resumed
            first.start(config, ())
        assert [path.name for path in Path("runs").iterdir()] == ["pretrain-tiny-001"]


def test_number_that_another_process_takes_first_is_passed_over(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make = RunFolder.make

    def outrun(self: RunFolder) -> bool:
        if self.name.endswith("001"):
            self.path.mkdir(parents=True)
        return make(self)

    monkeypatch.setattr(RunFolder, "make", outrun)
    assert chosen(RunOptions(), config)[0].name == "pretrain-tiny-002"


def test_run_in_use_is_refused_by_name_and_passed_over_by_auto(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made(Path("runs/a"), config)
    heard: list[str] = []
    with held_if_free(Path("runs/a/.lock")):
        for options in (RunOptions(out=Path("runs/a")), RunOptions(resume="runs/a")):
            with pytest.raises(InputError, match="a: the run is in use by another process"):
                chosen(options, config)
        run, resumed = chosen(RunOptions(), config, heard.append)
    assert (run.name, resumed) == ("pretrain-tiny-001", False)
    assert heard == ["a is left to another process, which is running in it"]
    assert chosen(RunOptions(), config)[0].name == "a"


def test_new_folder_by_name_is_let_to_the_first_process_only(
    tmp_path: Path, config: RunConfig
) -> None:
    options = RunOptions(out=tmp_path / "run")
    with (
        held_run(options, config, say_nothing),
        pytest.raises(InputError, match="in use by another process"),
    ):
        chosen(options, config)


def test_folder_of_a_run_that_cannot_start_goes_again_but_not_one_that_was_there(
    tmp_path: Path, config: RunConfig
) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("mine", "new"):
        with held_run(RunOptions(out=tmp_path / name), config, say_nothing) as (run, _):
            assert run.path.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_place_that_cannot_be_written_is_named(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"run: cannot make the run's folder \(a part of its"):
        chosen(RunOptions(out=tmp_path / "file" / "run"), config)


def test_auto_goes_on_in_the_newest_unfinished_run_of_the_same_settings_only(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made(Path("runs/a"), config)
    made(Path("runs/b"), config.model_copy(update={"seed": 9}))
    made(Path("runs/c"), config, finished=True)
    assert chosen(RunOptions(), config)[0].name == "a"
    assert chosen(RunOptions(), config)[1] is True
    assert chosen(RunOptions(resume="never"), config)[1] is False


def test_run_folder_given_by_name_is_continued(tmp_path: Path, config: RunConfig) -> None:
    made(tmp_path / "run", config)
    run, resumed = chosen(RunOptions(out=tmp_path / "run"), config)
    assert (run.name, resumed) == ("run", True)
    run, resumed = chosen(RunOptions(resume=str(tmp_path / "run")), config)
    assert (run.name, resumed) == ("run", True)


def test_folder_killed_before_it_was_a_run_is_used_anew(tmp_path: Path, config: RunConfig) -> None:
    made(tmp_path / "run", config)
    (tmp_path / "run/run.json").unlink()
    (tmp_path / "run/.run.json.abc.partial").touch()
    assert chosen(RunOptions(out=tmp_path / "run"), config)[1] is False


def test_folder_with_other_content_is_never_touched(tmp_path: Path, config: RunConfig) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="exists already"):
        chosen(RunOptions(out=tmp_path), config)


def test_existing_run_is_refused_when_a_new_one_is_asked_for(
    tmp_path: Path, config: RunConfig
) -> None:
    made(tmp_path / "run", config)
    with pytest.raises(InputError, match="exists already"):
        chosen(RunOptions(out=tmp_path / "run", resume="never"), config)


def test_run_to_resume_must_exist(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        chosen(RunOptions(resume=str(tmp_path / "none")), config)


def test_a_run_may_become_longer_and_says_so(tmp_path: Path, config: RunConfig) -> None:
    made(tmp_path / "run", config)
    heard: list[str] = []
    run, _ = chosen(RunOptions(out=tmp_path / "run"), longer(config, 60), heard.append)
    assert len(heard) == 1
    assert "steps is 6 there and 60 here" in heard[0]
    assert run.config().recipe.pretrain.steps == 60


def test_settings_of_other_stages_do_not_hinder_a_resumption(
    tmp_path: Path, config: RunConfig
) -> None:
    made(tmp_path / "run", config)
    align = config.recipe.align.model_copy(update={"crop": 64})
    recipe = config.recipe.model_copy(update={"align": align})
    changed = config.model_copy(update={"recipe": recipe})
    assert chosen(RunOptions(out=tmp_path / "run"), changed, say_nothing)[1] is True


def test_newest_finished_run_is_taken(
    tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, when, finished in (("a", "2026-01-01", True), ("b", "2026-03-01", True)):
        run = made(Path("runs") / name, config, finished=finished)
        record = {**run.record(), "changed": when}
        (run.path / "run.json").write_text(json.dumps(record))
    made(Path("runs/c"), config)
    found = newest_finished_run(RunOptions(), "pretrain")
    assert found is not None
    assert found.name == "b"
    assert newest_finished_run(RunOptions(), "align") is None
    assert [run.name for run in find_runs([Path("runs")], "pretrain", finished=False)] == ["c"]


def test_starts_are_recognised_by_what_they_are(runs: Path) -> None:
    options = RunOptions(init=(str(runs / "align"), "small", str(runs / "pretrain")))
    assert {stage: run.name for stage, run in named_runs(options).items()} == {
        "align": "align",
        "pretrain": "pretrain",
    }
    assert named_weights(options) == "small"


def test_unfinished_or_doubled_starts_are_refused(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "align", tmp_path / "half")
    RunFolder(tmp_path / "half").update(finished=False)
    with pytest.raises(ModelError, match="has not finished"):
        named_runs(RunOptions(init=(str(tmp_path / "half"),)))
    with pytest.raises(UsageError, match="two align runs"):
        named_runs(RunOptions(init=(str(runs / "align"), str(runs / "align"))))
    with pytest.raises(UsageError, match="more than one set of weights"):
        named_weights(RunOptions(init=("small", "other")))
