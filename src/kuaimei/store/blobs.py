"""Blob store for recordings: files in a folder, or objects in any S3."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from kuaimei.errors import StoreError, Unstorable
from kuaimei.store.local_blobs import Folder
from kuaimei.store.s3_blobs import Objects

__all__ = ["Blobs"]


_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,120})*")
"""Valid keys: ids and file names separated by slashes; no key leads outside the store."""


class _Place(Protocol):
    place: str

    async def put(self, key: str, content: Path | bytes) -> None: ...
    def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]: ...
    async def read(self, key: str) -> bytes: ...
    async def delete(self, keys: list[str]) -> None: ...
    async def delete_folder(self, folder: str) -> None: ...
    def keys(self, folder: str) -> AsyncIterator[str]: ...
    async def check(self) -> None: ...
    async def sweep(self) -> None: ...


class Blobs:
    """Blob store addressed by key; every change is durable when the call returns.

    Args:
        url: ``s3://bucket/prefix`` (credentials and endpoint by the usual AWS variables), any other URL
            obstore knows, a folder, or empty.
        folder: Folder used if ``url`` is empty.

    Raises:
        StoreError: If the address cannot be used.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.place = url or str(folder)
        try:
            self._place: _Place = _place(url, folder)
        except (BaseError, ValueError, OSError) as error:
            raise StoreError(f"recordings cannot be stored in {self.place}: {error}") from error

    async def put(self, key: str, content: Path | bytes) -> None:
        """Store ``content`` (bytes, or a file) as ``key``, atomically replacing an existing blob.

        Raises:
            StoreError: If it cannot be stored.
        """
        await self._place.put(_checked(key), content)

    def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` up to ``end`` of ``key`` in chunks.

        Args:
            key: Key of the blob.
            start: First byte.
            end: One past the last byte.

        Raises:
            NotFound: If there is no such blob.
            StoreError: If it cannot be read.
        """
        return self._place.get(_checked(key), start, end)

    async def read(self, key: str) -> bytes:
        """Return the whole content of ``key``, which is small.

        Raises:
            NotFound: If there is no such blob.
            StoreError: If it cannot be read.
        """
        return await self._place.read(_checked(key))

    async def delete(self, keys: list[str]) -> None:
        """Delete ``keys``; missing ones are ignored.

        Raises:
            StoreError: If one exists and cannot be deleted.
        """
        await self._place.delete([_checked(key) for key in keys])

    async def delete_folder(self, folder: str) -> None:
        """Delete all keys under ``folder``; there may be none.

        Raises:
            StoreError: If one cannot be deleted.
        """
        await self._place.delete_folder(_checked(folder))

    def keys(self, folder: str) -> AsyncIterator[str]:
        """Yield all keys under ``folder``.

        Raises:
            StoreError: If they cannot be listed.
        """
        return self._place.keys(_checked(folder))

    async def check(self) -> None:
        """Check that the store answers.

        Raises:
            StoreError: If it does not.
        """
        await self._place.check()

    async def sweep(self) -> None:
        """Delete unfinished files left by killed processes.

        Raises:
            StoreError: If that is not possible.
        """
        await self._place.sweep()


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Unstorable(f"{key[:80]!r} is not a valid name for a recording")
    return key


def _place(url: str, folder: Path) -> _Place:
    if url.startswith("file://"):
        return Folder(Path(unquote(urlsplit(url).path)))
    if "://" in url:
        return Objects(url)
    return Folder(Path(url).expanduser().absolute() if url else folder.absolute())
