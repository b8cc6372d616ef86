"""Whether a source is like anything that the weights were trained on, and what it looks like.

A volume is described by the encoder's three coarsest maps, averaged over the anterior and the
posterior half of the head in a few slices. Its distance is that to the nearest described
training-like volume of the contrast it was given as, each channel measured in its spread between
volumes of one contrast. Is it beyond the limit? Is the image much nearer when it is turned upside
down? Which contrast it is, and whether it is inverted, is told better by what the model makes of it
on the way to another contrast and back (`way_back`). And, from the image alone: a head has a left
and a right that are alike; does this one lie on its side?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.inference.regions import framed, region_means
from omnisyn.inference.uncertainty import Slices
from omnisyn.inference.way_back import INVERTED, likeliest, without_agent
from omnisyn.models.generator import Generator
from omnisyn.studies.slices import SliceBatch, evenly_thinned
from omnisyn.volumes.normalize import head_boxes, head_mask, head_slices

Description = NDArray[np.float32]

EXAMINED_SLICES = 4
_MAPS = 3
_MARGIN_PIXELS = 8
# Chosen on real heads and foreign images, see docs/commands/synthesize.md.
LIMIT_FACTOR = 1.4
"""The limit, in distances that 95 % of the training-like volumes keep to other patients."""
CLEARLY_NEARER = 1.2
"""So many times nearer must an image be to the training data, upside down."""
LYING = -0.05
"""Likeness of left and right, less that of front and back, below which a head lies on its side."""


@dataclass(frozen=True)
class FamiliarityStatistics:
    """Training-like volumes, described.

    Attributes:
        contrasts: what each shows.
        descriptions: (volumes, channels).
        spread: (channels,), of volumes of one contrast.
        limit: a distance beyond which nothing that was trained on lies.
    """

    contrasts: tuple[str, ...]
    descriptions: Description
    spread: Description
    limit: float

    def distances(self, description: Description) -> dict[str, float]:
        """To the nearest volume of each contrast, in spreads; T1c counts as T1."""
        found: dict[str, float] = {}
        away = _distances(description, self.descriptions, self.spread)
        for name, distance in zip(self.contrasts, away, strict=True):
            kind = without_agent(name)
            found[kind] = min(float(distance), found.get(kind, np.inf))
        return found


@dataclass(frozen=True)
class Familiarity:
    """What was found out about one source.

    Attributes:
        given_as: the contrast it was given as.
        looks_like: another contrast, as which it is clearly less changed on the way back, or the
            given one; T1 may stand for T1c.
        distance: to the nearest volume of the contrast it was given as, in spreads.
        limit: beyond it, the source is unlike all of them.
        fault: what seems to have been done to the image ("inverted"), or None.
    """

    given_as: str
    looks_like: str
    distance: float
    limit: float
    fault: str | None

    @property
    def other_contrast(self) -> bool:
        """Whether it looks like another contrast than it was given as."""
        return self.looks_like != without_agent(self.given_as)

    @property
    def score(self) -> float:
        """Distance in limits: above 1 it is unlike anything that was trained on."""
        return self.distance / self.limit

    @property
    def warning(self) -> str | None:
        """What a user should look at, one sentence, or None."""
        if self.fault is not None:
            other = f", or like {self.looks_like}" if self.other_contrast else ""
            return f"the {self.given_as} looks {self.fault}{other}: check the image"
        if self.other_contrast:
            return f"the {self.given_as} looks like {self.looks_like}: check which contrast it is"
        if self.score > 1:
            return (
                f"the {self.given_as} is unlike anything that the weights were trained on (score "
                f"{self.score:.2f}, the limit is 1): is it an MR image of a head, axes in order?"
            )
        return None

    @property
    def headline(self) -> str | None:
        """The warning in a few words and the score, for a picture; None without a warning."""
        if self.warning is None:
            return None
        if self.fault is not None:
            seen = f"LOOKS {self.fault.upper()}"
        elif self.other_contrast:
            seen = f"LOOKS LIKE {self.looks_like}"
        else:
            seen = "IS UNLIKE THE TRAINING DATA"
        return f"{self.given_as} {seen} (score {self.score:.2f}): see the sidecar"

    def told(self) -> dict[str, Any]:
        """For the sidecar."""
        return {
            "Score": round(self.score, 3),
            "LooksLike": self.looks_like,
            "Warning": self.warning,
        }


def examine(
    generator: Generator,
    chosen: Slices,
    given_as: str,
    statistics: FamiliarityStatistics,
    changed: Mapping[str, float],
    device: torch.device,
) -> Familiarity:
    """Examine one source.

    A contrast of which nothing is known is held against all that are known.

    Args:
        chosen: `examined_slices` of it, (slices, rows, columns) in [0, 1] on the model grid.
        changed: what `changed_on_the_way` found for them.
    """
    distances = statistics.distances(describe(generator, chosen, given_as, device))
    turned = statistics.distances(
        describe(generator, np.rot90(chosen, 2, (1, 2)), given_as, device)
    )
    nearest = min(distances, key=distances.__getitem__)
    given = without_agent(given_as)
    known = given if given in distances else nearest
    distance, fault = distances[known], None
    explanation = likeliest(changed, given_as)
    if uprightness(chosen) < LYING:
        fault = "turned by 90° in its plane"
    elif explanation == INVERTED:
        fault = INVERTED
    elif turned[known] * CLEARLY_NEARER < min(distance, CLEARLY_NEARER * distances[nearest]):
        fault = "upside down in its plane"
    return Familiarity(
        given_as=given_as,
        looks_like=given if explanation == INVERTED else without_agent(explanation),
        distance=distance,
        limit=statistics.limit,
        fault=fault,
    )


def uprightness(slices: Slices) -> float:
    """How much more alike left and right are than front and back: a difference of correlations.

    The mean over the slices, each within the box of the head.
    """
    found = [0.0]
    for plane, box in zip(slices, head_boxes(head_mask([slices])), strict=True):
        top, bottom, left, right = box
        head = plane[top:bottom, left:right]
        if head.size and head.min() < head.max():
            sides, ends = (
                np.corrcoef(head.ravel(), mirrored.ravel())[0, 1]
                for mirrored in (head[:, ::-1], head[::-1])
            )
            found.append(float(sides - ends))
    return sum(found) / max(1, len(found) - 1)


@torch.inference_mode()
def describe(
    generator: Generator, slices: Slices, given_as: str, device: torch.device
) -> Description:
    """Describe a few slices of one volume: (channels,), the mean over the slices."""
    halves = torch.from_numpy(_halves(head_mask([slices]))).to(device)
    images = torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32)).to(device)
    images, halves = framed(generator.stride, images[:, None], halves)
    shown = torch.full((len(images),), NAMES.index(given_as), device=device)
    parts = [region_means(maps, halves) for maps in generator.encode(images, shown)[-_MAPS:]]
    described: Description = torch.cat(parts, dim=2).mean(dim=0).flatten().cpu().numpy()
    return described


def fit_familiarity(
    generator: Generator, patients: Sequence[SliceBatch], device: torch.device
) -> FamiliarityStatistics:
    """Describe training-like patients.

    Args:
        patients: one batch a patient, whole slices; two patients at least.

    Raises:
        ValueError: fewer patients.
        InputError: no two patients have a contrast in common.
    """
    if len(patients) < 2:
        raise ValueError("a limit needs two patients or more")
    rows, names, owners = [], [], []
    for owner, patient in enumerate(patients):
        for channel in np.flatnonzero(patient.present.all(dim=0).cpu().numpy()):
            slices = patient.images[:, int(channel)].cpu().numpy()
            names.append(NAMES[channel])
            rows.append(describe(generator, examined_slices(slices), names[-1], device))
            owners.append(owner)
    return _statistics(np.stack(rows), names, owners)


def _statistics(
    descriptions: Description, names: Sequence[str], owners: Sequence[int]
) -> FamiliarityStatistics:
    kinds, of = np.array([without_agent(name) for name in names]), np.array(owners)
    means = {kind: descriptions[kinds == kind].mean(axis=0) for kind in set(kinds)}
    spread = np.std(descriptions - np.stack([means[kind] for kind in kinds]), axis=0)
    # Channels that hardly ever speak must not shout.
    spread = (spread + 0.2 * spread.mean() + np.finfo(np.float32).tiny).astype(np.float32)
    nearest = []
    for row, kind, owner in zip(descriptions, kinds, owners, strict=True):
        others = descriptions[(kinds == kind) & (of != owner)]
        if len(others):
            nearest.append(float(_distances(row, others, spread).min()))
    if not nearest:
        raise InputError(
            "there is no limit to what is familiar",
            why="no two patients have a contrast in common",
            remedy="take more patients",
        )
    limit = LIMIT_FACTOR * float(np.quantile(nearest, 0.95))
    return FamiliarityStatistics(tuple(names), descriptions, spread, limit)


def _distances(one: Description, others: Description, spread: Description) -> Description:
    """Root mean square over the channels, in spreads: (others,)."""
    away: Description = np.sqrt(np.mean(((others - one) / spread) ** 2, axis=1))
    return away


def examined_slices(slices: Slices) -> Slices:
    """A few slices, evenly over those that hold the head, without most of the air around it."""
    head = head_mask([slices])
    places = evenly_thinned(head_slices(head).tolist() or list(range(len(slices))), EXAMINED_SLICES)
    boxes = np.array([box for box in head_boxes(head[places]) if any(box)] or [(0, -1, 0, -1)])
    (top, _, left, _), (_, bottom, _, right) = boxes.min(axis=0), boxes.max(axis=0)
    rows, columns = (
        slice(max(0, first - _MARGIN_PIXELS), end + _MARGIN_PIXELS if end > 0 else None)
        for first, end in ((top, bottom), (left, right))
    )
    return slices[places, rows, columns]


def _halves(head: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The anterior and the posterior half of the head in each slice: (slices, 2, rows, columns)."""
    halves = np.zeros((len(head), 2, *head.shape[1:]), dtype=np.float32)
    for index, (top, bottom, _, _) in enumerate(head_boxes(head)):
        middle = (top + bottom) // 2
        halves[index, 0, :middle] = head[index, :middle]
        halves[index, 1, middle:] = head[index, middle:]
    return halves
