"""`python -m benchmarks real --data ROOT`: a model on real heads, beside its controls.

ROOT holds sites, or folders with a folder for each patient ({T1,T1c,T2,FLAIR,lesions}.nii.gz on
one grid). See docs/real-heads.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.real.heads import read_heads, sites_in
from benchmarks.real.measure import measure_head
from benchmarks.real.pictures import PictureFolder
from benchmarks.real.tables import rows_tsv, site_lines
from omnisyn.errors import OmnisynError
from omnisyn.evaluation.curves import read_curves
from omnisyn.evaluation.results import Row
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.volumes.atomic import write_text_atomic


def main(arguments: Sequence[str]) -> None:
    """Measure every patient and print the tables."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except OmnisynError as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks real", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="ROOT of the real heads")
    parser.add_argument(
        "--weights",
        action="append",
        help="name, file or address; may be repeated (controls are scored once)",
    )
    parser.add_argument("--training-curves", type=Path, help="made by: real-curves --out FILE")
    parser.add_argument("--site", action="append", help="only this folder of ROOT")
    parser.add_argument(
        "--skip-slices",
        type=int,
        default=1,
        metavar="N",
        help="a quick look: of the slices with a head, every N-th only",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tsv", type=Path, help="write all figures, patient by patient")
    parser.add_argument(
        "--pictures", type=Path, help="a folder for PNGs; of real patients, never to be published"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    models = _load(options.weights or [None], options.device)
    training = read_curves(options.training_curves) if options.training_curves else None
    pictures = PictureFolder(options.pictures) if options.pictures else None
    sites = [site for site in sites_in(options.data) if site.name in (options.site or [site.name])]
    if not sites:
        sys.exit(f"{options.data.name} holds no folder of patients")
    if options.skip_slices > 1:
        print(f"QUICK LOOK: one slice in {options.skip_slices} only")
    for name, model in models.items():
        print(f"{name}: sha256 {model.identity.sha256[:12]}, {model.identity.device}")
    fitted_on = f"{training.slices} slices of {training.fitted_on}" if training else "not given"
    print(f"training curves: {fitted_on}")
    every_row: list[Row] = []
    for site in sites:
        heads = read_heads(site.patients(), options.skip_slices)
        rows: list[Row] = []
        for head in heads:
            rows += measure_head(head, heads, models, training, pictures or _unwatched)
            print(f"{head.patient}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        print("\n".join([f"\n## {site.name}", *site_lines(rows, list(models))]), flush=True)
        every_row += rows
    if options.tsv:
        facts = {"every_nth_slice": str(options.skip_slices)}
        write_text_atomic(options.tsv, rows_tsv(every_row, facts))


def _load(weights: Sequence[str | None], device: str) -> dict[str, Synthesizer]:
    """By a name of its own for each; weights of one name are told apart by their hash."""
    loaded = [Synthesizer.load(each, device) for each in weights]
    counts = Counter(each.identity.name for each in loaded)
    return {
        each.identity.name
        if counts[each.identity.name] == 1
        else f"{each.identity.name} {each.identity.sha256[:6]}": each
        for each in loaded
    }


def _unwatched(*_: object) -> None:
    """Nobody wants pictures."""
