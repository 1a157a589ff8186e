"""Recordings as blobs: files in a folder, or objects in any S3."""

from collections.abc import AsyncIterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from kuaimei.errors import NotFound, StoreError

__all__ = ["Blobs"]

_CHUNK = 256 * 1024


class Blobs:
    """Puts, gets and deletes by key.

    Args:
        url: ``s3://bucket/prefix`` (credentials and endpoint by the usual AWS variables), any other URL
            obstore knows, a folder, or empty.
        folder: Used if ``url`` is empty.

    Raises:
        StoreError: If the address cannot be used.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.place = url or str(folder)
        try:
            self._store: ObjectStore = _store(url, folder)
        except (BaseError, ValueError, OSError) as error:
            raise StoreError(f"recordings cannot be kept in {self.place}: {error}") from error

    async def put(self, key: str, content: Path | bytes) -> None:
        """Keep ``content`` (or the file there) as ``key``; what was there before is replaced, atomically."""
        try:
            await obstore.put_async(self._store, key, content)
        except (BaseError, OSError) as error:
            raise StoreError(f"the recording {key} cannot be put away: {_brief(error)}") from error

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` up to ``end`` of ``key``, in chunks.

        Raises:
            NotFound: If there is no such blob.
        """
        if start >= end:
            return
        try:
            result = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotFound(f"the recording {key} is gone from {self.place}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"the recording {key} cannot be read: {_brief(error)}") from error

    async def read(self, key: str) -> bytes:
        """All of ``key``, which is small.

        Raises:
            NotFound: If there is no such blob.
        """
        try:
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise NotFound(f"{key} is gone from {self.place}") from error
        except (BaseError, OSError) as error:
            raise StoreError(f"{key} cannot be read: {_brief(error)}") from error

    async def delete(self, keys: list[str]) -> None:
        """Delete; what is not there is fine."""
        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise StoreError(f"the recording {key} cannot be deleted: {_brief(error)}") from error

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """All keys under ``folder``."""
        try:
            async for batch in obstore.list(self._store, f"{folder}/"):
                for entry in batch:
                    yield entry["path"]
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(f"the recordings in {folder} cannot be listed: {_brief(error)}") from error

    async def check(self) -> None:
        """Return if the place answers.

        Raises:
            StoreError: If it does not.
        """
        try:
            await obstore.head_async(self._store, "kuaimei-is-it-there")
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StoreError(f"{self.place} does not answer: {_brief(error)}") from error


def _store(url: str, folder: Path) -> ObjectStore:
    if url.startswith("file://"):
        return LocalStore.from_url(url, mkdir=True, automatic_cleanup=True)
    if "://" in url:
        return from_url(url)
    return LocalStore(
        Path(url).expanduser().absolute() if url else folder, mkdir=True, automatic_cleanup=True
    )


def _brief(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
