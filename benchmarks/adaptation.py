"""`python -m benchmarks adaptation --data ROOT`: what a site's own patients make of the weights.

Each subject in turn is left out: the weights are adapted to the others (`omnisyn finetune`, recipe
`adapt`) and tried on the one left out, and on the patients of another root, whose figures show
what was forgotten. The weights must have seen neither.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.real.goals import PSNR, SSIM, mean_over_single
from benchmarks.real.heads import Head, read_heads, sites_in
from benchmarks.real.measure import OTHER, measure_head
from benchmarks.real.tables import markdown
from omnisyn import api
from omnisyn.errors import OmnisynError
from omnisyn.evaluation.results import Row
from omnisyn.evaluation.scoring import subject_of
from omnisyn.inference.synthesizer import Synthesizer
from omnisyn.studies.site import Site, write_site

BEFORE, AFTER = "before", "adapted"


def main(arguments: Sequence[str]) -> None:
    """Adapt once for every subject and print what it gave."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks adaptation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="ROOT of prepared sites")
    parser.add_argument("--also", type=Path, help="ROOT of real heads that nothing is adapted to")
    parser.add_argument("--weights", help="that are adapted; by default the shipped ones")
    parser.add_argument("--max-steps", type=int, help="of each adaptation")
    parser.add_argument("--max-time", type=float, default=900.0, help="of each, in seconds")
    parser.add_argument("--skip-slices", type=int, default=1, metavar="N", help="one in N only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    try:
        _run(parser.parse_args(arguments))
    except OmnisynError as error:
        sys.exit(str(error))


def _run(options: argparse.Namespace) -> None:
    sites = sites_in(options.data)
    heads = _heads(sites, options.skip_slices)
    others = _heads(sites_in(options.also), options.skip_slices) if options.also else []
    before = Synthesizer.load(options.weights, options.device)
    print(f"{before.identity.name}: sha256 {before.identity.sha256[:12]}")
    body = []
    for subject in dict.fromkeys(_name(head.subject) for head in heads):
        held = [head for head in heads if _name(head.subject) == subject]
        with tempfile.TemporaryDirectory() as folder:
            models = {BEFORE: before, AFTER: _adapted(sites, subject, Path(folder), options)}
            tried = {
                **_by_site(held),
                **{f"{name} (also)": h for name, h in _by_site(others).items()},
            }
            for site, patients in tried.items():
                beside = [head for head in (*heads, *others) if head.site == patients[0].site]
                rows = [row for head in patients for row in _measured(head, beside, models)]
                body.append([subject, site, *_figures(rows)])
                print(" | ".join(body[-1]), flush=True)
    header = ["left out", "tried on", BEFORE, AFTER, OTHER]
    print("\n".join(["", "SSIM / PSNR in the head", *markdown(header, body, texts=2)]))


def _heads(sites: Sequence[Site], every: int) -> list[Head]:
    return [head for site in sites for head in read_heads(site.patients(), every)]


def _by_site(heads: Sequence[Head]) -> dict[str, list[Head]]:
    found: dict[str, list[Head]] = {}
    for head in heads:
        found.setdefault(head.site, []).append(head)
    return found


def _name(subject: str) -> str:
    """Without its site: a subject may be in several, with the skull and without."""
    return subject.rsplit("/", 1)[-1]


def _measured(head: Head, beside: Sequence[Head], models: Mapping[str, Synthesizer]) -> list[Row]:
    return measure_head(head, beside, models, training=None, watch=lambda *_: None)


def _adapted(
    sites: Sequence[Site], subject: str, folder: Path, options: argparse.Namespace
) -> Synthesizer:
    for site in sites:
        copy_without(site, subject, folder / "data")
    result = api.finetune(
        data=folder / "data",
        init=(options.weights or "small",),
        out=folder / "run",
        seed=options.seed,
        device=options.device,
        max_steps=options.max_steps,
        max_time=options.max_time,
    )
    return Synthesizer.load(result.folder, options.device)


def copy_without(site: Site, subject: str, root: Path) -> Site:
    """The site under another root, its files linked, with a subject's studies for testing only."""
    rows = []
    for patient in site.patients():
        name = _name(subject_of(patient))
        split = {"split": "test"} if name == subject else {}
        rows.append({"participant_id": patient.identifier, "subject": name, **split})
    copy = write_site(root, site.settings, rows)
    for patient in site.patients():
        (copy.path / patient.identifier).symlink_to(patient.path.resolve())
    copy.cache.symlink_to(site.cache.resolve())
    return copy


def _figures(rows: Sequence[Row]) -> list[str]:
    return [
        f"{mean_over_single(rows, method, SSIM):.3f} / {mean_over_single(rows, method, PSNR):.2f}"
        for method in (BEFORE, AFTER, OTHER)
    ]
