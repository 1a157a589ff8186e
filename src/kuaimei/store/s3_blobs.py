"""Recordings as objects in any S3, or wherever else obstore can keep them."""

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
"""Of one attempt; what is sent or read in it is some megabytes."""
_TOTAL_S: Final = 60.0
"""Of one operation, with all its attempts: then it has failed, and the caller decides what becomes of it."""
_RETRIES: Final = 3
_FROM_ENVIRONMENT: Final = (
    *("allow_http", "allow_invalid_certificates", "user_agent"),
    *("proxy_url", "proxy_ca_certificate", "proxy_excludes"),
)
"""Options of the connection that have a variable, such as ``AWS_ALLOW_HTTP``."""


class Objects:
    """Keeps blobs as objects; see `kuaimei.store.blobs.Blobs`, whose words apply.

    A place that takes what it is sent and never answers is given up after a minute, every time.

    Args:
        url: ``s3://bucket/prefix``, or any other that obstore knows.

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
        """Keep ``content`` (or the file there) as ``key``; the far side says when it is safe."""
        async with _deadline(f"the recording {key} cannot be put away"):
            await obstore.put_async(self._store, key, content)

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes ``start`` up to ``end``, in chunks."""
        if start >= end:
            return
        what = f"the recording {key} cannot be read"
        async with _deadline(what, f"the recording {key} is gone from {self.place}"):
            result = await obstore.get_async(self._store, key, options={"range": (start, end)})
        chunks = aiter(result.stream(min_chunk_size=_CHUNK))
        while True:
            async with _deadline(what):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield bytes(chunk)

    async def read(self, key: str) -> bytes:
        """All of ``key``."""
        async with _deadline(f"{key} cannot be read", f"{key} is gone from {self.place}"):
            result = await obstore.get_async(self._store, key)
            return bytes(await result.bytes_async())

    async def delete(self, keys: list[str]) -> None:
        """Delete; what is not there is fine."""
        for key in keys:
            async with _deadline(f"the recording {key} cannot be deleted"):
                try:
                    await obstore.delete_async(self._store, key)
                except FileNotFoundError:
                    continue

    async def delete_folder(self, folder: str) -> None:
        """Delete all under ``folder``."""
        await self.delete([key async for key in self.keys(folder)])

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """All keys under ``folder``."""
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
        """Return if the place answers."""
        async with _deadline(f"{self.place} does not answer"):
            try:
                await obstore.head_async(self._store, "kuaimei-is-it-there")
            except FileNotFoundError:
                return

    async def sweep(self) -> None:
        """Nothing is ever half there."""


def _client_options() -> "ClientConfig":
    """With deadlines, and what the usual variables say of the connection.

    Options that are given are instead of those that obstore would find in the environment.
    """
    options: ClientConfig = {"timeout": f"{_REQUEST_S}s", "connect_timeout": f"{_CONNECT_S}s"}
    for name in _FROM_ENVIRONMENT:
        if (value := os.environ.get(f"AWS_{name.upper()}")) is not None:
            options[name] = value
    return options


@asynccontextmanager
async def _deadline(what: str, gone: str = "") -> AsyncIterator[None]:
    """Turns whatever fails in the block, or lasts too long, into one sentence that begins with ``what``.

    Args:
        gone: The sentence for what is not there; empty: that is a failure like any other.
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
