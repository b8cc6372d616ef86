"""`omnisyn prepare`: a folder of patients becomes a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Config,
    Overwrite,
    Quiet,
    Verbose,
    application,
    console_of,
)

app = application()


@app.command()
def prepare(
    ctx: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="A folder of patients with NIfTI files, or a site."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="ROOT/SITE",
            help="The site to make; not needed where SOURCE is a site.",
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Of a new site: train, internal or external.  [default: train]",
        ),
    ] = None,
    scanner: Annotated[
        str | None, typer.Option("--scanner", metavar="TEXT", help="Of a new site.")
    ] = None,
    hospital: Annotated[
        str | None,
        typer.Option(
            "--hospital", metavar="TEXT", help="Of a new site; sites of one hospital share it."
        ),
    ] = None,
    credit: Annotated[
        str | None,
        typer.Option(
            "--credit",
            metavar="TEXT",
            help="Of a new site: whom to thank; it goes into the card of weights trained on it.",
        ),
    ] = None,
    brain_atlases: Annotated[
        list[Path] | None,
        typer.Option(
            "--brain-atlas",
            metavar="LABELMAP",
            help="A label map of a whole head: keep the brain alone; 2 to 4 of them are best.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Align, scale and cache the slices of a folder of patients.

    omnisyn prepare hospital-a --out data/hospital-a --role train
    """
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        summary = api.prepare(
            source,
            out,
            role=role,
            scanner=scanner,
            hospital=hospital,
            credit=credit,
            brain_atlases=brain_atlases or (),
            overwrite=overwrite,
            note=console.note,
            progress=progress,
        )
    for patient in summary.patients:
        console.detail(
            f"{patient.identifier}: {', '.join((*patient.contrasts, *patient.masks))}; "
            f"{patient.head_slices} of {patient.slices} slices hold enough of the head"
        )
    console.note(f"{len(summary.patients)} patients, {summary.cache_bytes / 1e6:.0f} MB of slices")
    console.result(str(summary.site.path))
