"""`python -m benchmarks real-curves --out FILE.json`: curves of the training data, fitted once."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omnisyn.evaluation.curves import measure_curves, write_curves
from omnisyn.training.recipe import load_recipe
from omnisyn.training.run import RunOptions
from omnisyn.training.session import open_source

# About the window of a simulator, after which it shows another head.
_EVERY = 40


def main(arguments: Sequence[str]) -> None:
    """Fit the curves and keep them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks real-curves", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--data", type=Path, help="the data root that was trained on")
    parser.add_argument(
        "--label-maps", type=Path, action="append", default=[], help="that were trained on"
    )
    parser.add_argument("--batches", type=int, default=40, help="of the recipe's size")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    options = RunOptions(data=chosen.data, label_maps=tuple(chosen.label_maps), seed=chosen.seed)
    # As finetune opens it: the curves see what the model saw.
    source = open_source(options, load_recipe("small").finetune, print)
    curves = measure_curves(
        source, chosen.batches, lambda *step: print(*step, flush=True), every=_EVERY
    )
    source.close()
    write_curves(chosen.out, curves)
    print(f"{len(curves.sums)} directions from {curves.slices} slices of {curves.fitted_on}")
