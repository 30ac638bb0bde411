"""A Hub on the loopback: as much of huggingface.co's protocol as `datasets` and `transformers` need to read, and
`huggingface_hub` to write models.

root/datasets/ORGANISATION/NAME/... and root/models/ORGANISATION/NAME/... are repositories; each has one commit, whose
name is a digest of its files. Only who has the token may write, and nothing but 127.0.0.1 is listened to.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

# Of a file: /ORG/NAME/resolve/REVISION/FILE (models) and /datasets/ORG/NAME/resolve/REVISION/FILE.
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
# Large files go by themselves (git LFS), named by their SHA-256, before the commit that points to them.
_BATCH = re.compile(r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
_LARGE = re.compile(r"/lfs/(?P<oid>[0-9a-f]{64})")
TOKEN = "hf_loopback"
_API = re.compile(r"/api/(?P<kind>datasets|models)/(?P<repo>[^/]+/[^/]+)(?P<rest>/.*)?")


@contextmanager
def hub_server(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves the repositories under `root`: gives the endpoint, and the growing list of requests ("GET /api/...")."""
    requests_seen: list[str] = []

    class Handler(_Handler):
        folder, seen, large = root, requests_seen, {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests_seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    seen: list[str]
    large: dict[str, bytes]

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_PUT(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        self.seen.append(f"{self.command} {path}")
        if self._writes(path, body):
            return
        if found := _FILE.fullmatch(path):
            self._send_file(found["kind"] or "models/", found["repo"], found["revision"], found["file"])
        elif found := _API.fullmatch(path):
            self._send_api(found["kind"], found["repo"], found["rest"] or "", body)
        else:
            self._refuse("EntryNotFound")

    def _writes(self, path: str, body: bytes) -> bool:
        """Answers what has to do with writing; False where it is something else."""
        if found := _LARGE.fullmatch(path):
            assert hashlib.sha256(body).hexdigest() == found["oid"]
            self.large[found["oid"]] = body
            self._send(200, b"", {})
            return True
        api = _API.fullmatch(path)
        wanted = (api["rest"] or "").split("/")[1:2] if api else []
        is_written = path in ("/api/whoami-v2", "/api/repos/create", "/api/validate-yaml") or _BATCH.fullmatch(path)
        if not is_written and wanted not in (["preupload"], ["commit"]):
            return False
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, b'{"error": "Invalid username or password."}', {})
            return True
        status, answer = 200, self._write(path, body, api["repo"] if api else "", wanted)
        if answer is None:
            status, answer = 403, {"error": "You don't have the rights to write there."}
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})
        return True

    def _write(self, path: str, body: bytes, repo: str, wanted: list[str]) -> dict[str, Any] | None:
        """What is done, and the answer; None: it is forbidden."""
        endpoint = f"http://{self.headers['Host']}"
        if path == "/api/whoami-v2":
            return {"type": "user", "name": "somebody", "orgs": []}
        asked = [json.loads(line) for line in body.splitlines()] if wanted == ["commit"] else json.loads(body)
        if path == "/api/validate-yaml":
            metadata = yaml.safe_load(asked["content"].split("---")[1])
            return {"errors": [] if metadata.get("pipeline_tag") else [{"message": "no task"}], "warnings": []}
        if path == "/api/repos/create":
            if asked["organization"] == "forbidden":
                return None
            (self.folder / "models" / asked["organization"] / asked["name"]).mkdir(parents=True, exist_ok=True)
            return {"url": f"{endpoint}/{asked['organization']}/{asked['name']}"}
        if wanted == ["preupload"]:
            kinds = {
                each["path"]: "lfs" if each["path"].endswith(".safetensors") else "regular" for each in asked["files"]
            }
            return {
                "files": [{"path": each, "uploadMode": kind, "shouldIgnore": False} for each, kind in kinds.items()]
            }
        if wanted == ["commit"]:
            self._commit(self.folder / "models" / repo, asked)
            return {"success": True, "commitUrl": f"{endpoint}/{repo}/commit/main", "commitOid": "0" * 40}
        uploads = [
            {**each, "actions": {"upload": {"href": f"{endpoint}/lfs/{each['oid']}"}}} for each in asked["objects"]
        ]
        return {"transfer": "basic", "objects": uploads}

    def _commit(self, folder: Path, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] in ("file", "lfsFile"):
                is_large = line["key"] == "lfsFile"
                place = folder / value["path"]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(self.large[value["oid"]] if is_large else base64.b64decode(value["content"]))

    def _repo(self, kind: str, repo: str, revision: str) -> tuple[Path, str] | None:
        """The repository's folder and its commit; None after the refusal has been sent."""
        folder = self.folder / kind.strip("/") / repo
        if not folder.is_dir():
            self._refuse("RepoNotFound")
            return None
        commit = hashlib.sha1(b"".join(digest(file).encode() for file in files_of(folder))).hexdigest()
        if revision not in ("main", commit):
            self._refuse("RevisionNotFound")
            return None
        return folder, commit

    def _send_file(self, kind: str, repo: str, revision: str, name: str) -> None:
        if (found := self._repo(kind, repo, revision)) is None:
            return
        folder, commit = found
        file = folder / name
        if file not in files_of(folder):
            self._refuse("EntryNotFound", commit)
            return
        data, status, headers = file.read_bytes(), 200, {"X-Repo-Commit": commit, "ETag": f'"{digest(file)}"'}
        if part := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(part[1]), min(int(part[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        self._send(status, data, headers | {"Accept-Ranges": "bytes"})

    def _send_api(self, kind: str, repo: str, rest: str, body: bytes) -> None:
        what, _, after = rest.strip("/").partition("/")
        revision, _, path = after.partition("/")
        if (found := self._repo(kind, repo, revision or "main")) is None:
            return
        folder, commit = found
        if what in ("", "revision"):
            siblings = [{"rfilename": file.relative_to(folder).as_posix()} for file in files_of(folder)]
            answer: Any = {"id": repo, "sha": commit, "private": False, "tags": [], "siblings": siblings}
        elif what == "tree":
            query = parse_qs(urlsplit(self.path).query)
            answer = list_tree(folder, path, recursive=query.get("recursive", ["false"])[0].lower() == "true")
            if answer is None:
                self._refuse("EntryNotFound", commit)
                return
        elif what == "paths-info":
            form = json.loads(body) if body.startswith(b"{") else parse_qs(body.decode())
            paths = form["paths"] if isinstance(form["paths"], list) else [form["paths"]]
            answer = [entry(folder, folder / each) for each in paths if each and (folder / each).exists()]
        else:
            self._refuse("EntryNotFound", commit)
            return
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json", "X-Repo-Commit": commit})

    def _refuse(self, code: str, commit: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code} | ({"X-Repo-Commit": commit} if commit else {})
        self._send(404, json.dumps({"error": code}).encode(), headers)

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def files_of(folder: Path) -> list[Path]:
    """All files of a repository, in order."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def digest(file: Path) -> str:
    """The file's name in git: the SHA-1 of its content behind a header of its length."""
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(folder: Path, path: Path) -> dict[str, Any]:
    """A file or folder as the Hub's tree describes it."""
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
    return {"type": "file", "path": name, "oid": digest(path), "size": path.stat().st_size}


def list_tree(folder: Path, path: str, *, recursive: bool) -> list[dict[str, Any]] | None:
    """What lies under `path`; None where there is no such folder."""
    under = folder / path
    if not under.is_dir():
        return None
    return [entry(folder, each) for each in sorted(under.rglob("*") if recursive else under.iterdir())]
