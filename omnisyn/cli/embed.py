"""`omnisyn embed`: a patient's scans in, what the encoder sees in them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    AllowGaps,
    Cache,
    Config,
    Device,
    FailFast,
    Nonfinite,
    NonfiniteVoxels,
    Overwrite,
    Precision,
    Quiet,
    Series,
    Sessions,
    SkipExisting,
    Sources,
    Strict,
    Subjects,
    Verbose,
    VolumeNumber,
    application,
    console_of,
)

app = application()


@app.command(epilog="For research only: not for diagnosis or treatment.")
def embed(
    ctx: typer.Context,
    src: Sources,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR|FILE.safetensors",
            help="Folder for the files, one a patient; or the file of one patient.",
        ),
    ] = Path("omnisyn-embeddings"),
    patient: Annotated[
        str | None,
        typer.Option(
            "--patient",
            metavar="ID",
            help="What the one patient is called in the file.  [default: by folder or name]",
        ),
    ] = None,
    series: Series = None,
    subject: Subjects = None,
    session: Sessions = None,
    volume: VolumeNumber = None,
    allow_gaps: AllowGaps = False,
    nonfinite: NonfiniteVoxels = Nonfinite.REFUSE,
    strict: Strict = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    fail_fast: FailFast = False,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="NAME|PATH|RUN|hf-hub:ORG/NAME",
            envvar="OMNISYN_WEIGHTS",
            show_envvar=True,
            help="Weights, or a pretrain run.  [default: the shipped set]",
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "float32",
    cache_dir: Cache = None,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write the encoder's features of scans, per slice and per volume.

    omnisyn embed --src T1.nii.gz --src T2.nii.gz --out patient7.safetensors
    """
    from omnisyn.volumes.options import ReadOptions

    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        embeddings = api.embed(
            src,
            out,
            weights=weights,
            device=device,
            precision=precision,
            patient=patient,
            series=series or (),
            subjects=subject or (),
            sessions=session or (),
            reading=ReadOptions(
                allow_gaps=allow_gaps,
                volume=volume,
                zero_nonfinite=nonfinite is Nonfinite.ZERO,
                strict=strict,
            ),
            overwrite=overwrite,
            skip_existing=skip_existing,
            fail_fast=fail_fast,
            cache_dir=cache_dir,
            note=console.note,
            result=console.result,
            progress=progress,
        )
    console.detail(f"{sum(len(each.scans) for each in embeddings)} scans embedded")
