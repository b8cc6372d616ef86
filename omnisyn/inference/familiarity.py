"""Whether a source is like anything that the weights were trained on, and what it looks like.

A volume is described by the encoder's three coarsest maps, averaged over the anterior and the
posterior half of the head in a few slices. Its distance is that to the nearest described
training-like volume of the contrast it was given as, each channel measured in its spread between
volumes of one contrast. Is it beyond the limit? Is the image much nearer when it is turned upside
down, or inverted? Is it much nearer to volumes of another contrast? And, from the image alone: a
head has a left and a right that are alike; does this one lie on its side?
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from omnisyn.contrasts import NAMES
from omnisyn.errors import InputError
from omnisyn.models.generator import Generator
from omnisyn.studies.slices import SliceBatch, evenly_thinned
from omnisyn.volumes.normalize import head_boxes, head_mask, head_slices

Slices = NDArray[np.float32]
Description = NDArray[np.float32]

EXAMINED_SLICES = 4
_MAPS = 3
_MARGIN_PIXELS = 8
# Chosen on real heads and foreign images, see docs/commands/synthesize.md.
LIMIT_FACTOR = 1.4
"""The limit, in distances that 95 % of the training-like volumes keep to other patients."""
CLEARLY_NEARER = 1.2
"""So many times nearer must be what an image is said to be instead."""
LYING = -0.05
"""Likeness of left and right, less that of front and back, below which a head lies on its side."""
# Without its history, an agent cannot be told from a T1.
_ALIKE = {"T1c": "T1"}


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
            kind = _kind(name)
            found[kind] = min(float(distance), found.get(kind, np.inf))
        return found


@dataclass(frozen=True)
class Familiarity:
    """What was found out about one source.

    Attributes:
        given_as: the contrast it was given as.
        looks_like: the contrast of the nearest training-like volume; T1 may stand for T1c.
        distance: to the nearest volume of the contrast it was given as, in spreads.
        limit: beyond it, the source is unlike all of them.
        fault: what seems to have been done to the image ("inverted"), or None.
        other_contrast: whether `looks_like` is much nearer than `given_as`.
    """

    given_as: str
    looks_like: str
    distance: float
    limit: float
    fault: str | None
    other_contrast: bool

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


_UNDONE: Mapping[str, Callable[[Slices], Slices]] = {
    "upside down in its plane": lambda slices: np.rot90(slices, 2, (1, 2)),
    "inverted": lambda slices: (1 - slices) * head_mask([slices]),
}


def examine(
    generator: Generator,
    slices: Slices,
    given_as: str,
    statistics: FamiliarityStatistics,
    device: torch.device,
) -> Familiarity:
    """Examine one source, (slices, rows, columns) in [0, 1] on the model grid.

    A contrast of which nothing is known is held against all that are known.
    """
    chosen = _chosen(slices)
    distances = statistics.distances(describe(generator, chosen, device))
    looks_like = min(distances, key=distances.__getitem__)
    given = _kind(given_as) if _kind(given_as) in distances else looks_like
    undone = {
        fault: statistics.distances(describe(generator, undo(chosen), device))[given]
        for fault, undo in _UNDONE.items()
    }
    likely = min(undone, key=undone.__getitem__)
    distance, fault = distances[given], None
    if uprightness(chosen) < LYING:
        fault = "turned by 90° in its plane"
    elif undone[likely] * CLEARLY_NEARER < min(distance, CLEARLY_NEARER * distances[looks_like]):
        fault = likely
    return Familiarity(
        given_as=given_as,
        looks_like=looks_like,
        distance=distance,
        limit=statistics.limit,
        fault=fault,
        other_contrast=distances[looks_like] * CLEARLY_NEARER < distance,
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
def describe(generator: Generator, slices: Slices, device: torch.device) -> Description:
    """Describe a few slices of one volume: (channels,), the mean over the slices."""
    # Padded here, so that the halves lie on the maps exactly.
    _, rows, columns = slices.shape
    frame = ((0, 0), (0, -rows % generator.stride), (0, -columns % generator.stride))
    framed = np.pad(slices, frame).astype(np.float32, copy=False)
    images = torch.from_numpy(framed).to(device)
    halves = torch.from_numpy(_halves(head_mask([framed]))).to(device)
    parts = []
    for maps in generator.encode(images[:, None])[-_MAPS:]:
        shares = functional.adaptive_avg_pool2d(halves, (maps.shape[-2], maps.shape[-1]))
        sums = torch.einsum("nhrc,ndrc->nhd", shares, maps.float())
        parts.append(sums / shares.sum(dim=(2, 3)).clamp_min(1e-3)[..., None])
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
            rows.append(describe(generator, _chosen(slices), device))
            names.append(NAMES[channel])
            owners.append(owner)
    return _statistics(np.stack(rows), names, owners)


def _statistics(
    descriptions: Description, names: Sequence[str], owners: Sequence[int]
) -> FamiliarityStatistics:
    kinds, of = np.array([_kind(name) for name in names]), np.array(owners)
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


def _chosen(slices: Slices) -> Slices:
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


def _kind(name: str) -> str:
    return _ALIKE.get(name, name)
