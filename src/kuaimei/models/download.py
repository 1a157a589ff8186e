"""Downloads one file over HTTP: resumable, verified, installed atomically."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import httpx

from kuaimei.models.errors import Missing, PullStopped, Unreachable, WrongHash, full_disk

__all__ = ["RemoteFile", "download", "file_sha256", "fsync_folder"]

_CHUNK = 1 << 20
_TRIES = 4
"""Consecutive attempts without new data before a source counts as unreachable."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """File that can be downloaded.

    Attributes:
        title: Name for messages.
        url: ``http(s)://`` or ``file://``.
        size: In bytes.
        sha256: In hexadecimal.
        headers: Request headers (authorization).
        others: Further valid hashes, if it is unknown which of several builds the source returns.
    """

    title: str
    url: str
    size: int
    sha256: str
    headers: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    def is_right(self, sha256: str) -> bool:
        """Return True if a file with that hash is the expected one."""
        return sha256 == self.sha256 or sha256 in self.others


def download(
    client: httpx.Client,
    remote: RemoteFile,
    into: Path,
    *,
    advance: Callable[[int], None] = lambda _: None,
    stop: Event | None = None,
    pause: Callable[[float], Any] = time.sleep,
) -> None:
    """Download ``remote`` to ``into``; on return the file is complete, verified and synced to disk.

    Received data is kept in ``into`` + ``.part``, so that a later call can resume.

    Args:
        client: HTTP client.
        remote: File to download.
        into: Path of the resulting file.
        advance: Called with the number of bytes received; negative if some must be downloaded again.
        stop: Set by another thread to abort.
        pause: Waits the given seconds between attempts.

    Raises:
        Unreachable, Missing, WrongHash, DiskFull, PullStopped: See `kuaimei.models.errors`.
    """
    if into.is_file() and into.stat().st_size == remote.size and remote.is_right(file_sha256(into)):
        advance(remote.size)
        return
    part = into.with_name(into.name + ".part")
    into.parent.mkdir(parents=True, exist_ok=True)
    with full_disk(into.parent), part.open("a+b") as file:
        body = _Body(file, remote, advance)
        failures = 0
        resumed = body.size > 0
        while body.size < remote.size or (resumed and not remote.is_right(body.hash)):
            if body.size == remote.size:  # an earlier run left damaged data: start over once
                resumed = False
                body.restart()
            before = body.size
            try:
                _resume(client, remote, body, stop or Event())
                problem = "the transfer was interrupted"
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            except _Busy as error:
                problem = str(error)
            failures = 0 if body.size > before else failures + 1
            if failures >= _TRIES:
                raise Unreachable(f"{remote.title} cannot be reached: {problem}")
            if body.size < remote.size:
                pause(0.5 * 2**failures)
        if not remote.is_right(body.hash):
            body.restart()
            raise WrongHash(
                f"{remote.title} is not the file that the catalogue describes (its SHA-256 differs); "
                "the download was discarded"
            )
        file.flush()
        os.fsync(file.fileno())
    part.replace(into)
    fsync_folder(into.parent)


def file_sha256(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file in hexadecimal; ``advance`` receives the number of bytes read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return digest.hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable (a rename is not durable without it)."""
    with contextlib.suppress(OSError):  # not every file system supports it
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Busy(Exception):
    """The server asks for a retry later."""


class _Body:
    """Data received so far, and its hash."""

    def __init__(self, file: BinaryIO, remote: RemoteFile, advance: Callable[[int], None]) -> None:
        self._file = file
        self._remote = remote
        self._advance = advance
        self._digest = hashlib.sha256()
        self.size = 0
        file.seek(0)
        while chunk := file.read(_CHUNK):
            self._digest.update(chunk)
            self.size += len(chunk)
        if self.size > remote.size:
            self.restart()
        else:
            advance(self.size)

    @property
    def hash(self) -> str:
        return self._digest.hexdigest()

    def restart(self) -> None:
        if self.size <= self._remote.size:
            self._advance(-self.size)
        self._file.truncate(0)
        self.size = 0
        self._digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        if self.size + len(chunk) > self._remote.size:
            self.restart()
            raise WrongHash(f"{self._remote.title} is longer than the catalogue says; it was discarded")
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)
        self._advance(len(chunk))


def _resume(client: httpx.Client, remote: RemoteFile, body: _Body, stop: Event) -> None:
    if remote.url.startswith("file:"):
        _copy(remote, body, stop)
        return
    # With compression, the size on disk would not be the offset at which to resume.
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    if body.size:
        headers["Range"] = f"bytes={body.size}-"
    with client.stream("GET", remote.url, headers=headers, follow_redirects=True) as response:
        code = response.status_code
        if code == 416 or (code == 206 and not _continues(response, body.size)):
            body.restart()
            return
        if code == 429 or code >= 500:
            raise _Busy(f"HTTP {code}")
        if code not in (200, 206):
            raise Missing(f"{remote.title} is not offered there (HTTP {code})")
        if code == 200 and body.size:
            body.restart()  # the server does not support ranges
        for chunk in response.iter_bytes(_CHUNK):
            if stop.is_set():
                raise PullStopped("stopped")
            body.add(chunk)


def _continues(response: httpx.Response, size: int) -> bool:
    given: str = response.headers.get("content-range", "")
    return given.replace(" ", "").startswith(f"bytes{size}-")


def _copy(remote: RemoteFile, body: _Body, stop: Event) -> None:
    path = Path(httpx.URL(remote.url).path)
    try:
        with path.open("rb") as source:
            source.seek(body.size)
            while chunk := source.read(_CHUNK):
                if stop.is_set():
                    raise PullStopped("stopped")
                body.add(chunk)
    except FileNotFoundError as error:
        raise Missing(f"{remote.title} is not on this machine: {path} does not exist") from error
