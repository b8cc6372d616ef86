"""`omnisyn inspect`: what is this, and can it be trusted?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import Json, Quiet, Verbose, application, console_of
from omnisyn.errors import InputError
from omnisyn.paths import name_of

if TYPE_CHECKING:
    from omnisyn.volumes.inspection import Inspected

app = application()

_FORMATS = {"nifti": "NIfTI", "dicom": "DICOM", "folder": "folder"}


@app.command()
def inspect(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A NIfTI file, a DICOM file, or any folder.")
    ],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Say what a scan is: contrast, grid, orientation, and what is wrong with it."""
    console = console_of(ctx, quiet, verbose)
    found = api.inspect(path)
    if json:
        console.json([asdict(entry) for entry in found])
    else:
        for entry in found:
            for line in _lines(entry):
                console.result(line)
    refused = [entry for entry in found if entry.refusal]
    if refused:
        raise InputError(
            f"{len(refused)} of {len(found)} volumes would be refused",
            where=name_of(path),
            remedy="the lines above say why",
        )


def _lines(entry: Inspected) -> list[str]:
    title = f"{entry.name} series {entry.series}" if entry.series else entry.name
    if entry.description:
        title += f" ({entry.description})"
    lines = [f"{title}: {_FORMATS[entry.format]}"]
    if entry.shape and entry.spacing:
        shown = f"{entry.contrast}, confidence {entry.confidence:.0%}" if entry.contrast else "?"
        lines += [
            f"  contrast     {shown}" + (f" ({entry.reason})" if entry.reason else ""),
            f"  grid         {' x '.join(map(str, entry.shape))} voxels of "
            f"{' x '.join(f'{size:.4g}' for size in entry.spacing)} mm",
            f"  orientation  {entry.orientation}",
        ]
    lines += [f"  warning      {sentence}" for sentence in entry.warnings]
    if entry.refusal:
        refusal = entry.refusal
        lines.append(f"  refused      {refusal.what}")
        lines += [f"  why          {refusal.why}"] if refusal.why else []
        lines += [f"  remedy       {refusal.remedy}"] if refusal.remedy else []
    return lines
