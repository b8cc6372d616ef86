"""Bring weights from the hub: whole, of the hash that was asked for, and told where they are.

Their text tower comes along, where they have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.listeners import Progress, unwatched
from omnisyn.models.card import WeightCard, card_path
from omnisyn.models.hub.address import parse_hub_address
from omnisyn.models.text_tower import StoredTower, read_text_tower
from omnisyn.models.weights import fetch_weights, read_weights
from omnisyn.volumes.atomic import json_bytes, refuse_existing, staged


@dataclass(frozen=True)
class PulledWeights:
    """Where weights and card are now, and what they are."""

    weights: Path
    card: Path
    sha256: str
    commit: str
    """Of the repository, in full: what a branch or a tag meant."""
    text: Path | None = None
    """Their text tower, where they have one."""


def pull_weights(
    address: str,
    out: Path | None = None,
    cache: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = unwatched,
) -> PulledWeights:
    """Fetch weights, card and text tower into the cache, and copy them to `out` (NAME.safetensors)
    if given.

    Whatever is in the cache is checked as well; where it is damaged, it is fetched anew.

    Raises:
        UsageError: a malformed address, or another suffix of `out`.
        InputError: `out` exists.
        ModelError: there are no such weights, or they are damaged on the hub, or of another hash.
        ResourceError: network, disk or permission.
    """
    place = parse_hub_address(address)
    if out is not None:
        if out.suffix != ".safetensors":
            raise UsageError(
                "weights are written as .safetensors", where=out.name, remedy="end the name so"
            )
        for path in (out, card_path(out)):
            refuse_existing(path, overwrite=overwrite)
    try:
        path = fetch_weights(place, cache, progress=progress)
        card, content, tower = _read(path)
    except ModelError as fault:
        # What is wrong may be wrong in the cache only.
        try:
            path = fetch_weights(place, cache, again=True, progress=progress)
        except ResourceError as hindrance:
            raise fault from hindrance
        card, content, tower = _read(path)
    commit = path.parent.name
    if out is None:
        return _pulled(path, card, commit)
    named = card.model_copy(update={"file": out.name})
    with staged(overwrite=overwrite) as files:
        files.file(out).write(content)
        for name, beside in ({} if tower is None else tower.files(named)).items():
            files.file(out.with_name(name)).write(beside)
        files.file(card_path(out)).write(json_bytes(named.model_dump(mode="json")))
    return _pulled(card_path(out), named, commit)


def _read(path: Path) -> tuple[WeightCard, bytes, StoredTower | None]:
    """Everything that belongs to the card at `path`, checked."""
    card, content = read_weights(path)
    return card, content, read_text_tower(path.parent, card)


def _pulled(path: Path, card: WeightCard, commit: str) -> PulledWeights:
    text = path.with_name(card.tower_files[-1]) if card.tower_files else None
    return PulledWeights(path.with_name(card.file), path, card.sha256, commit, text)
