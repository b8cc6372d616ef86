"""`omnisyn fetch`: a public dataset becomes a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Config,
    Jobs,
    Overwrite,
    Quiet,
    Verbose,
    application,
    console_of,
)
from omnisyn.errors import PartialFailure

app = application()


@app.command()
def fetch(
    ctx: typer.Context,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="external2: the public NPC dataset.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="ROOT/external2", help="The site to make."),
    ],
    archive: Annotated[
        Path | None,
        typer.Option("--from", metavar="ZIP", help="The archive, brought by hand: no download."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="URL", help="A mirror that answers as Zenodo does.  [default: it]"
        ),
    ] = None,
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Download a public dataset, check it, register its contrasts and make a site of it.

    omnisyn fetch external2 --out data/external2
    """
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        summary = api.fetch(
            dataset,
            out,
            archive=archive,
            address=address,
            jobs=jobs,
            overwrite=overwrite,
            note=console.note,
            progress=progress,
        )
    for line in summary.passed_over:
        console.note(line)
    console.note(f"{len(summary.patients)} patients in the site")
    console.result(str(summary.site.path))
    if summary.failed:
        raise PartialFailure(
            f"{len(summary.failed)} patients failed and are left out",
            remedy="the site's preparation/report.html says why",
        )
