"""Ask a server over HTTP: its faults in our words, and those that pass waited out."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from importlib.metadata import version
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from omnisyn.errors import OmnisynError, ResourceError, UsageError, reason_of
from omnisyn.listeners import Note

BY_HAND = "bring the file by hand and give it with --from FILE"
LONGEST_WAIT = 300.0
"""Seconds; a server that asks for more is asked again after so many."""

_PASSING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
_UNREACHABLE = {errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH}


class PassingFault(Exception):
    """A fault of the network or the server that may be gone at the next try.

    Attributes:
        why: one line.
        status: of the answer, if there was one.
        pause: seconds that the server asks to be left alone.
        offline: this machine does not get as far as to the server.
    """

    def __init__(
        self,
        why: str,
        *,
        status: int | None = None,
        pause: float | None = None,
        offline: bool = False,
    ) -> None:
        super().__init__(why)
        self.why, self.status, self.pause, self.offline = why, status, pause, offline


class Patience:
    """Waits 3, 9, 27, … seconds after one fault and the next, until there were too many in a row.

    Args:
        what: is being fetched; names it in messages.
        attempts: how many in a row may fail.
        wait: sleeps for so many seconds.
        note: hears of every wait.
    """

    def __init__(self, what: str, attempts: int, wait: Callable[[float], None], note: Note) -> None:
        self._what, self._attempts, self._wait, self._note = what, attempts, wait, note
        self._failures = self._furthest = 0

    def hear(self, length: int) -> None:
        """So many bytes are there; where it never were so many before, count afresh."""
        if length > self._furthest:
            self._failures, self._furthest = 0, length

    def after(self, fault: PassingFault) -> None:
        """Wait before the next try.

        Raises:
            ResourceError: there were as many faults as are allowed, or the machine was offline
                from the first.
        """
        self._failures += 1
        offline = fault.offline and not self._furthest
        if offline or self._failures >= self._attempts:
            tries = "" if offline else f", {self._failures} times in a row"
            raise ResourceError(
                f"it could not be fetched{tries}",
                where=self._what,
                why=fault.why,
                remedy=f"check the network and run it again, or {BY_HAND}",
            ) from fault
        seconds = min(fault.pause or 3.0**self._failures, LONGEST_WAIT)
        self._note(f"{self._what}: {fault.why}; trying again in {seconds:.0f} s")
        self._wait(seconds)


@contextmanager
def answer_to(
    address: str, headers: Mapping[str, str] | None = None, *, timeout: float = 60.0
) -> Iterator[HTTPResponse]:
    """The answer to a GET, to be read inside the block; redirects and proxies are followed.

    Args:
        address: of http or https.
        headers: of the request. Zenodo's operators ask that clients name themselves, as we do.
        timeout: seconds without a byte after which the connection counts as broken.

    Raises:
        UsageError: an address of another kind.
        PassingFault: no connection, one that broke off, or an answer of 408, 416, 425, 429 or 5xx.
        ResourceError: any other refusal, or a certificate that is not trusted.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("the address is none of http or https", where=host or parts.scheme or None)
    named = {"User-Agent": f"omnisyn/{version('omnisyn')}", **(headers or {})}
    try:
        with urlopen(Request(address, headers=named), timeout=timeout) as answer:
            yield answer
    except OmnisynError:
        raise
    except HTTPError as refusal:
        with refusal:
            raise _refused(refusal, host) from refusal
    except (HTTPException, OSError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        raise _broken(cause, host) from error


def _refused(refusal: HTTPError, host: str) -> PassingFault | ResourceError:
    """What an answer means that is none of success."""
    said = f"{host} answers {refusal.code}"
    with_words = f"{said} {reason_of(Exception(refusal.reason))}" if refusal.reason else said
    if refusal.code in _PASSING or refusal.code >= 500:
        pause = _pause(refusal.headers.get("Retry-After"))
        return PassingFault(with_words, status=refusal.code, pause=pause)
    return ResourceError(
        "the server does not give it",
        where=host,
        why=with_words,
        remedy=f"check that it is still published there, or {BY_HAND}",
    )


def _pause(said: str | None) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or as a date (RFC 9110, 10.2.3)."""
    if said is None:
        return None
    if said.strip().isdecimal():
        return float(said)
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _broken(cause: BaseException | str, host: str) -> PassingFault | ResourceError:
    """What it means that there is no connection, or none any more."""
    if isinstance(cause, str):
        return PassingFault(f"{host}: {cause}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ResourceError(
            "the server's certificate is not trusted",
            where=host,
            why=cause.verify_message,
            remedy="check this machine's clock and certificates (SSL_CERT_FILE names those of a "
            f"proxy), or {BY_HAND}",
        )
    if isinstance(cause, socket.gaierror):
        return PassingFault(f"this machine is offline or cannot resolve {host}", offline=True)
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return PassingFault(f"this machine has no way to {host}", offline=True)
    if isinstance(cause, TimeoutError):
        return PassingFault(f"{host} does not answer")
    return PassingFault(f"the connection to {host} broke off: {reason_of(cause)}")
