"""`omnisyn prepare`: a hospital's folders become a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Config,
    Jobs,
    Overwrite,
    Quiet,
    Sessions,
    Subjects,
    Verbose,
    application,
    console_of,
)
from omnisyn.errors import PartialFailure

if TYPE_CHECKING:
    from omnisyn.cli.console import Console
    from omnisyn.preparation.plan import SitePlan

app = application()


@app.command()
def prepare(
    ctx: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Patients in any arrangement (NIfTI, DICOM, pictures, BIDS), or a site.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="ROOT/SITE",
            help="The site to make, or the root where prepare.toml names several; not needed "
            "where SOURCE is a site.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
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
    instructions: Annotated[
        Path | None,
        typer.Option(
            "--instructions",
            metavar="TOML",
            help="What names and headers do not say.  [default: SOURCE/prepare.toml, if there]",
        ),
    ] = None,
    subject: Subjects = None,
    session: Sessions = None,
    reference: Annotated[
        str,
        typer.Option(
            "--reference", metavar="CONTRAST", help="To whose grid the other contrasts come."
        ),
    ] = "T1",
    registration: Annotated[
        str,
        typer.Option(
            "--registration",
            metavar="PROGRAM",
            help="sitk, greedy, flirt (where installed), or none: trust the files' positions.",
        ),
    ] = "sitk",
    transform: Annotated[
        str, typer.Option("--transform", metavar="KIND", help="rigid, affine or bspline.")
    ] = "rigid",
    bias_correction: Annotated[
        bool,
        typer.Option("--bias-correction", help="Even the brightness of every scan out (N4)."),
    ] = False,
    brain_mask: Annotated[
        str | None,
        typer.Option(
            "--brain-mask",
            metavar="PATTERN",
            help="Name of each patient's brain mask, as 'brain*.nii.gz': keep the brain alone.",
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
    jobs: Jobs = None,
    overwrite: Overwrite = False,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Find, register, scale and cache a folder of patients; write a site and a report.

    omnisyn prepare hospital-a --out data/hospital-a --role train
    """
    console = console_of(ctx, quiet, verbose)
    options: api.PreparationOptions = {
        "role": role,
        "scanner": scanner,
        "hospital": hospital,
        "credit": credit,
        "instructions": instructions,
        "subjects": subject or (),
        "sessions": session or (),
        "reference": reference,
        "registration": registration,
        "transform": transform,
        "bias_correction": bias_correction,
        "brain_mask": brain_mask,
        "brain_atlases": brain_atlases or (),
        "jobs": jobs,
        "overwrite": overwrite,
    }
    with console.progress() as progress:
        if dry_run:
            for planned in api.plan_preparation(source, out, progress=progress, **options):
                _tell_plan(console, planned)
            return
        summaries = api.prepare(source, out, note=console.note, progress=progress, **options)
    for summary in summaries:
        for patient in summary.patients:
            console.detail(
                f"{patient.identifier}: {', '.join((*patient.contrasts, *patient.masks))}; "
                f"{patient.head_slices} of {patient.slices} slices hold enough of the head"
            )
        if summary.passed_over:
            console.note(f"passed over: {'; '.join(summary.passed_over)}")
        console.note(
            f"{len(summary.patients)} patients, {summary.cache_bytes / 1e6:.0f} MB of slices"
        )
        console.result(str(summary.site.path))
    failed = sum(len(summary.failed) for summary in summaries)
    if failed:
        whole = sum(len(summary.patients) for summary in summaries)
        raise PartialFailure(
            f"{failed} of {failed + whole} patients failed and are left out",
            remedy="mend them and run again with --overwrite",
        )


def _tell_plan(console: Console, planned: SitePlan) -> None:
    """What would become of each patient, a line a scan."""
    settings = planned.settings
    console.result(
        f"{settings.name}: {settings.role}, reference {settings.reference}, "
        f"{len(planned.found.patients)} patients"
    )
    for patient in planned.found.patients:
        console.result(f"  {patient.identifier}")
        for name, scan in patient.scans.items():
            files = "1 file" if len(scan.files) == 1 else f"{len(scan.files)} files"
            console.result(f"    {name}: {scan.form}, {files}, {scan.told_by}")
        for name, masks in patient.masks.items():
            console.result(f"    {name}: {', '.join(mask.file.name for mask in masks)}")
        for left in patient.left:
            console.result(f"    not taken: {left}")
    for note in planned.found.passed_over:
        console.result(f"  passed over: {note}")
