"""The documentation says what the code does: commands, options, links, recipes, cohorts."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from omnisyn.cli.entry import app
from omnisyn.cli.verbs import VERBS
from omnisyn.simulate.any_protocol import HELD_OUT, WIDE_RANGES
from omnisyn.simulate.cohort import SHIPPED, load_cohort

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
PACKAGE = ROOT / "omnisyn"
RECIPES = PACKAGE / "training" / "recipes"
COHORTS = PACKAGE / "simulate" / "cohorts"

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*)")
# Programs before a command, and what ends one.
_LAUNCHED = ("-m", "omnisyn")
_SHELL = {"|", ">", "&&", ";"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fenced_commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(page, arguments after `omnisyn`) of every command line in a fenced block."""
    for page in PAGES:
        for block in _FENCE.findall(page.read_text("utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                arguments = command_arguments(line)
                if arguments is not None:
                    yield relative(page), arguments


def command_arguments(line: str) -> tuple[str, ...] | None:
    """What follows `omnisyn` in a shell line; None where the line runs something else."""
    if "omnisyn" not in line:
        return None
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # an apostrophe in a line that is no shell
        return None
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    if not words:
        return None
    if words[0] == "omnisyn":
        begin = 1
    elif _LAUNCHED in pairwise(words):
        begin = words.index("omnisyn") + 1
    else:
        return None
    end = next((place for place, word in enumerate(words) if word in _SHELL), len(words))
    return tuple(words[begin:end])


COMMANDS = sorted(set(fenced_commands()))


@cache
def root_command() -> Any:
    return get_command(app)


def parse(arguments: tuple[str, ...]) -> Any:
    """The context of the innermost command, its options parsed and nothing executed."""
    command = root_command()
    context = command.make_context("omnisyn", list(arguments))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    return context


def command_of(verb: str) -> Any:
    return root_command().get_command(None, verb)


def option_names(command: Any) -> set[str]:
    """Every spelling of every option of a command and of its own commands."""
    names = {"--help"}
    for parameter in command.params:
        names |= {name for name in parameter.opts if name.startswith("-")}
    for child in getattr(command, "commands", {}).values():
        names |= option_names(child)
    return names


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "WEIGHTS", "DATA", "CACHE"):
        monkeypatch.delenv(f"OMNISYN_{name}", raising=False)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_a_page_that_begins_with_an_example(verb: str) -> None:
    page = ROOT / "docs" / "commands" / f"{verb}.md"
    text = page.read_text("utf-8")
    assert text.startswith(f"# omnisyn {verb}\n")
    first_block = _FENCE.findall(text)[0]
    assert first_block.startswith(f"omnisyn {verb}")


@pytest.mark.parametrize("verb", VERBS)
def test_the_readme_shows_every_command_and_links_its_page(verb: str) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert any(page == "README.md" and words[0] == verb for page, words in COMMANDS)
    assert f"(docs/commands/{verb}.md)" in readme


def test_no_page_is_of_a_command_that_is_gone() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "commands").glob("*.md")}
    assert pages == set(VERBS)


@pytest.mark.parametrize(("page", "arguments"), COMMANDS, ids=lambda part: str(part)[:60])
def test_every_command_line_is_accepted(page: str, arguments: tuple[str, ...]) -> None:
    context = parse(arguments)
    assert context.command.name in (
        *VERBS,
        *("list", "show", "verify", "pull", "push", "convert", "calibrate"),
    )
    recipe = context.params.get("recipe")
    if recipe is not None:
        assert str(recipe).endswith(".toml") or (RECIPES / f"{recipe}.toml").is_file()
    cohort = context.params.get("cohort")
    if cohort is not None:
        shipped = {path.stem for path in COHORTS.glob("*.toml")}
        assert cohort.endswith(".toml") or cohort in {*shipped, "example"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("synthesise", "--src", "T1.nii.gz", "--target", "T2"),
        ("synthesize", "--src", "T1.nii.gz", "--target", "T2", "--colour"),
        ("synthesize", "--target", "T2"),
        ("finetune", "--max-time", "soon"),
        ("models", "delete"),
    ],
)
def test_a_wrong_command_line_would_be_noticed(arguments: tuple[str, ...]) -> None:
    with pytest.raises(Exception, match=r"(?i)no command|no such|missing|no length of time"):
        parse(arguments)


