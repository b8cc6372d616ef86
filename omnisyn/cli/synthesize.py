"""`omnisyn synthesize`: a patient's scan in, every missing contrast out."""

from __future__ import annotations

from enum import StrEnum
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
    Weights,
    application,
    console_of,
)
from omnisyn.errors import UsageError
from omnisyn.paths import name_of

app = application()


class Format(StrEnum):
    """What is written."""

    NIFTI = "nifti"
    DICOM = "dicom"


@app.command(epilog="For research only: synthetic images must not be used for diagnosis.")
def synthesize(
    ctx: typer.Context,
    src: Sources,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="CONTRAST",
            help="T1, T1c, T2, FLAIR, PD, MRA, or all (every one that is not a source). "
            "Repeatable. A --prompt that names a contrast needs none.",
        ),
    ] = None,
    te: Annotated[
        float | None,
        typer.Option("--te", metavar="MS", help="Make it as if with this echo time."),
    ] = None,
    tr: Annotated[
        float | None,
        typer.Option("--tr", metavar="MS", help="Make it as if with this repetition time."),
    ] = None,
    ti: Annotated[
        float | None,
        typer.Option("--ti", metavar="MS", help="Make it as if with this inversion time."),
    ] = None,
    field: Annotated[
        float | None,
        typer.Option("--field", metavar="T", help="Make it as if at this field strength."),
    ] = None,
    fat_suppressed: Annotated[
        bool, typer.Option("--fat-suppressed", help="Make it with suppressed fat.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt",
            metavar="TEXT",
            help="Say in words what to make. This, --te, --tr, --ti and --field take weights with "
            "a text tower.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
    ] = Path("omnisyn-out"),
    preview: Annotated[
        bool, typer.Option("--preview", help="Write a picture beside each volume.")
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Write a map of the expected error beside each volume."),
    ] = False,
    truth: Annotated[
        list[str] | None,
        typer.Option(
            "--truth",
            metavar="CONTRAST=PATH",
            help="The real target, for the preview only. Repeatable.",
        ),
    ] = None,
    match_source: Annotated[
        bool,
        typer.Option("--match-source", help="Scale the values to the source's range, not [0, 1]."),
    ] = False,
    series: Series = None,
    subject: Subjects = None,
    session: Sessions = None,
    volume: VolumeNumber = None,
    allow_gaps: AllowGaps = False,
    nonfinite: NonfiniteVoxels = Nonfinite.REFUSE,
    strict: Strict = False,
    format: Annotated[
        Format,
        typer.Option("--format", help="dicom: a derived series, from a DICOM source only."),
    ] = Format.NIFTI,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Take the patient out of the DICOM output.")
    ] = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    fail_fast: FailFast = False,
    weights: Weights = None,
    device: Device = "auto",
    precision: Precision = "float32",
    cache_dir: Cache = None,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make the missing contrasts of a scan, on the scan's own grid.

    omnisyn synthesize --src T1.nii.gz --target T2 --target FLAIR -o out --preview
    """
    from omnisyn.volumes.options import ReadOptions

    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        outputs = api.synthesize(
            src,
            target or (),
            output,
            prompt=prompt,
            echo_time_ms=te,
            repetition_time_ms=tr,
            inversion_time_ms=ti,
            field_tesla=field,
            fat_suppressed=fat_suppressed,
            weights=weights,
            device=device,
            precision=precision,
            preview=preview,
            uncertainty=uncertainty,
            truth=dict(_truth(item) for item in truth or ()),
            match_source=match_source,
            series=series or (),
            subjects=subject or (),
            sessions=session or (),
            reading=ReadOptions(
                allow_gaps=allow_gaps,
                volume=volume,
                zero_nonfinite=nonfinite is Nonfinite.ZERO,
                strict=strict,
            ),
            format=format.value,
            anonymize=anonymize,
            overwrite=overwrite,
            skip_existing=skip_existing,
            fail_fast=fail_fast,
            cache_dir=cache_dir,
            note=console.note,
            result=console.result,
            progress=progress,
        )
    console.detail(f"{len(outputs)} volumes written")


def _truth(item: str) -> tuple[str, Path]:
    name, separator, path = item.partition("=")
    if not (name and separator and path):
        raise UsageError(
            f"--truth {name_of(Path(item))} lacks its contrast", remedy="write --truth T2=PATH"
        )
    return name, Path(path)
