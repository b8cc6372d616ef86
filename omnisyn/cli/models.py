"""`omnisyn models`: the weights at hand, their cards, whether they are whole, and the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Cache,
    Data,
    Device,
    Json,
    LabelMaps,
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
    """List, show, verify, pull, push and convert weights."""


@app.command("list")
def list_weights(
    ctx: typer.Context, json: Json = False, quiet: Quiet = False, verbose: Verbose = 0
) -> None:
    """List the weights that ship with omnisyn, and the backbones that a recipe can name."""
    console = console_of(ctx, quiet, verbose)
    cards, backbones = api.list_models(), api.list_backbones()
    if json:
        console.json({"weights": cards, "backbones": backbones})
        return
    for card in cards:
        console.result(
            f"{card['name']}: {', '.join(card['contrasts'])}; {card['parameters'] / 1e6:.1f} M "
            f"parameters; {card['trained_on']}; {card['intended_use']}"
            + ("; takes words, too" if card["text"] else "")
        )
    if not cards:
        console.note("this installation ships no weights")
    for backbone in backbones:
        console.result(
            f"backbone {backbone['name']}: {backbone['summary']}; width "
            f"{backbone['published_width']}, or a multiple of {backbone['width_step']}"
        )


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
    """Compare the SHA-256 of weights, and of their text tower, with the card; exit 4 when they
    differ.
    """
    console = console_of(ctx, quiet, verbose)
    verified = api.verify_models(name, cache_dir)
    if json:
        console.json(verified)
        return
    if not verified:
        console.note("this installation ships no weights")
    for entry in verified:
        tower = f", text tower sha256 {entry['text_sha256']}" if "text_sha256" in entry else ""
        console.result(f"{entry['name']}: whole (sha256 {entry['sha256']}{tower})")


@app.command()
def pull(
    ctx: typer.Context,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="hf-hub:ORG/NAME[@REVISION][#sha256=HASH]; another hash than this is refused.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Copy to FILE (NAME.safetensors) and its card beside."
        ),
    ] = None,
    overwrite: Overwrite = False,
    cache_dir: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Fetch weights, card and text tower from the hub into the cache, and check them."""
    console = console_of(ctx, quiet, verbose)
    with console.progress() as progress:
        pulled = api.pull_model(
            address, out, overwrite=overwrite, cache_dir=cache_dir, progress=progress
        )
    entries = {
        "weights": str(pulled.weights),
        "card": str(pulled.card),
        "sha256": pulled.sha256,
        "commit": pulled.commit,
    } | ({} if pulled.text is None else {"text": str(pulled.text)})
    if json:
        console.json(entries)
        return
    for key, value in entries.items():
        console.result(f"{key}: {value}")


@app.command()
def push(
    ctx: typer.Context,
    weights: Annotated[str, typer.Argument(metavar="NAME|PATH", help="Which weights to give.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="hf-hub:ORG/NAME.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    message: Annotated[
        str | None, typer.Option("--message", metavar="TEXT", help="Message of the commit.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", help="A new name for the commit.")
    ] = None,
    cache_dir: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Upload weights, card, text tower and a page made of the card to the hub, in one commit.

    The token is that of `hf auth login`, or HF_TOKEN.
    """
    console = console_of(ctx, quiet, verbose)
    pushed = api.push_model(
        weights,
        address,
        private=private,
        message=message,
        tag=tag,
        cache_dir=cache_dir,
        note=console.note,
    )
    if json:
        console.json({"address": pushed.address, "commit": pushed.commit, "sha256": pushed.sha256})
        return
    console.result(f"commit: {pushed.commit}")
    console.result(f"use: --weights {pushed.address}")


@app.command()
def convert(
    ctx: typer.Context,
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Safetensors, or a saved state dict.")
    ],
    recipe: Annotated[
        str,
        typer.Option("--recipe", metavar="NAME|FILE", help="Says its backbone and width."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="NAME.safetensors.")],
    trained_on: Annotated[
        str, typer.Option("--trained-on", metavar="TEXT", help="Its data, in a sentence.")
    ],
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Those data were simulated, at least in part.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make weights of a published checkpoint, for `finetune --init` to begin with."""
    console = console_of(ctx, quiet, verbose)
    path = api.convert_model(
        checkpoint,
        recipe,
        out,
        trained_on=trained_on,
        simulated=simulated,
        overwrite=overwrite,
        note=console.note,
    )
    console.result(str(path))


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
    label_maps: LabelMaps = None,
    patients: Annotated[
        int,
        typer.Option(
            "--patients", min=2, help="How many simulated patients, and as many of label maps."
        ),
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
            label_maps=label_maps or (),
            patients=patients,
            device=device,
            overwrite=overwrite,
            cache_dir=cache_dir,
            note=console.note,
            progress=progress,
        )
    console.result(str(path))
