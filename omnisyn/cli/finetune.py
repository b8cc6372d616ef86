"""`omnisyn finetune`: training stage 3: the target-conditioned decoder."""

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
    Adversarial,
    Init,
    MaxSteps,
    MaxTime,
    Out,
    Recipe,
    Resume,
    SaveEvery,
    tell,
)

app = application()


@app.command()
def finetune(
    ctx: typer.Context,
    recipe: Recipe = None,
    data: Data = None,
    label_maps: LabelMaps = None,
    out: Out = None,
    init: Init = None,
    adversarial: Adversarial = False,
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
    """Train the decoder that paints any target contrast.

    omnisyn finetune --recipe small --max-time 30m
    """
    console = console_of(ctx, quiet, verbose)
    run = api.finetune(
        recipe=recipe,
        data=data,
        label_maps=tuple(label_maps or ()),
        out=out,
        init=init or (),
        adversarial=adversarial,
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
