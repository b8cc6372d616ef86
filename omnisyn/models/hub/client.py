"""The hub's own client library, kept quiet, and its faults in our words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from omnisyn.errors import (
    ModelError,
    OmnisynError,
    ResourceError,
    UsageError,
    reason_of,
    sentence_of,
)
from omnisyn.models.hub.address import HubAddress

LOG_IN = "log in (`hf auth login`, or set HF_TOKEN)"


@contextmanager
def hub_client(address: HubAddress) -> Iterator[None]:
    """Inside the block the client prints nothing, and whatever it raises becomes one of our errors.

    Raises:
        UsageError: a name that the hub cannot have.
        ModelError: there is no such repository or revision, or it is private.
        ResourceError: network, disk, or a permission that is missing.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
        logging,
    )

    verbosity = logging.get_verbosity()
    bars = constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not are_progress_bars_disabled()
    logging.set_verbosity(logging.ERROR)
    if bars:
        disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OmnisynError:
        raise
    except Exception as error:
        raise _told(error, HubAddress(address.repository, address.revision)) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            enable_progress_bars()


def _told(error: BaseException, address: HubAddress) -> OmnisynError:
    # The client wraps faults in one another; the first that says something is taken.
    each: BaseException | None = error
    while each is not None:
        told = _one_told(each, address)
        if told is not None:
            return told
        each = each.__cause__
    return ModelError(
        "the hub's client failed",
        where=address,
        why=sentence_of(error),
        remedy="try again, or give a local path",
    )


def _one_told(error: BaseException, address: HubAddress) -> OmnisynError | None:
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    if isinstance(error, HFValidationError):
        return UsageError("the hub has no such names", where=address, why=reason_of(error))
    if isinstance(error, OfflineModeIsEnabled):
        return ResourceError(
            "this needs the network, which HF_HUB_OFFLINE forbids",
            where=address,
            remedy="unset HF_HUB_OFFLINE; what `omnisyn models pull` once fetched works without",
        )
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return None
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, address)
    # The client has its network library's base class from there, whichever library it is.
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError, LocalEntryNotFoundError)):
        return ResourceError(
            "the hub cannot be reached, or the connection broke off",
            where=address,
            why=reason_of(error),
            remedy="check the network and run it again, or give a local path",
        )
    if isinstance(error, OSError) and error.errno is None:
        return ResourceError(
            "the download is damaged or was cut short",
            where=address,
            why=reason_of(error),
            remedy="run it again",
        )
    if isinstance(error, OSError):
        return ResourceError(
            "the cache cannot be written",
            where=address,
            why=reason_of(error),
            remedy="free some space, or choose another folder (--cache-dir)",
        )
    return None


def _refusal(error: BaseException, address: HubAddress) -> OmnisynError:
    """What an answer of the hub means that is none of success."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    assert isinstance(error, HfHubHTTPError)
    status = error.response.status_code
    said = (error.server_message or f"status {status}").splitlines()[0]
    if isinstance(error, GatedRepoError):
        return ResourceError(
            "the repository is gated",
            where=address,
            why=said,
            remedy=f"ask for access on its page, then {LOG_IN}",
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelError(
            "the repository has no such revision", where=address, remedy="check what follows the @"
        )
    if status == 401 and said.startswith("Invalid credentials"):
        return ResourceError(
            "the hub does not know your token", where=address, remedy=f"{LOG_IN} again"
        )
    if isinstance(error, RepositoryNotFoundError) or status == 401:
        return ModelError(
            "there is no such repository, or it is private",
            where=address,
            remedy=f"check the name; for a private one {LOG_IN}",
        )
    if status in (402, 403):
        return ResourceError(
            "the hub does not allow this",
            where=address,
            why=said,
            remedy="check what your token may do, and in whose name",
        )
    if status in (409, 412):
        return ModelError(
            "the repository has changed meanwhile", where=address, why=said, remedy="run it again"
        )
    if status == 429 or status >= 500:
        return ResourceError(
            "the hub is not answering as it should",
            where=address,
            why=said,
            remedy="try again later",
        )
    return ModelError("the hub refuses", where=address, why=said)
