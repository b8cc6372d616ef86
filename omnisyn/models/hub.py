"""Fetch a model from the Hugging Face hub: `hf-hub:org/name` or `hf-hub:org/name@revision`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from omnisyn.errors import ModelError, UsageError

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
    `cache` None leaves the place to the Hugging Face variables. Raises UsageError for a malformed
    address, ModelError when the model cannot be had.
    """
    repository, revision = parse_hub_address(address)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=list(patterns), cache_dir=cache
        )
    except Exception as error:
        # The hub's client raises a dozen classes, of its own and of its network library.
        raise ModelError(
            "the model cannot be fetched from the hub",
            where=address,
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedy="check the name, the revision and the network, or give a local path",
        ) from error
    return Path(folder)