def test_command_lines_are_found_behind_settings_launchers_and_comments() -> None:
    assert command_arguments("OMNISYN_DATA=data omnisyn pretrain  # here") == ("pretrain",)
    assert command_arguments("accelerate launch -m omnisyn align --seed 1") == (
        "align",
        "--seed",
        "1",
    )
    assert command_arguments("omnisyn doctor --json | less") == ("doctor", "--json")
    assert command_arguments("omnisyn/       the package") is None


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_names_only_options_that_exist(verb: str) -> None:
    text = _FENCE.sub("", (ROOT / "docs" / "commands" / f"{verb}.md").read_text("utf-8"))
    own = option_names(command_of(verb))
    for span in _SPAN.findall(text):
        other = re.match(r"(?:… )?omnisyn ([a-z]+)", span)
        known = option_names(command_of(other[1])) if other else own
        assert set(_OPTION.findall(span)) <= known, span


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_and_image_exists(page: Path) -> None:
    text = _FENCE.sub("", page.read_text("utf-8"))
    missing = []
    for target in _LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert missing == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ +(.*)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_no_placeholder_is_left(page: Path) -> None:
    assert re.findall(r"@@\w+@@", page.read_text("utf-8")) == []


def rows_of_table(page: Path, first_heading: str) -> list[list[str]]:
    """The cells of the table whose first column has that heading, heading row included."""
    lines = page.read_text("utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip(" `") for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def test_the_table_of_recipes_holds_the_recipes_own_values() -> None:
    heading, *rows = rows_of_table(ROOT / "docs" / "training.md", "setting")
    names = heading[1:]
    assert set(names) == {path.stem for path in RECIPES.glob("*.toml")}
    recipes = [tomllib.loads((RECIPES / f"{name}.toml").read_text("utf-8")) for name in names]
    for key, *cells in rows:
        for recipe, cell in zip(recipes, cells, strict=True):
            value: Any = recipe
            for part in key.split("."):
                value = value.get(part, "—") if isinstance(value, dict) else value
            shown = str(value).lower() if isinstance(value, bool) else value
            said = float(cell) if isinstance(shown, int | float) else cell
            assert said == shown, f"{key} of {recipe['name']}"


def test_the_table_of_profiles_holds_the_profiles_own_scanners_and_contrasts() -> None:
    _, *rows = rows_of_table(ROOT / "docs" / "simulation.md", "profile")
    profiles = {
        name: profile
        for cohort in SHIPPED
        for name, profile in load_cohort(cohort).profiles.items()
    }
    assert [row[0] for row in rows] == sorted(
        profiles, key=lambda name: (name.rstrip("0123456789") != "hospital", len(name), name)
    )
    for name, scanners, contrasts, _ in rows:
        shown = profiles[name].scanners
        machines = [f"{each.vendor} {each.field_tesla:g} T" for each in shown]
        assert scanners == ", ".join(machines), name
        assert contrasts.split() == list(shown[0].protocols), name


def test_the_pages_of_the_simulation_count_the_sites_as_the_cohorts_do() -> None:
    sites = tomllib.loads((COHORTS / "hospitals.toml").read_text("utf-8"))["sites"]
    count = {role: sum(site["role"] == role for site in sites) for role in ("train", "internal")}
    external = len(sites) - sum(count.values())
    text = (ROOT / "docs" / "simulation.md").read_text("utf-8")
    assert f"{count['train']} training hospitals" in text
    assert f"{count['internal']} internal sites" in text
    assert f"{external} external sites" in text


def test_the_tables_of_any_protocol_hold_its_own_ranges_and_bands() -> None:
    def said(*limits: tuple[float, float]) -> str:
        return ", ".join(f"{low:g}–{high:g}" for low, high in limits)

    page = ROOT / "docs" / "simulation.md"
    _, *drawn = rows_of_table(page, "drawn for")
    for ranges, (contrasts, _, repetition, echo, inversion, source) in zip(
        WIDE_RANGES, drawn, strict=True
    ):
        times = [ranges.repetition_time_ms, ranges.echo_time_ms]
        assert (contrasts, source) == (", ".join(ranges.contrasts), ranges.source)
        assert [repetition, echo] == [said(limits) for limits in times]
        assert inversion.startswith("nulls") is (ranges.nulled is not None)
        if ranges.inversion_time_ms is not None:
            assert inversion == said(ranges.inversion_time_ms)
    _, *held_out = rows_of_table(page, "held out of")
    shown = {
        name: [cell for cell in cells if cell]
        for names, *cells in held_out
        for name in names.split(", ")
    }
    assert shown == {
        name: [said(*bands) for bands in facts.values()] for name, facts in HELD_OUT.items()
    }
