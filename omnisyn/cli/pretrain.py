"""`omnisyn pretrain`: training stage 1: the contrast-invariant encoder."""

from __future__ import annotations

import typer

from omnisyn import api
from omnisyn.cli.options import (
    Config,
    Data,
    Device,
    LabelMaps,
    Precision,
    Quiet,
    Seed,
    Verbose,
    application,
    console_of,
)
from omnisyn.cli.training_options import (
    Init,
    MaxSteps,
    MaxTime,
    Out,
    PretrainObjective,
    Recipe,
    Resume,
    SaveEvery,
    tell,
)

app = application()


@app.command()
def pretrain(
    ctx: typer.Context,
    recipe: Recipe = None,
    data: Data = None,
    label_maps: LabelMaps = None,
    out: Out = None,
    init: Init = None,
    objective: PretrainObjective = None,
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "float32",
    max_steps: MaxSteps = None,
    max_time: MaxTime = None,
    resume: Resume = "auto",
    save_every: SaveEvery = None,
    config: Config = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train one encoder to see the same anatomy in every contrast.

    omnisyn pretrain --recipe small --max-time 30m
    """
    console = console_of(ctx, quiet, verbose)
    run = api.pretrain(
        recipe=recipe,
        data=data,
        label_maps=tuple(label_maps or ()),
        out=out,
        init=init or (),
        objective=objective,
        seed=seed,
        device=device,
        precision=precision,
        max_steps=max_steps,
        max_time=max_time,
        resume=resume,
        save_every=save_every,
        note=console.note,
    )
    tell(console, run)
