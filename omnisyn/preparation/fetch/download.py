"""Download one large file: resumed after any break or kill, checked whole, and only then named."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from http.client import HTTPResponse
from io import FileIO
from pathlib import Path

from omnisyn.errors import ResourceError
from omnisyn.listeners import Note, Progress, unheard, unwatched
from omnisyn.paths import open_regular, read_json
from omnisyn.preparation.fetch.request import BY_HAND, PassingFault, Patience, answer_to
from omnisyn.preparation.fetch.space import require_space
from omnisyn.settings import Settings
from omnisyn.volumes.atomic import refuse_existing, resource_error, write_json_atomic
from omnisyn.volumes.locks import held_if_free, locked

_CHUNK_BYTES = 2**20
_HASH_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def download(
    address: str,
    path: Path,
    *,
    size: int | None,
    sha256: str | None = None,
    md5: str | None = None,
    attempts: int = 5,
    progress: Progress = unwatched,
    note: Note = unheard,
    wait: Callable[[float], None] = time.sleep,
    timeout: float = 60.0,
) -> Path:
    """Bring a file from the network to `path`, whose folder must exist; gives `path`.

    What has come lies in hidden neighbours of `path` until it is whole, whatever ends the run. The
    next run asks for the rest only (RFC 9110, 13.1.5 and 14), and begins anew where the file on the
    server has changed meanwhile or the server gives no parts. A file at `path` of the right size
    and hashes is left as it is, and no socket is opened; another one is replaced. A second run for
    the same file waits for the first.

    Args:
        address: of http or https.
        path: the file.
        size: bytes that it must have; None takes what the server says.
        sha256: that it must have, as 64 hexadecimal digits.
        md5: that it must have, as 32 hexadecimal digits.
        attempts: how many in a row may fail without a new byte.
        progress: hears the bytes.
        note: hears of waits and of new beginnings.
        wait: sleeps for so many seconds.
        timeout: seconds without a byte after which the connection counts as broken.

    Raises:
        UsageError: an address of another kind.
        InputError: `path` is a folder.
        ResourceError: no network, a refusal of the server, too little room on the disk, or a file
            of another size or hash, of which nothing is kept.
    """
    refuse_existing(path, overwrite=True)
    given = {"sha256": sha256, "md5": md5}
    hashes = {name: digits.lower() for name, digits in given.items() if digits is not None}
    part = _Part(path, address, size, trusted=bool(hashes))
    with _alone(part.lock, path, note):
        if path.exists() and (size is not None or hashes):
            difference = _difference(path, size, hashes, progress)
            if difference is None:
                part.discard()
                return path
            note(f"{path.name}: what is there is another file ({difference}) and is replaced")
        part.look()
        if size is not None:
            require_space(path.parent, size - part.length, path.name)
        patience = Patience(path.name, attempts, wait, note)
        while not part.complete:
            try:
                _fetch_rest(part, patience, progress, note, timeout)
            except PassingFault as fault:
                if fault.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.discard()
                patience.after(fault)
        difference = _difference(part.file, size, hashes, progress)
        if difference is not None:
            part.discard()
            raise ResourceError(
                "what came is not the file that was asked for, and is removed",
                where=path.name,
                why=difference,
                remedy=f"run it again; if it stays so, the server has another file: {BY_HAND}",
            )
        part.put_in_place()
    return path


class _Facts(Settings):
    """Which file the bytes of a part belong to."""

    address: str
    validator: str | None
    size: int | None


class _Part:
    """What has come of a file so far, and of which version of it: both survive a kill.

    Call `look` once the lock is held. Without a validator only a hash can tell whether two halves
    belong together, so that a part of such a file is `trusted` where there is one.
    """

    def __init__(self, path: Path, address: str, size: int | None, *, trusted: bool) -> None:
        self.path, self.size = path, size
        self.file = path.with_name(f".{path.name}.part")
        self.lock = path.with_name(f".{path.name}.lock")
        self._record = path.with_name(f".{path.name}.part.json")
        self._trusted = trusted
        self._nothing = _Facts(address=address, validator=None, size=size)
        self.facts = self._nothing
        self.length = 0

    @property
    def complete(self) -> bool:
        """Whether every byte is there."""
        return self.facts.size == self.length and self.file.exists()

    def look(self) -> None:
        """Take up what an earlier run has left, or remove it where it belongs to something else."""
        try:
            facts = _Facts.model_validate(read_json(self._record))
            length = self.file.stat().st_size
        except (OSError, ValueError):
            self.discard()
            return
        asked = self._nothing
        other = asked.size is not None and facts.size != asked.size
        too_long = facts.size is not None and length > facts.size
        unknown = facts.validator is None and not self._trusted
        if facts.address != asked.address or other or too_long or unknown:
            self.discard()
            return
        self.facts, self.length = facts, length

    def begin(self, validator: str | None, size: int | None) -> None:
        """Start anew; the old bytes go before anything is said about the new ones."""
        self.discard()
        facts = self._nothing.model_copy(update={"validator": validator, "size": size})
        self._remember(facts)
        with self._on_disk():
            self.file.touch()

    def append(self, file: FileIO, content: bytes) -> None:
        """Put bytes at the end of the open file, past every buffer that a kill would empty."""
        rest = memoryview(content)
        with self._on_disk():
            while rest:
                rest = rest[file.write(rest) :]
        self.length += len(content)

    def end(self) -> None:
        """A file whose size nobody knew has come to its end."""
        self._remember(self.facts.model_copy(update={"size": self.length}))

    def put_in_place(self) -> None:
        """Give the whole file its name."""
        with self._on_disk():
            with self.file.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.file, self.path)
            self._record.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove whatever has come."""
        with self._on_disk():
            self.file.unlink(missing_ok=True)
            self._record.unlink(missing_ok=True)
        self.facts, self.length = self._nothing, 0

    def _remember(self, facts: _Facts) -> None:
        write_json_atomic(self._record, facts.model_dump(mode="json"))
        self.facts = facts

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise resource_error("cannot write", self.path, error) from error


