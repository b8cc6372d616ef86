"""Made-up results: no network was trained for them, and their figures stand for nothing."""

import math

import numpy as np

from omnisyn.comparison.results import Comparison, Cost, FailedUnit, UnitResult
from omnisyn.evaluation.controls import BLIND, COPY, ORACLE, SHIFTED
from omnisyn.evaluation.results import MODEL, Row, SiteScores

DIRECTIONS = ("T1→T2", "T2→T1")
CONTROL_QUALITY = {COPY: 0.5, BLIND: 0.6, ORACLE: 0.7, SHIFTED: 0.78}


def row(site, patient, direction, method, quality):
    """A row whose SSIM in the head is `quality`, and whose other figures follow from it."""
    values = {
        "ssim_head": quality,
        "psnr_head": math.inf if quality == 1 else -10 * math.log10((1 - quality) / 10),
        "mae_head": (1 - quality) / 5,
        "ssim_frame": 0.5 + quality / 2,
    }
    return Row(
        site=site,
        patient=patient,
        subject=f"{site}/{patient}",
        direction=direction,
        method=method,
        values=values,
        clipped=0.0,
        slices=20,
        without_head=2,
        constant=0,
    )


def site_scores(quality, *, site="sim-one", patients=6, role="external", directions=DIRECTIONS):
    """A site whose model has the quality of (patient number, direction); sites named sim-… are
    simulated, and controls are the same whatever the model."""
    rows = []
    for number in range(patients):
        for direction in directions:
            own = np.random.default_rng([number, len(direction), len(site)]).normal(0, 0.01)
            found = {MODEL: quality(number, direction)}
            found |= {name: level + own for name, level in CONTROL_QUALITY.items()}
            rows += [
                row(site, f"sub-{number:02d}", direction, method, value)
                for method, value in found.items()
            ]
    simulated = site.startswith("sim-")
    return SiteScores(site, role, simulated, "Example 3 T", "its other patients", tuple(rows))


def unit(arm, scores, *, budget="steps", seed=0, operations=1e15):
    """A unit with these sites' scores."""
    sweep = {"0.0001": 0.71, "0.0003": 0.74, "0.001": math.nan}
    return UnitResult(arm, budget, seed, 3e-4, sweep, 1000, operations, 1234.5, tuple(scores))


def cost(parameters=1_000_000, slice_operations=1e10):
    return Cost(
        parameters=parameters,
        training_operations=3 * 8 * slice_operations,
        slice_operations=slice_operations,
        slice_seconds=slice_operations / 1e12,
        training_memory_mib=512.0,
        device="an example device",
        slice_size=(224, 224),
    )


def comparison(results, *, arms=None, reference="small", failed=(), simulated=True, costs=None):
    """A comparison of these units."""
    arms = arms or tuple(dict.fromkeys(result.arm for result in results))
    budgets = dict.fromkeys((result.budget for result in results), "1000 steps of 8 slices")
    return Comparison(
        name="example",
        description="Made-up figures.",
        reference=reference,
        budgets=budgets or {"steps": "1000 steps of 8 slices"},
        simulated=simulated,
        data="six patients a site, made up",
        arms=arms,
        costs=costs if costs is not None else {arm: cost() for arm in arms},
        results=tuple(results),
        failed=tuple(failed),
        details={"omnisyn": "0.0"},
    )


def constant(level, step=0.0):
    """Quality by patient and direction: the level, rising by `step` with every patient."""
    return lambda number, direction: level + step * number


def two_arms(site="sim-one", *, patients=5, **settings):
    """A reference and an arm that is better in every patient."""
    units = [
        unit("small", [site_scores(constant(0.65, 0.002), site=site, patients=patients)]),
        unit("large", [site_scores(constant(0.72, 0.004), site=site, patients=patients)]),
    ]
    return comparison(units, **settings)


def nine_arms(sites=("sim-one", "clinic"), patients=7, seeds=3):
    """Nine arms with two budgets and several seeds, near each other, and one failed unit."""
    backbones = ("unet", "unetr", "swinunet", "swinunetr", "swinunetrv2", "transunet", "resvit")
    arms = (*backbones, "brainmvp", "small")
    costs, results = {}, []
    for index, arm in enumerate(arms):
        draws = np.random.default_rng(index)
        operations = 10 ** draws.uniform(9.6, 11.2)
        costs[arm] = cost(int(operations / 2000), operations)
        for budget in ("steps", "compute"):
            total = 24e3 * operations if budget == "steps" else 2e15 * draws.uniform(0.98, 1.02)
            level = 0.68 + 0.012 * index + (0.01 if budget == "compute" else 0)
            for seed in range(seeds):
                if (arm, budget, seed) == ("brainmvp", "compute", 2):
                    continue
                noise = np.random.default_rng([index, seed, len(budget)])
                scores = [
                    site_scores(
                        lambda number, direction, level=level, noise=noise: (
                            level + 0.01 * (number % 3) + noise.normal(0, 0.008)
                        ),
                        site=site,
                        patients=patients,
                    )
                    for site in sites
                ]
                results.append(unit(arm, scores, budget=budget, seed=seed, operations=total))
    failed = [FailedUnit("brainmvp", "compute", 2, "the loss is not finite at step 211")]
    return comparison(results, arms=arms, failed=failed, costs=costs)
