"""`omnisyn synthesize`: a patient's scan in, every missing contrast out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Cache,
    Config,
    Device,
    Overwrite,
    Precision,
    Quiet,
    Sessions,
    Subjects,
    Verbose,
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


class Nonfinite(StrEnum):
    """What to do with voxels that are no numbers."""

    REFUSE = "refuse"
    ZERO = "zero"


@app.command(epilog="For research only: synthetic images must not be used for diagnosis.")
def synthesize(
    ctx: typer.Context,
    src: Annotated[
        list[str],
        typer.Option(
            "--src",
            "-s",
            metavar="[CONTRAST=]PATH",
            help="A NIfTI file, a DICOM folder, or a folder of patients. Repeat it for several "
            "contrasts of one patient. The contrast comes from CONTRAST=, the sidecar, the DICOM "
            "header or the name.",
        ),
    ],
    target: Annotated[
        list[str],
        typer.Option(
            "--target",
            "-t",
            metavar="CONTRAST",
            help="T1, T1c, T2, FLAIR, PD, MRA, or all (every one that is not a source). "
            "Repeatable.",
        ),
    ],
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
    series: Annotated[
        list[str] | None,
        typer.Option(
            "--series",
            metavar="NUMBER|UID|NAME",
            help="Which series of the DICOM folder (omnisyn inspect lists them). Repeatable.",
        ),
    ] = None,
    subject: Subjects = None,
    session: Sessions = None,
    volume: Annotated[
        int | None,
        typer.Option("--volume", metavar="N", min=1, help="Which volume of a 4D NIfTI file."),
    ] = None,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Interpolate missing or uneven DICOM slices.")
    ] = False,
    nonfinite: Annotated[
        Nonfinite, typer.Option("--nonfinite", help="What to do with NaN and infinite voxels.")
    ] = Nonfinite.REFUSE,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse an image for what is else a warning.")
    ] = False,
    format: Annotated[
        Format,
        typer.Option("--format", help="dicom: a derived series, from a DICOM source only."),
    ] = Format.NIFTI,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Take the patient out of the DICOM output.")
    ] = False,
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Leave results alone whose hashes still match."),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first patient that fails.")
    ] = False,
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
            target,
            output,
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
