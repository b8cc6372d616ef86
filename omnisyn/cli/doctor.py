"""`omnisyn doctor`: is this installation able to do its work?"""

from __future__ import annotations

import typer

from omnisyn import api
from omnisyn.cli.options import Cache, Json, Quiet, Verbose, application, console_of
from omnisyn.errors import ModelError

app = application()


@app.command()
def doctor(
    ctx: typer.Context,
    cache_dir: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Say versions, device, threads, cache and whether the weights are whole."""
    console = console_of(ctx, quiet, verbose)
    report = api.doctor(cache_dir=cache_dir)
    if json:
        console.json(report)
    else:
        for section, entries in report.items():
            for key, value in entries.items():
                console.result(f"{section:<9} {key:<18} {value}")
    unsound = [name for name, state in report["weights"].items() if state != "whole"]
    if unsound:
        raise ModelError(
            f"weights {', '.join(unsound)}: {report['weights'][unsound[0]]}",
            remedy="install omnisyn again",
        )
