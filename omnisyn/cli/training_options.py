"""Options and results of the three training stages, which differ in almost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisyn.cli.console import Console

if TYPE_CHECKING:
    from omnisyn.training.run import RunResult


def tell(console: Console, run: RunResult) -> None:
    """A run's results: its table where it has one, and its folder."""
    if run.table:
        console.table(run.table)
    console.result(str(run.folder))


def seconds(text: str | float) -> float:
    """`90s`, `45m`, `8h` or a number, in seconds."""
    text = str(text)
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m", "h") else (text, "s")
    try:
        length = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        length = 0.0
    if not length > 0:
        raise typer.BadParameter(f"'{text}' is no length of time; write 90s, 45m or 8h")
    return length


Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="small, paper, adapt, words, or a TOML file.  [default: small; finetune from weights "
        "on --data: adapt]",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="RUN", help="Folder of the run.  [default: runs/STAGE-RECIPE-NNN]"
    ),
]
Init = Annotated[
    list[str] | None,
    typer.Option(
        "--init",
        metavar="WEIGHTS|RUN",
        help="What to start from; repeatable.  [default: the newest finished runs of the stages "
        "before]",
    ),
]
MaxSteps = Annotated[
    int | None, typer.Option("--max-steps", metavar="N", min=1, help="Stop after N steps in all.")
]
MaxTime = Annotated[
    float | None,
    typer.Option(
        "--max-time",
        metavar="TIME",
        parser=seconds,
        help="Stop in time, with the product: 90s, 45m, 8h, or seconds.",
    ),
]
Resume = Annotated[
    str,
    typer.Option(
        "--resume", metavar="auto|PATH|never", help="Go on with an unfinished run, or not."
    ),
]
SaveEvery = Annotated[
    int | None,
    typer.Option("--save-every", metavar="N", min=1, help="Steps between checkpoints."),
]
ClipWeights = Annotated[
    str | None,
    typer.Option(
        "--clip-weights",
        metavar="TAG|hf-hub:…|PATH",
        help="Weights of the CLIP that recipe paper starts from.",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option("--objective", metavar="NAME", help="class or contrastive.  [default: recipe]"),
]
PretrainObjective = Annotated[
    str | None,
    typer.Option("--objective", metavar="NAME", help="contrastive or brainmvp.  [default: recipe]"),
]
Adversarial = Annotated[bool, typer.Option("--adversarial", help="Train against a PatchGAN, too.")]
