"""A stand-in for the Hugging Face hub: a real HTTP server with the endpoints its client calls.

It follows what huggingface_hub 2.4 sends and reads: model info, tree, resolve with redirects and
headers, creation, preupload, upload in one part or several or by xet, commit, tag. Objects lie in a
folder, as on the hub by their SHA-256; small files travel inside the commit. The storage has a host
name of its own, as the hub's has, and refuses the hub's token there.

What is not the hub's: the chunks of xet go to a folder (`local://`, which hf_xet itself offers)
and not to a server; small files come without the hub's first redirect; and paging, branches other
than main, pull requests and deletion are missing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

WRITER = "hf_of_the_writer"
"""Token that reads and writes everything below `org`."""
READER = "hf_of_the_reader"
"""Token that reads what is public."""

_GIT_ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


class Refusal(Exception):
    """An answer of another status than 200."""

    def __init__(self, status: int, code: str | None = None, message: str = "", **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if code:
            self.headers["X-Error-Code"] = code


class Entry(NamedTuple):
    """A file of a commit."""

    sha256: str
    size: int
    git_id: str
    large: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.git_id


@dataclass
class Repository:
    """Commits by id, each with its files and its message, and what the names point to."""

    private: bool = False
    gated: bool = False
    files: dict[str, dict[str, Entry]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, Entry], message: str) -> str:
        parent = self.names.get("main", "")
        content = json.dumps([parent, message, sorted(files.items()), len(self.files)])
        commit = hashlib.sha1(content.encode()).hexdigest()
        self.files[commit] = dict(files)
        self.messages[commit] = message
        self.names["main"] = commit
        return commit

    def resolve(self, revision: str) -> str:
        commit = self.names.get(revision, revision)
        if commit not in self.files:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit


class HubServer:
    """The stand-in, running between `start` and `stop`; its public fields steer it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "objects").mkdir(parents=True)
        self.repositories: dict[str, Repository] = {}
        self.xet = False
        """Store large files by xet, as the hub does for clients that can."""
        self.part_size: int | None = None
        """Take large files in parts of so many bytes."""
        self.break_off_after: list[int] = []
        """Each of the next downloads from the storage ends after so many bytes."""
        self.damaged = 0
        """So many of the next downloads from the storage have a byte changed."""
        self.missing_objects: set[str] = set()
        """SHA-256 of objects that the storage has lost."""
        self.unavailable = False
        """Answer everything with status 503."""
        self.requests: list[str] = []
        """Method and path of what was asked, in order."""
        self.ranges: list[str] = []
        """The range that each download from the storage asked for; empty is everything."""
        self._parts: dict[str, dict[int, bytes]] = {}
        self._xet_ids: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage(self) -> str:
        return f"http://localhost:{self._server.server_port}/storage"

    def create(self, name: str, *, private: bool = False, gated: bool = False) -> Repository:
        """A repository as the hub makes it: with one commit, that of `.gitattributes`."""
        repository = self.repositories[name] = Repository(private, gated)
        attributes = self._keep(_GIT_ATTRIBUTES, large=False)
        repository.commit({".gitattributes": attributes}, "initial commit")
        return repository

    def add(self, name: str, files: Mapping[str, bytes]) -> str:
        """Commit files of any content to a repository, past every check."""
        repository = self.repositories[name]
        kept = {path: self._keep(content, _is_large(path)) for path, content in files.items()}
        return repository.commit(repository.files[repository.names["main"]] | kept, "added")

    def content(self, name: str, path: str, revision: str = "main") -> bytes:
        """What a repository holds, past the network."""
        repository = self.repositories[name]
        return self._object(repository.files[repository.resolve(revision)][path].sha256)

    def _keep(self, content: bytes, large: bool) -> Entry:
        sha256 = hashlib.sha256(content).hexdigest()
        (self.folder / "objects" / sha256).write_bytes(content)
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return Entry(sha256, len(content), git, large)

    def _object(self, sha256: str) -> bytes:
        return (self.folder / "objects" / sha256).read_bytes()

    def _has(self, sha256: str) -> bool:
        return (self.folder / "objects" / sha256).exists()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.requests.append(f"{method} {path}")
        if self.unavailable:
            raise Refusal(503, message="the hub is being repaired")
        parts = urlsplit(path)
        place = parts.path
        if place.startswith("/storage/"):
            return self._storage(method, place, parse_qs(parts.query), headers, body)
        token = headers.get("authorization", "").removeprefix("Bearer ") or None
        if token not in (None, READER, WRITER):
            raise Refusal(401, message="Invalid credentials in Authorization header")
        if place == "/api/repos/create":
            return self._create(token, json.loads(body))
        if place == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", place):
            return self._info(
                self._readable(match[1], token), match[1], unquote(match[2] or "main")
            )
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?", place):
            return self._tree(self._readable(match[1], token), unquote(match[2]))
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", place):
            repository = self._readable(match[1], token, files=True)
            return self._resolve(repository, match[1], unquote(match[2]), unquote(match[3]))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/xet-(read|write)-token/[^/]+", place):
            if match[2] == "write":
                self._writable(match[1], token)
            return self._xet_token()
        if match := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", place):
            self._writable(match[1], token)
            return self._batch(json.loads(body))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit|tag)/(.+)", place):
            repository = self._writable(match[1], token)
            if match[2] == "preupload":
                return self._preupload(repository, json.loads(body), match[3])
            if match[2] == "commit":
                return self._commit(repository, match[1], body)
            return self._tag(repository, unquote(match[3]), json.loads(body)["tag"])
        raise Refusal(404, message=f"the stand-in does not know {method} {place}")

    def _readable(self, name: str, token: str | None, files: bool = False) -> Repository:
        repository = self.repositories.get(name)
        if repository is None or (repository.private and token != WRITER):
            # Whoever has not logged in is not told whether it is missing or private.
            if token is None:
                raise Refusal(401, message="Invalid username or password.")
            raise Refusal(404, "RepoNotFound", "Repository not found")
        if files and repository.gated and token != WRITER:
            status = 401 if token is None else 403
            raise Refusal(status, "GatedRepo", f"Access to model {name} is restricted.")
        return repository

    def _writable(self, name: str, token: str | None) -> Repository:
        repository = self._readable(name, token)
        if token != WRITER or not name.startswith("org/"):
            raise Refusal(403, message="Forbidden: pass create_pr=1 to open a pull request")
        return repository

    def _create(self, token: str | None, asked: dict[str, Any]) -> Answer:
        if token is None:
            raise Refusal(401, message="Invalid username or password.")
        if token != WRITER or asked["organization"] != "org":
            raise Refusal(
                403,
                message="You don't have the rights to create a model under this namespace",
            )
        name = f"{asked['organization']}/{asked['name']}"
        url = f"{self.endpoint}/{name}"
        if name in self.repositories:
            content = {"error": "You already created this model repo", "url": url}
            return 409, {}, json.dumps(content).encode()
        private = asked.get("private") or asked.get("visibility") == "private"
        self.create(name, private=bool(private))
        return _json({"url": url})

    def _validate(self, content: str) -> Answer:
        import yaml

        match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        header = yaml.safe_load(match[1]) if match else None
        if not isinstance(header, dict):
            return _json({"errors": [], "warnings": [{"message": "empty metadata"}]})
        errors = []
        # The hub has a longer list; those that it lacks are `other`.
        if header.get("license") not in ("apache-2.0", "mit", "cc-by-4.0", "other"):
            errors.append({"message": '"license" must be one of the known ones'})
        if not all(isinstance(tag, str) for tag in header.get("tags", [])):
            errors.append({"message": '"tags" must be strings'})
        status, headers, body = _json({"errors": errors, "warnings": []})
        return 400 if errors else status, headers, body

    def _info(self, repository: Repository, name: str, revision: str) -> Answer:
        commit = repository.resolve(revision)
        return _json(
            {
                "_id": "0",
                "id": name,
                "modelId": name,
                "private": repository.private,
                "gated": "manual" if repository.gated else False,
                "disabled": False,
                "sha": commit,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in repository.files[commit]],
            }
        )

    def _tree(self, repository: Repository, revision: str) -> Answer:
        listing = []
        for path, entry in repository.files[repository.resolve(revision)].items():
            row = {"type": "file", "path": path, "size": entry.size, "oid": entry.git_id}
            if entry.large:
                row["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 130}
                if entry.sha256 in self._xet_ids:
                    row["xetHash"] = self._xet_ids[entry.sha256]
            listing.append(row)
        return _json(listing)

    def _resolve(self, repository: Repository, name: str, revision: str, path: str) -> Answer:
        commit = repository.resolve(revision)
        entry = repository.files[commit].get(path)
        if entry is None:
            raise Refusal(404, "EntryNotFound", "Entry not found", X_Repo_Commit=commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{entry.etag}"'}
        if not entry.large:
            return 200, headers, self._object(entry.sha256)
        headers |= {
            "X-Linked-Etag": f'"{entry.sha256}"',
            "X-Linked-Size": str(entry.size),
            "Location": f"{self.storage}/{entry.sha256}?signature=good",
        }
        if entry.sha256 in self._xet_ids:
            refresh = f"{self.endpoint}/api/models/{name}/xet-read-token/{commit}"
            headers |= {
                "X-Xet-Hash": self._xet_ids[entry.sha256],
                "X-Xet-Refresh-Route": refresh,
                "Link": f'<{refresh}>; rel="xet-auth"',
            }
        return 302, headers, b"Found. Redirecting"

    def _preupload(self, repository: Repository, asked: dict[str, Any], revision: str) -> Answer:
        present = repository.files[repository.resolve(revision)]
        rows = []
        for each in asked["files"]:
            mode = "lfs" if _is_large(each["path"]) or each["size"] > 10_000_000 else "regular"
            row = {"path": each["path"], "uploadMode": mode, "shouldIgnore": False}
            if each["path"] in present:
                row["oid"] = present[each["path"]].etag
            rows.append(row)
        return _json({"files": rows, "commitOid": repository.resolve(revision)})

    def _batch(self, asked: dict[str, Any]) -> Answer:
        rows = []
        for each in asked["objects"]:
            row: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            place = f"{self.storage}/{each['oid']}"
            hub = f"{self.endpoint}/storage/{each['oid']}"
            if not self._has(each["oid"]):
                upload: dict[str, Any] = {"href": f"{place}?signature=good"}
                if self.part_size and each["size"] > self.part_size:
                    count = -(-each["size"] // self.part_size)
                    parts = {
                        str(n): f"{place}?signature=good&part={n}" for n in range(1, count + 1)
                    }
                    upload = {
                        "href": f"{hub}/complete",
                        "header": {"chunk_size": str(self.part_size), **parts},
                    }
                row["actions"] = {"upload": upload, "verify": {"href": f"{hub}/verify"}}
            rows.append(row)
        several = self.part_size is not None and "multipart" in asked["transfers"]
        return _json({"transfer": "multipart" if several else "basic", "objects": rows})

    def _storage(
        self,
        method: str,
        place: str,
        query: dict[str, list[str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        sha256, _, act = place.removeprefix("/storage/").partition("/")
        if act == "verify":
            return self._stored(sha256, json.loads(body)["size"])
        if act == "complete":
            parts = self._parts.pop(sha256)
            given = {part["partNumber"]: part["etag"] for part in json.loads(body)["parts"]}
            if given != {number: _etag(part) for number, part in parts.items()}:
                raise Refusal(400, message="the parts are not those that were sent")
            self._keep(b"".join(parts[number] for number in sorted(parts)), large=True)
            return self._stored(sha256)
        if "authorization" in headers:
            raise Refusal(400, message="only one authentication mechanism is allowed")
        if query.get("signature") != ["good"]:
            raise Refusal(403, message="the signature does not fit")
        if method == "PUT" and "part" in query:
            self._parts.setdefault(sha256, {})[int(query["part"][0])] = body
            return 200, {"ETag": _etag(body)}, b""
        if method == "PUT":
            if hashlib.sha256(body).hexdigest() != sha256:
                raise Refusal(400, message="the content is not what was announced")
            self._keep(body, large=True)
            return 200, {"ETag": _etag(body)}, b""
        self.ranges.append(headers.get("range", ""))
        if sha256 in self.missing_objects or not self._has(sha256):
            raise Refusal(404, message="NoSuchKey")
        content = self._object(sha256)
        if method == "GET" and self.damaged:
            self.damaged -= 1
            content = content[:-1] + bytes([content[-1] ^ 1])
        etag = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-", headers.get("range", "")):
            begin = int(match[1])
            etag["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            return 206, etag, content[begin:]
        return 200, etag, content

    def _stored(self, sha256: str, size: int | None = None) -> Answer:
        if not self._has(sha256) or size not in (None, len(self._object(sha256))):
            raise Refusal(404, message="the object was not uploaded")
        return _json({"success": True})

    def _xet_token(self) -> Answer:
        if not self.xet:
            raise Refusal(404, message="no xet here")
        place, expiry = f"local://{self.folder / 'xet'}", int(time.time()) + 3600
        status, headers, body = _json({"casUrl": place, "accessToken": "xet", "exp": expiry})
        headers |= {
            "X-Xet-Cas-Url": place,
            "X-Xet-Access-Token": "xet",
            "X-Xet-Token-Expiration": str(expiry),
        }
        return status, headers, body

    def _commit(self, repository: Repository, name: str, body: bytes) -> Answer:
        rows = [json.loads(line) for line in body.splitlines()]
        header = rows[0]["value"]
        head = repository.names["main"]
        if header.get("parentCommit", head) != head:
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(repository.files[head])
        for row in rows[1:]:
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = self._keep(base64.b64decode(value["content"]), large=False)
            elif row["key"] == "lfsFile":
                if not self._has(value["oid"]):
                    self._take_from_xet(value["oid"], value["size"])
                files[value["path"]] = self._keep(self._object(value["oid"]), large=True)
            else:
                raise Refusal(400, message=f"the stand-in does not know {row['key']}")
        commit = repository.commit(files, header["summary"])
        url = f"{self.endpoint}/{name}/commit/{commit}"
        return _json({"success": True, "commitOid": commit, "commitUrl": url})

    def _take_from_xet(self, sha256: str, size: int) -> None:
        """Put together what a client stored by xet, as the hub does for clients without it."""
        import hf_xet

        xet_id = next(
            (
                found[sha256]
                for shard in self.folder.glob("xet/xet/xorbs/shards/*.mdb")
                if sha256 in (found := _files_of_shard(shard.read_bytes()))
            ),
            None,
        )
        if xet_id is None:
            raise Refusal(400, message=f"LFS pointer to an object that does not exist: {sha256}")
        target = self.folder / "objects" / sha256
        group = hf_xet.XetSession().new_file_download_group(
            endpoint=f"local://{self.folder / 'xet'}",
            token="xet",
            token_expiry_unix_secs=int(time.time()) + 3600,
        )
        with group:
            group.start_download_file(hf_xet.XetFileInfo(xet_id, size), str(target))
        if hashlib.sha256(target.read_bytes()).hexdigest() != sha256:
            raise Refusal(400, message="the content is not what was announced")
        self._xet_ids[sha256] = xet_id

    def _tag(self, repository: Repository, revision: str, tag: str) -> Answer:
        if tag in repository.names:
            raise Refusal(409, message="Tag reference exists already")
        repository.names[tag] = repository.resolve(revision)
        return _json({})


def _json(value: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")


def _files_of_shard(content: bytes) -> dict[str, str]:
    """Xet's own id of every file in a shard (xet-core's format `mdb`), by SHA-256."""

    def text(raw: bytes) -> str:
        return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))

    found, place = {}, 48
    while content[place : place + 32] != b"\xff" * 32:
        xet_id = text(content[place : place + 32])
        flags, count = struct.unpack_from("<II", content, place + 32)
        place += 48 * (1 + count * (2 if flags & 1 << 31 else 1))
        if flags & 1 << 30:
            found[text(content[place : place + 32])] = xet_id
            place += 48
    return found


def _handler_of(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            try:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer, body = hub.answer(self.command, self.path, headers, self._body())
            except Refusal as refusal:
                status, answer = refusal.status, dict(refusal.headers)
                answer["X-Error-Message"] = refusal.message
                answer["Content-Type"] = "application/json"
                body = json.dumps({"error": refusal.message}).encode()
            self.send_response(status)
            for name, value in answer.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if self.path.startswith("/storage/") and self.command == "GET" and hub.break_off_after:
                body = body[: hub.break_off_after.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return content

        def log_message(self, *_: object) -> None:
            """A test's output is no place for a log of requests."""

    return Handler
