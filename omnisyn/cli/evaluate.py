"""`omnisyn evaluate`: honest figures for whole sites, beside their controls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Cache,
    Config,
    Data,
    Device,
    Json,
    Overwrite,
    Precision,
    Quiet,
    Verbose,
    Weights,
    application,
    console_of,
)
from omnisyn.errors import PartialFailure

app = application()


@app.command(epilog="A simulated site is called sim-…, and is marked SIMULATED in every report.")
def evaluate(
    ctx: typer.Context,
    site: Annotated[
        list[str],
        typer.Option(
            "--site",
            metavar="NAME",
            help="A site, a role (train, internal, external) or all. Repeatable.",
        ),
    ],
    data: Data = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the report.")
    ] = Path("omnisyn-evaluation"),
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="DIR",
            help="Score these volumes by the same rule, instead of our model.",
        ),
    ] = None,
    several_sources: Annotated[
        bool,
        typer.Option("--several-sources", help="Score all the other contrasts → target as well."),
    ] = False,
    weights: Weights = None,
    device: Device = "auto",
    precision: Precision = "float32",
    overwrite: Overwrite = False,
    cache_dir: Cache = None,
    json: Json = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Score synthesis in every direction, for each patient of each site.

    omnisyn evaluate --site sim-external2 --out report
    """
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        evaluated = api.evaluate(
            site,
            data=data,
            out=out,
            predictions=predictions,
            several_sources=several_sources,
            weights=weights,
            device=device,
            precision=precision,
            overwrite=overwrite,
            cache_dir=cache_dir,
            note=console.note,
            progress=progress,
        )
    report = evaluated.report
    if json:
        console.json(report.summary)
    else:
        console.table(report.table)
        console.result(str(report.page))
    failures = evaluated.evaluation.failures
    for failure in failures:
        place = f"{failure.site}/{failure.patient} {failure.direction or ''}".strip()
        console.note(f"failed: {place}: {failure.reason}")
    if failures:
        raise PartialFailure(
            f"{len(failures)} cases gave no figures",
            remedy="the lines above say why; the report has the others",
        )
