"""`omnisyn simulate`: patients that nobody can be harmed by, and that can be shared."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Config,
    Device,
    Overwrite,
    Quiet,
    Verbose,
    application,
    console_of,
)

app = application()


class Format(StrEnum):
    """The forms in which patients are written."""

    NIFTI = "nifti"
    DICOM = "dicom"


@app.command(epilog="Everything written is marked simulated; simulated sites are named sim-….")
def simulate(
    ctx: typer.Context,
    cohort: Annotated[
        str,
        typer.Argument(
            metavar="COHORT",
            help="demo, hospitals, anywhere, a cohort's TOML file, or example: one patient's T1 "
            "and T1c, with the true T2 aside in truth/.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="ROOT", help="Folder for the sites.")],
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            metavar="NAME|ROLE",
            help="Only this site, or the sites of this role. Repeatable.",
        ),
    ] = None,
    label_maps: Annotated[
        list[Path] | None,
        typer.Option(
            "--label-maps",
            metavar="FOLDER",
            help="Heads from these labelled ones, in place of the procedural head. Repeatable.",
        ),
    ] = None,
    patients: Annotated[
        int | None,
        typer.Option(
            "--patients", metavar="N", min=1, help="So many a site, in place of the cohort's."
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="dicom: hospitals' folders as they arrive, to be prepared; by default those of "
            "the training hospitals.",
        ),
    ] = Format.NIFTI,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", min=0, help="Other patients than the cohort's own seed gives."
        ),
    ] = None,
    device: Device = "cpu",
    overwrite: Overwrite = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write simulated patients in the form that every other command reads.

    omnisyn simulate demo --out data
    """
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        written = api.simulate(
            cohort,
            out,
            sites=site,
            label_maps=label_maps or (),
            patients=patients,
            format=format.value,
            seed=seed,
            device=device,
            overwrite=overwrite,
            note=console.note,
            progress=progress,
        )
    for path in written:
        console.result(str(path))
