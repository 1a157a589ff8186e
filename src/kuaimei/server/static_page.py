"""The web page: the built files, or a few lines of HTML where it has not been built."""

import gzip
import html
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from kuaimei import __version__
from kuaimei.server.model_names import model_id
from kuaimei.server.rest.dependencies import Owner, RuntimeDep

__all__ = ["FOLDER", "Page", "file", "router"]

router = APIRouter()

FOLDER = Path(__file__).parent / "page"
"""Folder to which the build writes the page; not under version control."""

_POLICY = "csp.txt"
_INDEX = "index.html"
_ADDRESSES = ("/", "/listen", "/label")
"""Paths of the index file; its script reads the path."""
_HASHED = "assets/"
"""Prefix of files whose names change with their contents."""
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
}
_MIN_COMPRESS_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    packed: bytes | None
    """Gzip of ``data``; None unless that saves at least a tenth."""
    media_type: str
    etag: str
    cache: str


class Page:
    """The built page, held in memory: it is small, and users wait for it.

    Args:
        folder: Has ``index.html``, ``assets/`` (names that change with their contents) and, if the page needs
            another policy than the strictest, ``csp.txt``; None: `FOLDER`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or FOLDER
        self._files = {path: _read(path, file) for path, file in _found(folder)}
        self._policy = _CSP
        policy = folder / _POLICY
        if policy.is_file():
            self._policy = " ".join(policy.read_text(encoding="utf-8").split())

    @property
    def exists(self) -> bool:
        """True if the page has been built."""
        return "/" in self._files

    @property
    def paths(self) -> frozenset[str]:
        """Paths of all files of the page; the page itself is at ``/``."""
        return frozenset(self._files)

    def response(self, request: Request) -> Response:
        """Return the response with the file at the path of ``request``, one of `paths`."""
        file = self._files[request.url.path]
        headers = {**_HEADERS, "Content-Security-Policy": self._policy, "ETag": file.etag}
        headers |= {"Cache-Control": file.cache, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        data = file.data
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            data = file.packed
            headers["Content-Encoding"] = "gzip"
        return Response(data, media_type=file.media_type, headers=headers)


def _found(folder: Path) -> Iterator[tuple[str, Path]]:
    if not (folder / _INDEX).is_file():
        return
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if name == _INDEX:
            yield from ((address, file) for address in _ADDRESSES)
        elif file.is_file() and name != _POLICY:
            yield f"/{name}", file


def _read(path: str, file: Path) -> _File:
    data = file.read_bytes()
    media_type = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    packed = gzip.compress(data, 6, mtime=0) if len(data) > _MIN_COMPRESS_BYTES else None
    if packed is not None and len(packed) > 0.9 * len(data):
        packed = None
    hashed = path.startswith(f"/{_HASHED}")
    cache = "public, max-age=31536000, immutable" if hashed else "no-cache"
    return _File(data, packed, media_type, f'"{sha256(data).hexdigest()[:32]}"', cache)


@router.get("/", response_class=HTMLResponse)
async def root(request: Request, runtime: RuntimeDep, owner: Owner) -> Response:
    """Return the page; if it is not built, a summary, with the loaded models for callers with a key."""
    page: Page = request.app.state.page
    if page.exists:
        return page.response(request)
    base = str(request.base_url).rstrip("/")
    rows = "".join(
        f"<tr><td>{s.role}<td>{html.escape(model_id(s))}<td>{html.escape(s.licence or '–')}"
        for s in runtime.loaded
        if owner
    )
    table = f"<table><tr><th>role</th><th>model</th><th>licence</th></tr>{rows}</table>" if rows else ""
    address = html.escape(base)
    socket = html.escape(base.replace("http", "ws", 1))
    text = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>快美 kuaimei</title>
<style>body{{font:16px/1.6 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}}
td,th{{text-align:left;padding:0 1.5rem 0 0}}</style>
<h1>快美 kuaimei {html.escape(__version__)}</h1>
<p>The server is running.</p>{table}
<p>OpenAI API: <code>{address}/v1</code><br>Realtime: <code>{socket}/v1/realtime</code><br>
Sessions: <code>{address}/api/sessions</code><br>Metrics: <code>{address}/metrics</code></p>
"""
    return HTMLResponse(text, headers=_HEADERS)


async def file(request: Request) -> Response:
    """Return a file of the page; each has its own route, so that all other paths behave as without a page."""
    page: Page = request.app.state.page
    return page.response(request)
