"""Fetch a model from the Hugging Face hub: `hf-hub:org/name` or `hf-hub:org/name@revision`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from omnisyn.errors import ModelError, ResourceError, UsageError
from omnisyn.paths import chosen_cache

PREFIX = "hf-hub:"

_ADDRESS = re.compile(r"hf-hub:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def is_hub_address(text: str) -> bool:
    """Whether `text` means a model on the hub."""
    return text.startswith(PREFIX)


def parse_hub_address(address: str) -> tuple[str, str | None]:
    """`hf-hub:org/name@revision` to repository and revision (None: the newest).

    Raises UsageError when the address has another form.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(
            f"{address!r} is no address on the hub",
            remedy="write hf-hub:organisation/name or hf-hub:organisation/name@revision",
        )
    return match["repository"], match["revision"]


def fetch_from_hub(address: str, patterns: Sequence[str], cache: Path | None = None) -> Path:
    """The local folder with those files of the model that match `patterns`.

    What is in the cache already is not fetched again; with HF_HUB_OFFLINE set no socket is opened.
    The place is `cache`, else OMNISYN_CACHE, else that of the Hugging Face variables.

    Raises:
        UsageError: a malformed address.
        ResourceError: the network does not answer.
        ModelError: there is no such model.
    """
    repository, revision = parse_hub_address(address)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(patterns),
            cache_dir=chosen_cache(cache),
        )
    except (ConnectionError, TimeoutError, LocalEntryNotFoundError) as error:
        raise ResourceError(
            "the hub cannot be reached",
            where=address,
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="check the network and HF_HUB_OFFLINE, or give a local path",
        ) from error
    except Exception as error:
        # The hub's client raises a dozen classes, of its own and of its network library.
        raise ModelError(
            "the model cannot be fetched from the hub",
            where=address,
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="check the name and the revision, or give a local path",
        ) from error
    return Path(folder)
