"""`omnisyn align`: training stage 2: texts and images of contrasts in one space."""

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
    ClipWeights,
    Init,
    MaxSteps,
    MaxTime,
    Objective,
    Out,
    Recipe,
    Resume,
    SaveEvery,
    tell,
)

app = application()


@app.command()
def align(
    ctx: typer.Context,
    recipe: Recipe = None,
    data: Data = None,
    label_maps: LabelMaps = None,
    out: Out = None,
    init: Init = None,
    clip_weights: ClipWeights = None,
    objective: Objective = None,
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
    """Train the text and image towers to recognise each contrast.

    omnisyn align --recipe small --max-time 30m
    """
    console = console_of(ctx, quiet, verbose)
    run = api.align(
        recipe=recipe,
        data=data,
        label_maps=tuple(label_maps or ()),
        out=out,
        init=init or (),
        clip_weights=clip_weights,
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
