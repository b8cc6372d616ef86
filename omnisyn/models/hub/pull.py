"""Bring weights from the hub: whole, of the hash that was asked for, and told where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.listeners import Progress, unwatched
from omnisyn.models.card import card_path
from omnisyn.models.hub.address import parse_hub_address
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


def pull_weights(
    address: str,
    out: Path | None = None,
    cache: Path | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = unwatched,
) -> PulledWeights:
    """Fetch weights and card into the cache, and copy them to `out` (NAME.safetensors) if given.

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
        card, content = read_weights(path)
    except ModelError as fault:
        # What is wrong may be wrong in the cache only.
        try:
            path = fetch_weights(place, cache, again=True, progress=progress)
        except ResourceError as hindrance:
            raise fault from hindrance
        card, content = read_weights(path)
    commit = path.parent.name
    if out is None:
        return PulledWeights(path.with_name(card.file), path, card.sha256, commit)
    named = card.model_copy(update={"file": out.name})
    with staged(overwrite=overwrite) as files:
        files.file(out).write(content)
        files.file(card_path(out)).write(json_bytes(named.model_dump(mode="json")))
    return PulledWeights(out, card_path(out), card.sha256, commit)
