"""A registry, an index and a hub on loopback, and a small catalogue of what they serve."""

import hashlib
import io
import json
import tarfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from kuaimei.models.catalog import Catalog
from kuaimei.models.download_sources import SourceResolver
from kuaimei.models.hub import Hub
from kuaimei.models.npm import NpmRegistry
from kuaimei.models.pypi import PipSettings, PythonIndex


@dataclass
class Site:
    """What the server serves, and what it was asked.

    Attributes:
        pages: Content by path.
        cuts: Path → numbers of bytes after which the next answers break off.
        codes: Path → status to answer with instead.
        asked: Method, path and Range header of every request.
        resumable: Whether Range is understood.
    """

    address: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    resumable: bool = True

    def paths(self) -> list[str]:
        return [path for method, path, _ in self.asked if method == "GET"]

    def publish_wheel(self, name: str, version: str, members: dict[str, bytes]) -> dict[str, Any]:
        """Offer a wheel in the index; its entry in the catalogue's table of archives."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        return self._publish(name, file, buffer.getvalue())

    def publish_sdist(self, name: str, version: str, members: dict[str, bytes]) -> dict[str, Any]:
        return self._publish(name, f"{name}-{version}.tar.gz", tarball(members))

    def publish_npm(self, name: str, version: str, members: dict[str, bytes]) -> dict[str, Any]:
        data = tarball(members)
        file = f"{name}-{version}.tgz"
        self.pages[f"/npm/{name}/-/{file}"] = data
        tarball_url = f"{self.address}/npm/{name}/-/{file}"
        self.pages[f"/npm/{name}/{version}"] = json.dumps({"dist": {"tarball": tarball_url}}).encode()
        return about(file, data)

    def publish_hub(self, repository: str, path: str, data: bytes, etag: str | None = None) -> None:
        where = f"/hub/{repository}/resolve/main/{path}"
        self.pages[where] = data
        self.headers[where] = {"X-Linked-Etag": f'"{etag or sha256(data)}"'}

    def _publish(self, name: str, file: str, data: bytes) -> dict[str, Any]:
        self.pages[f"/files/{file}"] = data
        page = self.pages.get(f"/simple/{name}/", b"<!DOCTYPE html>")
        self.pages[f"/simple/{name}/"] = page + f'<a href="/files/{file}">{file}</a>'.encode()
        return about(file, data)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def about(file: str, data: bytes) -> dict[str, Any]:
    return {"file": file, "size": len(data), "sha256": sha256(data)}


def tarball(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # the end of the body is the end of the connection
    site: Site

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        site = self.site
        span = self.headers.get("Range", "")
        site.asked.append((self.command, self.path, span))
        body = site.pages.get(self.path)
        code = site.codes.get(self.path, 404 if body is None else 200)
        if code >= 400 or body is None:
            self.send_response(code)
            self.end_headers()
            return
        start = 0
        if span and site.resumable:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
            code = 206
        self.send_response(code)
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Content-Type", "text/html" if self.path.startswith("/simple") else "x/y")
        for key, value in site.headers.get(self.path, {}).items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            cuts = site.cuts.get(self.path)
            with suppress(ConnectionError):  # a client may leave in the middle
                self.wfile.write(body[start:][: cuts.pop(0) if cuts else None])

    def log_message(self, *args: Any) -> None:
        pass


def origins_at(
    site: Site, client: httpx.Client, catalog: Catalog, kinds: tuple[Any, ...] = ()
) -> SourceResolver:
    """All sources on the fake site."""
    return SourceResolver(
        catalog,
        kinds,
        client=client,
        hub=Hub(client, f"{site.address}/hub"),
        index=PythonIndex(client, PipSettings(indexes=(f"{site.address}/simple",))),
        registry=NpmRegistry(client, address=f"{site.address}/npm"),
    )


def model(name: str, *ways: dict[str, Any], role: str = "llm", engine: str = "llama") -> dict[str, Any]:
    """An entry of a catalogue."""
    return {
        "name": name,
        "role": role,
        "engine": engine,
        "summary": "for tests",
        "licence": "MIT",
        "languages": ["zh"],
        "memory_mb": 1,
        "way": list(ways),
    }


def weight_file(path: str, data: bytes, *places: str, **more: Any) -> dict[str, Any]:
    """A file of a catalogue entry."""
    return {"path": path, "size": len(data), "sha256": sha256(data), "from": list(places), **more}
