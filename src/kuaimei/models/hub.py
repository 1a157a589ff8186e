"""Locates files on the model hub."""

import re
from threading import Lock
from urllib.parse import quote

import httpx

from kuaimei.models.catalog import SourceRef, WeightFile
from kuaimei.models.download import RemoteFile
from kuaimei.models.errors import Missing, Unreachable

__all__ = ["Hub"]

_PATIENCE_S = 3.0
"""Timeout of the first request in seconds; a hub that exceeds it counts as unreachable for the whole run."""


class Hub:
    """Client of the model hub.

    Args:
        client: HTTP client.
        address: Address of the hub; None: as configured for its own library (``HF_ENDPOINT``).
    """

    def __init__(self, client: httpx.Client, address: str | None = None) -> None:
        self._client = client
        self._address = address
        self._problem: str | None = None
        self._lock = Lock()

    def check(self) -> None:
        """Check that the hub answers; the first result is cached.

        Raises:
            Unreachable: If it does not.
        """
        with self._lock:
            if self._problem is None:
                self._problem = self._probe()
        if self._problem:
            raise Unreachable(f"the model hub cannot be reached: {self._problem}")

    def locate(self, piece: SourceRef, file: WeightFile) -> RemoteFile:
        """Return the download of ``piece``, which is all of ``file``.

        Raises:
            Missing: If the hub does not have it, or has another version: for large files the hub returns the
                sha256, which is compared before anything is downloaded.
            Unreachable: If it does not answer.
        """
        self.check()
        title = f"{piece.name}/{piece.member} of the model hub"
        url = f"{self._address}/{piece.name}/resolve/{piece.version or 'main'}/{quote(piece.member)}"
        try:
            answer = self._client.head(url, timeout=15, follow_redirects=False)
        except httpx.TransportError as error:
            raise Unreachable(f"{title} cannot be reached: {error or type(error).__name__}") from error
        if answer.status_code >= 500:
            raise Unreachable(f"{title} cannot be reached: HTTP {answer.status_code}")
        if answer.status_code >= 400:
            raise Missing(f"{title} is not offered (HTTP {answer.status_code})")
        tag = answer.headers.get("x-linked-etag", "").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", tag) and tag != file.sha256:
            raise Missing(f"{title} has changed: its SHA-256 differs from the one in the catalogue")
        return RemoteFile(title, url, file.size, file.sha256)

    def _probe(self) -> str:
        if self._address is None:
            from huggingface_hub import constants

            self._address = constants.ENDPOINT
        self._address = self._address.rstrip("/")
        try:
            answer = self._client.head(self._address, timeout=_PATIENCE_S, follow_redirects=True)
        except httpx.TransportError as error:
            return str(error) or type(error).__name__
        return f"HTTP {answer.status_code}" if answer.status_code >= 400 else ""
