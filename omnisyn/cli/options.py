"""Options that several commands share, so that one name means one thing everywhere.

An option's value is the command line's, else its `OMNISYN_*` variable's, else the `--config`
file's, else the default.
"""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from omnisyn.cli.console import Console
from omnisyn.errors import InputError, reason_of
from omnisyn.paths import name_of, open_regular

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


def application() -> typer.Typer:
    """The frame of one command's file: plain help, no completion machinery."""
    return typer.Typer(
        rich_markup_mode=None, add_completion=False, context_settings=dict(HELP_NAMES)
    )


def console_of(ctx: typer.Context, quiet: bool = False, verbose: int = 0) -> Console:
    """The console that `main` made for this run, set to the verbosity that was asked for."""
    console = ctx.find_object(Console) or Console()
    console.verbosity = -1 if quiet else verbose
    return console


def _take_defaults_from(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the entries of a TOML file the defaults of this command's options."""
    if path is None:
        return None
    import tomllib

    try:
        with open_regular(path) as file:
            table = tomllib.load(file)
    except OSError as fault:
        raise InputError(
            "cannot read the config file",
            where=name_of(path),
            why=fault.strerror,
            remedy="check --config",
        ) from fault
    except (ValueError, RecursionError) as fault:
        raise InputError(
            "the config file is not TOML", where=path.name, why=reason_of(fault), remedy="mend it"
        ) from fault
    parameters = {name: p for p in ctx.command.params for name in _spellings(p)}
    del parameters["config"]
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        if key == "config":
            raise InputError(
                "a config file cannot name another one", where=path.name, remedy="take it out"
            )
        if key not in parameters:
            near = get_close_matches(key, parameters, n=1)
            raise InputError(
                f"unknown key '{key}'",
                where=path.name,
                remedy=f"did you mean '{near[0]}'?" if near else "the keys are the option names",
            )
        why = _misfit(ctx, parameters[key], value)
        if why:
            raise InputError(f"the value of '{key}' does not fit", where=path.name, why=why)
        defaults[str(parameters[key].name)] = value
    ctx.default_map = defaults
    return path


def _misfit(ctx: typer.Context, parameter: Any, value: Any) -> str | None:
    """What is wrong with an entry of a config file as the value of an option."""
    if parameter.multiple != isinstance(value, list):
        return "it takes a list" if parameter.multiple else "it takes no list"
    try:
        taken = parameter.process_value(ctx, value)
    except typer.TyperException as fault:
        return reason_of(fault).rstrip(".")
    given, taken = (value, taken) if parameter.multiple else ([value], [taken])
    for each, became in zip(given, taken, strict=True):
        if each == "":
            return "it is empty"
        # Typer makes a text of anything.
        if isinstance(became, str) and not isinstance(each, str):
            return f"it takes a text, not {each!r}"
    return None


def _spellings(parameter: Any) -> list[str]:
    """An option's long names, with dashes or underscores, as keys of a config file."""
    long_names = [name[2:] for name in parameter.opts if name.startswith("--")]
    return long_names + [name.replace("-", "_") for name in long_names]


class Nonfinite(StrEnum):
    """What to do with voxels that are no numbers."""

    REFUSE = "refuse"
    ZERO = "zero"


Sources = Annotated[
    list[str],
    typer.Option(
        "--src",
        "-s",
        metavar="[CONTRAST=]PATH",
        help="A NIfTI file, a DICOM folder, or a folder of patients. Repeat it for several "
        "contrasts of one patient. The contrast comes from CONTRAST=, the sidecar, the DICOM "
        "header or the name.",
    ),
]
Series = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="NUMBER|UID|NAME",
        help="Which series of the DICOM folder (omnisyn inspect lists them). Repeatable.",
    ),
]
VolumeNumber = Annotated[
    int | None,
    typer.Option("--volume", metavar="N", min=1, help="Which volume of a 4D NIfTI file."),
]
AllowGaps = Annotated[
    bool, typer.Option("--allow-gaps", help="Interpolate missing or uneven DICOM slices.")
]
NonfiniteVoxels = Annotated[
    Nonfinite, typer.Option("--nonfinite", help="What to do with NaN and infinite voxels.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse an image for what is else a warning.")
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave results alone whose hashes still match."),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first patient that fails.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Errors only on stderr.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="More notes; -vv adds tracebacks."
    ),
]
LabelMaps = Annotated[
    list[Path] | None,
    typer.Option(
        "--label-maps",
        metavar="FOLDER",
        help="Labelled heads to simulate patients from, beside the other ones; repeatable.",
    ),
]
Subjects = Annotated[
    list[str] | None,
    typer.Option(
        "--subject",
        metavar="LABEL",
        help="Take this subject of a folder of patients only: 01 or sub-01. Repeatable.",
    ),
]
Sessions = Annotated[
    list[str] | None,
    typer.Option(
        "--session",
        metavar="LABEL",
        help="Take this session of each subject only: pre or ses-pre. Repeatable.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Patients at once.  [default: one a core]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_take_defaults_from,
        help="TOML file with defaults for these options (key = long option name).",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="NAME",
        envvar="OMNISYN_DEVICE",
        show_envvar=True,
        help="auto, cpu, cuda, cuda:N or mps; only auto may fall back.",
    ),
]
Precision = Annotated[
    str,
    typer.Option("--precision", metavar="TYPE", help="float32, bfloat16 or float16 (autocast)."),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME|PATH|hf-hub:ORG/NAME",
        envvar="OMNISYN_WEIGHTS",
        show_envvar=True,
        help="Weights to use.  [default: the shipped set]",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="ROOT",
        envvar="OMNISYN_DATA",
        show_envvar=True,
        help="Data root with sites.  [default: the embedded simulation]",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        metavar="DIR",
        envvar="OMNISYN_CACHE",
        show_envvar=True,
        help="Where simulated sites and downloaded weights are kept.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace output that exists.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of all randomness.")]
