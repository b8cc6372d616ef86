"""`omnisyn sites`: the sites of a data root, and what each holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import Json, Quiet, Verbose, application, console_of

app = application()

Root = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="ROOT",
        envvar="OMNISYN_DATA",
        show_envvar=True,
        help="Data root with sites.",
    ),
]


@app.callback()
def sites() -> None:
    """List the sites of a data root, and show what one holds."""


@app.command("list")
def list_sites(
    ctx: typer.Context,
    data: Root = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """List the sites of a data root, one line each."""
    console = console_of(ctx, quiet, verbose)
    found = api.list_sites(data)
    if json:
        console.json(found)
        return
    for site in found:
        parts = [
            *(["SIMULATED"] if site["simulated"] else []),
            site["role"],
            _people(len(site["patients"]), site["subjects"]),
            _counts(site["contrasts"]),
            ", ".join(site["scanners"]),
            f"cache {site['cache']}",
        ]
        console.result(f"{site['name']}: {'; '.join(parts)}")


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which site.")],
    data: Root = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Show what a site holds: patients, contrasts and who lacks which, scanners, cache."""
    console = console_of(ctx, quiet, verbose)
    site = api.show_site(name, data)
    if json:
        console.json(site)
        return
    tag = " (SIMULATED)" if site["simulated"] else ""
    console.result(f"site: {site['name']}{tag}")
    for key in ("role", "hospital", "scanner", "reference", "description", "credit"):
        if site[key]:
            console.result(f"{key}: {site[key]}")
    console.result(f"scanners in the sidecars: {_counts(site['scanners'])}")
    console.result(f"patients: {_people(len(site['patients']), site['subjects'])}")
    console.result(f"contrasts: {_counts(site['contrasts'])}")
    for contrast, patients in site["lacking"].items():
        console.result(f"without {contrast}: {', '.join(patients)}")
    if site["masks"]:
        console.result(f"masks: {_counts(site['masks'])}")
    console.result(f"split: {_counts(site['splits'])}")
    console.result(f"cache: {site['cache_fault'] or site['cache']}")


def _people(patients: int, subjects: int) -> str:
    """How many patients, and of how many persons where that is another number."""
    words = f"{patients} patient{'' if patients == 1 else 's'}"
    if subjects == patients:
        return words
    return f"{words} ({subjects} {'person' if subjects == 1 else 'persons'})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())
