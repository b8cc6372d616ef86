"""Fetch files of a repository on the hub into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnisyn.listeners import Progress, unwatched
from omnisyn.models.hub.address import HubAddress
from omnisyn.models.hub.client import hub_client
from omnisyn.paths import chosen_cache

if TYPE_CHECKING:
    from huggingface_hub.utils import tqdm


def fetch_from_hub(
    address: HubAddress,
    patterns: Sequence[str],
    cache: Path | None = None,
    *,
    again: bool = False,
    progress: Progress = unwatched,
) -> Path:
    """The local folder, named by the commit, with those files that match `patterns`.

    What is in the cache already is not fetched anew unless `again`; with HF_HUB_OFFLINE set no
    socket is opened. The place is `cache`, else OMNISYN_CACHE, else that of the Hugging Face
    variables. Hashes are not looked at. Errors as in `hub_client`.
    """
    with hub_client(address):
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            address.repository,
            revision=address.revision,
            allow_patterns=list(patterns),
            cache_dir=chosen_cache(cache),
            force_download=again,
            tqdm_class=_counter(progress),
        )
    return Path(folder)


def _counter(progress: Progress) -> type[tqdm]:
    """A class of progress bars that draw nothing and tell `progress` the bytes that have come."""
    from huggingface_hub.utils import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            # The client counts files as well, and bytes on the network.
            self.tells = options.get("name") == "huggingface_hub.snapshot_download"
            self.come = 0
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            self.come += int(n or 0)
            if self.tells:
                progress(self.come, int(self.total or 0), "fetching, bytes")
            return None

    return Counter
