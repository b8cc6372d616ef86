"""`python -m benchmarks real-curves --out FILE.json`: curves of the training data, fitted once."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omnisyn.evaluation.curves import measure_curves, write_curves
from omnisyn.simulate.cohort import load_cohort
from omnisyn.simulate.stream import SimulatedSlices
from omnisyn.studies.cache import CachedSlices
from omnisyn.studies.site import DataRoot
from omnisyn.studies.slices import SliceSource

_BATCH_SIZE, _CROP = 8, 160


def main(arguments: Sequence[str]) -> None:
    """Fit the curves and keep them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks real-curves", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--data", type=Path, help="a data root with a cache; default: simulation")
    parser.add_argument("--cohort", default="hospitals", help="the simulated cohort")
    parser.add_argument("--batches", type=int, default=60, help=f"of {_BATCH_SIZE} slices each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    source = open_source(options.data, options.cohort, options.seed)
    curves = measure_curves(source, options.batches, lambda *step: print(*step, flush=True))
    source.close()
    write_curves(options.out, curves)
    print(f"{len(curves.sums)} directions from {curves.slices} slices of {curves.fitted_on}")


def open_source(data: Path | None, cohort: str, seed: int) -> SliceSource:
    """The slices that a model was trained on: the `train` sites of a root, or the simulator."""
    if data is not None:
        sites = DataRoot(data).select("train")
        return CachedSlices(sites, batch_size=_BATCH_SIZE, crop=_CROP, seed=seed)
    # A new head every other batch: a curve gains more by heads than by slices of one head.
    return SimulatedSlices(
        load_cohort(cohort), batch_size=_BATCH_SIZE, crop=_CROP, seed=seed, window=2
    )
