"""Give weights to the hub: file, card, text tower and page in one commit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.listeners import Note, unheard
from omnisyn.models.card import WeightCard, card_path, tower_names
from omnisyn.models.hub.address import HubAddress, parse_hub_address
from omnisyn.models.hub.client import LOG_IN, hub_client
from omnisyn.models.hub.page import LIBRARY, hub_page
from omnisyn.models.tensor_file import parse_tensors
from omnisyn.models.text_tower import read_text_tower
from omnisyn.models.weights import find_weights, read_weights


@dataclass(frozen=True)
class PushedWeights:
    """Where weights are on the hub."""

    address: str
    """With commit and hash, so that it will always mean these weights."""
    commit: str
    sha256: str


def push_weights(
    weights: str | Path,
    address: str,
    *,
    private: bool = False,
    message: str | None = None,
    tag: str | None = None,
    cache: Path | None = None,
    note: Note = unheard,
) -> PushedWeights:
    """Upload weights, their card, their text tower if they have one, and a page (README.md) in one
    commit on `main`, and tag it.

    The repository is made when there is none. The token is the one that the hub's client finds
    (HF_TOKEN, or that of `hf auth login`).

    Args:
        weights: name, path or address of weights, which are checked first.
        address: `hf-hub:ORG/NAME`.
        private: make the repository private.
        message: of the commit.
        tag: name for the commit, which must be new.

    Raises:
        UsageError: an address with revision or hash; a public repository where `private` is asked.
        ModelError: the weights are not whole; the repository holds other weights, or the tag.
        ResourceError: no token, no permission, no network.
    """
    place = parse_hub_address(address)
    if place != HubAddress(place.repository):
        raise UsageError(
            "a push makes a new commit",
            where=address,
            remedy="leave away what follows ORG/NAME; --tag names the commit",
        )
    path = find_weights(weights, cache)
    card, content = read_weights(path)
    parse_tensors(content, card.file)
    tower = read_text_tower(path.parent, card)
    with hub_client(place):
        from huggingface_hub import CommitOperationAdd, HfApi, get_token

        if get_token() is None:
            raise ResourceError("there is no token for the hub", where=address, remedy=LOG_IN)
        hub = HfApi(library_name=LIBRARY)
        # None leaves it to what the organisation has chosen.
        hub.create_repo(place.repository, private=private or None, exist_ok=True)
        found = hub.model_info(place.repository)
        if private and not found.private:
            raise UsageError(
                "the repository is public already",
                where=address,
                remedy="make it private on its page, or choose another name",
            )
        _refuse_other_weights(card, [each.rfilename for each in found.siblings or []], place)
        if tag is not None and hub.revision_exists(place.repository, tag):
            raise ModelError(
                f"the revision '{tag}' exists already", where=address, remedy="choose another tag"
            )
        note(f"uploading {card.file}, {card.size / 1e6:.1f} MB")
        files = {
            card.file: content,
            card_path(Path(card.file)).name: path.read_bytes(),
            **({} if tower is None else tower.files(card)),
            "README.md": hub_page(card, place).encode(),
        }
        commit = hub.create_commit(
            place.repository,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=message or f"Weights {card.name}",
            # Whoever commits in between would be overwritten, or would make the weights two sets.
            parent_commit=found.sha,
        ).oid
        if tag is not None:
            hub.create_tag(place.repository, tag=tag, revision=commit)
    pinned = replace(place, revision=commit, sha256=card.sha256)
    return PushedWeights(str(pinned), commit, card.sha256)


def _refuse_other_weights(card: WeightCard, names: list[str], place: HubAddress) -> None:
    """A repository is one set, so that its address says which weights are meant."""
    own = (card.file, *tower_names(card.file))
    others = [name for name in names if name.endswith(".safetensors") and name not in own]
    if others:
        raise ModelError(
            "the repository holds other weights",
            where=place,
            why=", ".join(others),
            remedy="choose another repository, or rename yours so that they replace these",
        )
