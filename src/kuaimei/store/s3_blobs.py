"""Blob store in S3, or any other object store supported by obstore."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from kuaimei.errors import NotFound, StoreError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

__all__ = ["Objects"]

_CHUNK: Final = 256 * 1024
_CONNECT_S: Final = 5
_REQUEST_S: Final = 30
"""Timeout of one attempt, which transfers some megabytes."""
_TOTAL_S: Final = 60.0
"""Timeout of one operation with all its attempts; after it the operation has failed."""
_RETRIES: Final = 3
_FROM_ENVIRONMENT: Final = (
    *("allow_http", "allow_invalid_certificates", "user_agent"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes"),
)
"""Connection options that can be set by an environment variable, such as ``AWS_ALLOW_HTTP``."""


class Objects:
    """Blob store in an object store. See `kuaimei.store.blobs.Blobs`.

    Every operation on a store that accepts data and never answers fails after a minute.

    Args:
        url: ``s3://bucket/prefix``, or any other URL that obstore knows.

    Raises:
        BaseError: If the address cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.place = url
        options = _client_options()
        retries: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_TOTAL_S)}
        remote = url.startswith(("s3://", "gs://", "az://", "http://", "https://", "abfs", "adl"))
        self._store: ObjectStore = (
            from_url(url, client_options=options, retry_config=retries) if remote else from_url(url)
        )

    async def put(self, key: str, content: Path | bytes) -> None:
        """Store ``content`` (bytes, or a file) as ``key``; durable when the remote store confirms it."""
        async with _deadline(f"the recording {key} cannot be stored"):
            await obstore.put_async(self._store, key, content)

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` up to ``end`` of ``key`` in chunks."""
        if start >= end:
            return
        what = f"the recording {key} cannot be read"
        async with _deadline(what, f"the recording {key} is missing from {self.place}"):
            result = await obstore.get_async(self._store, key, options={"range": (start, end)})
        chunks = aiter(result.stream(min_chunk_size=_CHUNK))
        while True:
            async with _deadline(what):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def read(self, key: str) -> bytes:
        """Return the whole content of ``key``."""
        async with _deadline(f"{key} cannot be read", f"{key} is missing from {self.place}"):
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def delete(self, keys: list[str]) -> None:
        """Delete ``keys``; missing ones are ignored."""
        for key in keys:
            async with _deadline(f"the recording {key} cannot be deleted"):
                try:
                    await obstore.delete_async(self._store, key)
                except FileNotFoundError:
                    continue

    async def delete_folder(self, folder: str) -> None:
        """Delete all keys under ``folder``."""
        await self.delete([key async for key in self.keys(folder)])

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """Yield all keys under ``folder``."""
        batches = aiter(obstore.list(self._store, f"{folder}/"))
        while True:
            async with _deadline(f"the recordings in {folder} cannot be listed"):
                try:
                    batch = await anext(batches, None)
                except FileNotFoundError:
                    return
            if batch is None:
                return
            for entry in batch:
                yield entry["path"]

    async def check(self) -> None:
        """Check that the store answers."""
        async with _deadline(f"{self.place} does not answer"):
            try:
                await obstore.head_async(self._store, "kuaimei-is-it-there")
            except FileNotFoundError:
                return

    async def sweep(self) -> None:
        """Do nothing: an object store has no unfinished objects."""


def _client_options() -> "ClientConfig":
    """Return connection options: timeouts, and the options set in the environment.

    Given options replace those that obstore would read from the environment.
    """
    options: ClientConfig = {"timeout": f"{_REQUEST_S}s", "connect_timeout": f"{_CONNECT_S}s"}
    for name in _FROM_ENVIRONMENT:
        if (value := os.environ.get(f"AWS_{name.upper()}")) is not None:
            options[name] = value
    return options


@asynccontextmanager
async def _deadline(what: str, gone: str = "") -> AsyncIterator[None]:
    """Convert errors and timeouts in the block to a `StoreError` whose message begins with ``what``.

    Args:
        what: Beginning of the message.
        gone: Message of the `NotFound` for a missing object; empty: that is an error like any other.
    """
    try:
        async with asyncio.timeout(_TOTAL_S):
            yield
    except TimeoutError as error:
        raise StoreError(f"{what}: no answer within {_TOTAL_S:g} s") from error
    except FileNotFoundError as error:
        raise (NotFound(gone) if gone else StoreError(f"{what}: {_brief(error)}")) from error
    except (BaseError, OSError) as error:
        raise StoreError(f"{what}: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