def _fetch_rest(
    part: _Part, patience: Patience, progress: Progress, note: Note, timeout: float
) -> None:
    """Ask once for what is missing, and append what comes.

    Raises:
        PassingFault: less than that has come.
        ResourceError: as in `download`.
    """
    headers = {}
    if part.length:
        headers["Range"] = f"bytes={part.length}-"
        if part.facts.validator is not None:
            headers["If-Range"] = part.facts.validator
    with answer_to(part.facts.address, headers, timeout=timeout) as answer:
        if part.length and answer.status == HTTPStatus.PARTIAL_CONTENT:
            _refuse_another_range(part, answer)
        else:
            if part.length:
                note(f"{part.path.name}: the server gives it from its beginning; begun anew")
            part.begin(_validator(answer), _announced(part, answer))
        size = part.facts.size
        if size is not None:
            require_space(part.path.parent, size - part.length, part.path.name)
        with part.file.open("ab", buffering=0) as file:
            while size is None or part.length < size:
                rest = _CHUNK_BYTES if size is None else min(_CHUNK_BYTES, size - part.length)
                # `read` would wait for the whole chunk, and lose it to a break.
                content = answer.read1(rest)
                if not content:
                    break
                part.append(file, content)
                patience.hear(part.length)
                progress(part.length, size or 0, "fetching, bytes")
    if size is None:
        part.end()
    elif part.length < size:
        raise PassingFault(f"the connection broke off after {part.length} of {size} bytes")


def _refuse_another_range(part: _Part, answer: HTTPResponse) -> None:
    """Hold a 206 to what was asked for."""
    said = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said.strip())
    fits = match is not None and int(match[1]) == part.length
    if match is not None and part.facts.size is not None:
        fits = fits and match[2] in ("*", str(part.facts.size))
    if not fits:
        part.discard()
        raise PassingFault(f"the server gives another part than was asked for ({said!r})")


def _announced(part: _Part, answer: HTTPResponse) -> int | None:
    """Bytes of the whole file: those asked for, else those that the server says, else None."""
    said = answer.headers.get("Content-Length", "").strip()
    announced = int(said) if said.isdecimal() else None
    if part.size is None or announced is None:
        return announced if part.size is None else part.size
    if announced != part.size:
        raise ResourceError(
            "the server has a file of another size",
            where=part.path.name,
            why=f"expected {part.size} bytes, it offers {announced}",
            remedy=f"check that no login page stands between, or {BY_HAND}",
        )
    return part.size


def _validator(answer: HTTPResponse) -> str | None:
    """What tells this version of the file from others; a weak one may not (RFC 9110, 13.1.5)."""
    tag: str | None = answer.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    date: str | None = answer.headers.get("Last-Modified")
    return date


def _difference(
    path: Path, size: int | None, hashes: Mapping[str, str], progress: Progress
) -> str | None:
    """How a file differs from what it must be; None where it does not."""
    try:
        length = path.stat().st_size
        if size is not None and length != size:
            return f"expected {size} bytes, found {length}"
        found = _digests(path, hashes, length, progress)
    except OSError as error:
        raise resource_error("cannot read", path, error) from error
    for name, expected in hashes.items():
        if found[name] != expected:
            return f"expected {_HASH_NAMES[name]} {expected}, found {found[name]}"
    return None


def _digests(path: Path, names: Iterable[str], length: int, progress: Progress) -> dict[str, str]:
    """Hashes of a file by name, all of them from one reading."""
    hashers = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    if not hashers:
        return {}
    done = 0
    with open_regular(path) as file:
        while content := file.read(_CHUNK_BYTES):
            for hasher in hashers.values():
                hasher.update(content)
            done += len(content)
            progress(done, length, "checking, bytes")
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


@contextmanager
def _alone(lock: Path, path: Path, note: Note) -> Iterator[None]:
    """Hold the lock; whoever has to wait for it is told why nothing happens."""
    with ExitStack() as held:
        if not held.enter_context(held_if_free(lock)):
            note(f"{path.name}: another run is fetching it; waiting for that one")
            held.enter_context(locked(lock))
        yield
