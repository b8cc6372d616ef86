"""`omnisyn models`: the weights at hand, their cards, and whether they are whole."""

from __future__ import annotations

from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Cache,
    Data,
    Device,
    Json,
    Overwrite,
    Quiet,
    Verbose,
    application,
    console_of,
)

app = application()

Name = Annotated[str, typer.Argument(metavar="NAME|PATH|hf-hub:ORG/NAME", help="Which weights.")]


@app.callback()
def models() -> None:
    """List, show and verify weights."""


@app.command("list")
def list_weights(
    ctx: typer.Context, json: Json = False, quiet: Quiet = False, verbose: Verbose = 0
) -> None:
    """List the weights that ship with omnisyn."""
    console = console_of(ctx, quiet, verbose)
    cards = api.list_models()
    if json:
        console.json(cards)
        return
    for card in cards:
        console.result(
            f"{card['name']}: {', '.join(card['contrasts'])}; {card['parameters'] / 1e6:.1f} M "
            f"parameters; {card['trained_on']}; {card['intended_use']}"
        )
    if not cards:
        console.note("this installation ships no weights")


@app.command()
def show(
    ctx: typer.Context,
    name: Name,
    cache_dir: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Show the card of a set of weights."""
    console = console_of(ctx, quiet, verbose)
    card = api.show_model(name, cache_dir)
    if json:
        console.json(card)
        return
    for key, value in card.items():
        console.result(f"{key}: {value}")


@app.command()
def verify(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH|hf-hub:ORG/NAME]", help="Which weights.  [default: all shipped]"
        ),
    ] = None,
    cache_dir: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Compare the SHA-256 of weights with the one on their card; exit 4 when they differ."""
    console = console_of(ctx, quiet, verbose)
    verified = api.verify_models(name, cache_dir)
    if json:
        console.json(verified)
        return
    if not verified:
        console.note("this installation ships no weights")
    for entry in verified:
        console.result(f"{entry['name']}: whole (sha256 {entry['sha256']})")


@app.command()
def calibrate(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH|hf-hub:ORG/NAME]", help="Which weights.  [default: small]"
        ),
    ] = None,
    data: Data = None,
    patients: Annotated[
        int, typer.Option("--patients", min=2, help="How many simulated patients.")
    ] = 26,
    device: Device = "auto",
    overwrite: Overwrite = False,
    cache_dir: Cache = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Measure what `synthesize` needs to say how sure it is; written beside the weights."""
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        path = api.calibrate_model(
            name,
            data=data,
            patients=patients,
            device=device,
            overwrite=overwrite,
            cache_dir=cache_dir,
            note=console.note,
            progress=progress,
        )
    console.result(str(path))
