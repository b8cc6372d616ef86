"""`omnisyn compare`: networks and strategies, trained alike, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Cache,
    Config,
    Data,
    Json,
    LabelMaps,
    Precision,
    Quiet,
    Verbose,
    application,
    console_of,
)

app = application()


@app.command(epilog="A comparison that was stopped goes on when the same command is given again.")
def compare(
    ctx: typer.Context,
    plan: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="backbones, adversarial, arrangements, strategies, text-targets (each with -small "
            "behind it for two cores), or a TOML file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Its folder.  [default: comparisons/NAME]"),
    ] = None,
    data: Data = None,
    label_maps: LabelMaps = None,
    site: Annotated[
        list[Path] | None,
        typer.Option(
            "--site",
            metavar="FOLDER",
            help="Scored beside the file's sites: a site, or PATIENT/CONTRAST.nii.gz. Repeatable.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="auto, cpu, cuda:0, … Repeatable: one process works on each.  [default: auto]",
        ),
    ] = None,
    precision: Precision = "float32",
    cache_dir: Cache = None,
    json: Json = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train networks or strategies on equal terms, and score them in one table.

    omnisyn compare backbones-small --out comparisons/backbones
    """
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        report = api.compare(
            plan,
            out or Path("comparisons") / Path(plan).stem,
            data=data,
            label_maps=label_maps or (),
            sites=site or (),
            devices=device or ("auto",),
            precision=precision,
            cache_dir=cache_dir,
            note=console.note,
            progress=progress,
        )
    if json:
        console.json(report.summary)
    else:
        console.table(report.table)
        console.result(str(report.page))
