"""Every direction of one patient: models and controls by the one rule, and their lesions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.real.heads import Head
from omnisyn.evaluation.controls import (
    BLIND,
    COPY,
    ORACLE,
    CurveSums,
    build_controls,
    curve_image,
    total,
)
from omnisyn.evaluation.curves import TrainingCurves
from omnisyn.evaluation.lesions import are_bright, bright_spots, contrast_kept, spot_heights
from omnisyn.evaluation.metrics import score_all
from omnisyn.evaluation.results import Direction, Row
from omnisyn.inference.synthesizer import Synthesizer

OTHER = "LUT of other patients"
TRAINING = "LUT of training data"
CONTROLS = (COPY, OTHER, TRAINING, ORACLE)

Images = Mapping[str, NDArray[np.float32]]
Watch = Callable[[Head, Direction, Images], None]
"""Hears a patient, a direction, and what each model made of it."""


def measure_head(
    head: Head,
    others: Sequence[Head],
    models: Mapping[str, Synthesizer],
    training: TrainingCurves | None,
    watch: Watch,
) -> list[Row]:
    """The rows of one patient; `others` are patients of the site, this one may be among them."""
    rows = []
    for sources in dict.fromkeys(direction.sources for direction in head.directions):
        directions = [each for each in head.directions if each.sources == sources]
        given = {name: head.scaled[name] for name in sources}
        targets = [each.target for each in directions]
        made = {
            name: model.on_pixels(*head.spacing[1:]).synthesize_slices(given, targets)
            for name, model in models.items()
        }
        for direction in directions:
            images = {name: found[direction.target] for name, found in made.items()}
            watch(head, direction, images)
            rows += _rows(
                head, direction, images, _sums_of_others(head, others, direction), training
            )
    return rows


def _sums_of_others(
    head: Head, others: Sequence[Head], direction: Direction
) -> dict[str, CurveSums]:
    held = [
        other.sums[direction]
        for other in others
        if other.subject != head.subject and direction in other.sums
    ]
    return {name: total(part[name] for part in held) for name in direction.sources if held}


def _rows(
    head: Head,
    direction: Direction,
    images: Images,
    others: Mapping[str, CurveSums],
    training: TrainingCurves | None,
) -> list[Row]:
    truth, mask = head.scaled[direction.target], head.masks[direction.contrasts]
    sources = {name: head.scaled[name] for name in direction.sources}
    controls = build_controls(truth, sources, mask, others)
    labels = {COPY: COPY, BLIND: OTHER, ORACLE: ORACLE}
    methods = dict(images)
    chosen = {}
    for name, label in labels.items():
        if name in controls.images:
            methods[label], chosen[label] = controls.images[name], controls.sources[name]
    learned = curve_image(sources, training.of(direction) if training else {})
    if learned is not None:
        methods[TRAINING], chosen[TRAINING] = learned
    scores, slices = score_all(truth, methods, mask, head.regions)
    lesions = _lesion_values(head, truth, methods, mask)
    return [
        Row(
            site=head.site,
            patient=head.patient,
            subject=head.subject,
            direction=direction.name,
            method=method,
            values={**found.values, **lesions[method]},
            clipped=found.clipped,
            slices=len(slices.scored),
            without_head=slices.without_head,
            constant=slices.constant,
            control_source=chosen.get(method),
        )
        for method, found in scores.items()
    ]


def _lesion_values(
    head: Head,
    truth: NDArray[np.float32],
    methods: Mapping[str, NDArray[np.floating]],
    mask: NDArray[np.bool_],
) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {method: {} for method in methods}
    bright = {name: found for name, found in head.lesions.items() if are_bright(found, truth)}
    true_heights = spot_heights(truth, mask) if bright else None
    for method, image in methods.items():
        for name, lesions in head.lesions.items():
            kept = contrast_kept(lesions, truth, image)
            values[method] |= {
                f"count_{name}": float(kept.lesions),
                f"contrast_{name}": kept.ratio,
                f"sign_{name}": kept.right_sign,
                f"half_{name}": kept.half,
            }
        if true_heights is None:
            continue
        heights = spot_heights(image, mask)
        for name in bright:
            spots = bright_spots(true_heights, heights, head.regions[name], mask)
            values[method] |= {
                f"found_{name}": spots.found,
                f"found_in_truth_{name}": spots.found_in_truth,
                f"invented_{name}": spots.invented,
                f"invented_spots_{name}": float(spots.invented_spots),
                f"elsewhere_in_truth_{name}": spots.elsewhere_in_truth,
            }
    return values
