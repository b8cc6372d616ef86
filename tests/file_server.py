"""A stand-in for a server of large files such as Zenodo: a real HTTP server with its weaknesses.

It gives the files of one folder at `/NAME`, at `/moved/NAME` by a redirect, and as a record in the
form that Zenodo's API has had since October 2023, with what its users report: the page's link takes
ranges, the API's link to a file's content does not. Steered by its public fields, it breaks off,
stalls, refuses and tells wrong lengths.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, unquote

EXTERNAL2 = "13131827"
"""The record of External 2."""


class FileServer:
    """Runs inside its `with` block."""

    def __init__(self, folder: Path, record: str = EXTERNAL2) -> None:
        self.folder, self.record = folder, record
        self.gives_ranges = True
        self.gives_validators = True
        self.announced: int | None = None
        """The length that is told of every file, whatever it is."""
        self.tells_length = True
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Each of the next requests is answered so: status and headers."""
        self.break_off_after: list[int] = []
        """Each of the next files ends after so many bytes."""
        self.always_break_off_after: int | None = None
        self.stall_after: list[int] = []
        """Each of the next files stops after so many bytes, and the connection stays open."""
        self.record_answer: bytes | None = None
        """What is said of the record instead of the truth."""
        self.requests: list[str] = []
        """What was asked, in order."""
        self.ranges: list[str] = []
        """The range that each request for a file asked for; empty is everything."""
        self.clients: list[str] = []
        """How the clients named themselves."""
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def content(self, name: str) -> bytes | None:
        """A file of the folder; None where there is none."""
        names = {str(path.relative_to(self.folder)) for path in self._files()}
        return (self.folder / name).read_bytes() if name in names else None

    def described(self) -> bytes:
        """The record, as the API gives it."""
        if self.record_answer is not None:
            return self.record_answer
        files = []
        for path in self._files():
            key, content = str(path.relative_to(self.folder)), path.read_bytes()
            place = f"{self.address}/api/records/{self.record}/files/{quote(key)}/content"
            files.append(
                {
                    "id": "8c2f4a6e-0000-4000-8000-000000000000",
                    "key": key,
                    "size": len(content),
                    "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                    "links": {"self": place},
                }
            )
        record = {"id": int(self.record), "metadata": {"title": "a record"}, "files": files}
        return json.dumps(record).encode()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def _handler_of(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.requests.append(self.path)
            server.clients.append(self.headers.get("User-Agent", ""))
            if server.refusals:
                self._answer(*server.refusals.pop(0))
                return
            place = unquote(self.path)
            record = re.escape(server.record)
            if re.fullmatch(f"/api/records/{record}", place):
                self._answer(200, {"Content-Type": "application/json"}, server.described())
            elif match := re.fullmatch(f"/api/records/{record}/files/(.+)/content", place):
                self._give(match[1], ranges=False)
            elif match := re.fullmatch(f"/records/{record}/files/(.+)", place):
                self._give(match[1], ranges=server.gives_ranges)
            elif place.startswith("/moved/"):
                self._answer(302, {"Location": self.path.removeprefix("/moved")})
            else:
                self._give(place.removeprefix("/"), ranges=server.gives_ranges)

        def _give(self, name: str, *, ranges: bool) -> None:
            asked = self.headers.get("Range", "")
            server.ranges.append(asked)
            content = server.content(name)
            if content is None:
                self._answer(404, {}, b'{"status": 404, "message": "not found"}')
                return
            tag = f'"md5:{hashlib.md5(content).hexdigest()}"'
            headers = {"ETag": tag} if server.gives_validators else {}
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            if match is None or not ranges or self.headers.get("If-Range", tag) != tag:
                self._answer(200, headers, content, file=True)
                return
            begin, whole = int(match[1]), len(content)
            if begin >= whole:
                self._answer(416, {"Content-Range": f"bytes */{whole}"})
                return
            headers["Content-Range"] = f"bytes {begin}-{whole - 1}/{whole}"
            self._answer(206, headers, content[begin:], file=True)

        def _answer(
            self, status: int, headers: dict[str, str], body: bytes = b"", *, file: bool = False
        ) -> None:
            self.close_connection = True
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if server.tells_length:
                length = len(body) if server.announced is None or not file else server.announced
                self.send_header("Content-Length", str(length))
            self.end_headers()
            stalls = file and bool(server.stall_after)
            if stalls:
                body = body[: server.stall_after.pop(0)]
            elif file and server.break_off_after:
                body = body[: server.break_off_after.pop(0)]
            elif file and server.always_break_off_after is not None:
                body = body[: server.always_break_off_after]
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except ConnectionError:
                return  # the client was killed, or has had enough
            if stalls:
                server.stopping.wait(30)

        def log_message(self, *_: object) -> None:
            """A test's output is no place for a log of requests."""

    return Handler
