"""`python -m benchmarks registration`: how far registrations end from a motion that is known.

Simulated heads (see `displaced_heads`) are scanned again after a motion; T1 is the reference. Every
program registers every scan; the error is the mean distance between where a point of the head truly
went and where the program says it went (target registration error). `plain` is what a first
tutorial of SimpleITK does: one level, a hundredth of the voxels at random; its results are put to
the check of `register`, which its seconds leave out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK

from benchmarks.displaced_heads import (
    CONTRASTS,
    MOST_DEGREES,
    MOST_MM,
    DisplacedHead,
    DisplacedScan,
    displaced_heads,
)
from benchmarks.machine import describe_machine
from benchmarks.real.tables import markdown
from omnisyn.errors import OmnisynError
from omnisyn.preparation.images import moved_points, to_image
from omnisyn.preparation.register import PROGRAMS, TRANSFORMS, Transform, checked, register
from omnisyn.volumes.volume import Volume

PLAIN = "plain"
FAILURE_MM = 2.0
GOOD_MM = 1.0


@dataclass(frozen=True)
class Outcome:
    """One registration: its program and contrast, error and motion in mm, doubts and seconds."""

    program: str
    contrast: str
    error_mm: float
    doubts: tuple[str, ...]
    seconds: float


def main(arguments: Sequence[str]) -> None:
    """Register every scan with every program and print what it gave."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks registration", description=__doc__)
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    known = (*PROGRAMS, PLAIN)
    parser.add_argument("--programs", nargs="+", choices=known, default=["sitk", "greedy", PLAIN])
    parser.add_argument("--transform", choices=TRANSFORMS, default="rigid")
    parser.add_argument(
        "--no-chemical-shift", action="store_true", help="leave fat where it is in every series"
    )
    options = parser.parse_args(arguments)
    print(describe_machine())
    # One core each, so that their seconds compare.
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    outcomes: list[Outcome] = []
    try:
        heads = displaced_heads(
            options.patients, options.seed, chemical_shift=not options.no_chemical_shift
        )
        for head in heads:
            for scan in head.scans:
                for program in options.programs:
                    outcomes.append(measured(program, head, scan, options.transform))
                    _tell(head, outcomes[-1])
    except OmnisynError as error:
        sys.exit(str(error))
    print(
        f"\n{options.patients} patients, seed {options.seed}; up to {MOST_MM:g} mm along each axis "
        f"and {MOST_DEGREES:g} degrees, {options.transform}"
        f"{', no chemical shift' * options.no_chemical_shift}\n"
    )
    print("\n".join(markdown(*by_program(outcomes), texts=1)), end="\n\n")
    print("\n".join(markdown(*by_contrast(outcomes), texts=1)))


def measured(
    program: str, head: DisplacedHead, scan: DisplacedScan, transform: Transform
) -> Outcome:
    """Register one scan; the truth is rigid, so that a looser transform can only lose by it."""
    began = time.perf_counter()
    if program == PLAIN:
        end = plain(head.reference, scan.volume)
        seconds = time.perf_counter() - began
        doubts = checked(head.reference, scan.volume, end).doubts
    else:
        found = register(head.reference, scan.volume, transform=transform, program=program)
        seconds = time.perf_counter() - began
        end, doubts = found.transform, found.doubts
    truth = head.points @ scan.motion[:3, :3].T + scan.motion[:3, 3]
    apart = np.linalg.norm(moved_points(end, head.points) - truth, axis=1)
    return Outcome(program, scan.contrast, float(apart.mean()), doubts, seconds)


def by_program(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Header and body of the table of programs; seconds also as a multiple of the first one's."""
    header = ["program", "median mm", "95 % mm", "worst mm", f"above {FAILURE_MM:g} mm",
              "of these flagged", f"flagged below {GOOD_MM:g} mm", "s a volume",
              "times"]  # fmt: skip
    body = []
    groups = _grouped(outcomes, "program")
    first = np.mean([each.seconds for each in next(iter(groups.values()))])
    for program, group in groups.items():
        errors = np.array([each.error_mm for each in group])
        failed = [each for each in group if each.error_mm > FAILURE_MM]
        good = [each for each in group if each.error_mm < GOOD_MM]
        seconds = float(np.mean([each.seconds for each in group]))
        body.append(
            [
                program,
                f"{np.median(errors):.2f}",
                f"{np.percentile(errors, 95):.2f}",
                f"{errors.max():.2f}",
                f"{len(failed)} of {len(group)}",
                str(sum(bool(each.doubts) for each in failed)),
                f"{sum(bool(each.doubts) for each in good)} of {len(good)}",
                f"{seconds:.1f}",
                f"{seconds / first:.2f}",
            ]
        )
    return header, body


def by_contrast(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Header and body of the table of contrasts: median and 95th percentile, mm."""
    header = ["program", *(name for name in CONTRASTS)]
    body = []
    for program, group in _grouped(outcomes, "program").items():
        cells = [
            f"{np.median(errors):.2f} / {np.percentile(errors, 95):.2f}"
            for errors in (
                [each.error_mm for each in group if each.contrast == name] or [np.nan]
                for name in CONTRASTS
            )
        ]
        body.append([program, *cells])
    return header, body


def plain(fixed: Volume, moving: Volume) -> Any:
    """What a first tutorial does."""
    target, source = (to_image(each.voxels, each.geometry) for each in (fixed, moving))
    transform = SimpleITK.CenteredTransformInitializer(
        target,
        source,
        SimpleITK.Euler3DTransform(),
        SimpleITK.CenteredTransformInitializerFilter.GEOMETRY,
    )
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=100
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(target, source)
    return transform


def _grouped(outcomes: Iterable[Outcome], by: str) -> Mapping[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault(getattr(each, by), []).append(each)
    return groups


def _tell(head: DisplacedHead, outcome: Outcome) -> None:
    doubts = f" ({'; '.join(outcome.doubts)})" if outcome.doubts else ""
    print(
        f"{head.name} {outcome.contrast} {outcome.program}: {outcome.error_mm:.2f} mm, "
        f"{outcome.seconds:.1f} s{doubts}",
        flush=True,
    )
