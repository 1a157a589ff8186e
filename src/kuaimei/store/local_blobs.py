"""Blob store in a local folder; every change is synced to disk before the call returns."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from kuaimei.errors import NotFound, StoreError
from kuaimei.system import durability
from kuaimei.system.threads import to_the_end

__all__ = ["Folder"]

_CHUNK: Final = 256 * 1024
_ATTEMPTS: Final = 5
_UNFINISHED: Final = ".unfinished"
"""Folder of files that are being written; no key begins with this name."""


class Folder:
    """Blob store in a local folder. See `kuaimei.store.blobs.Blobs`.

    Args:
        root: The folder; created if missing.

    Raises:
        OSError: If it cannot be created.
    """

    def __init__(self, root: Path) -> None:
        self.place = str(root)
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    async def put(self, key: str, content: Path | bytes) -> None:
        """Store ``content`` (bytes, or a file) as ``key``; it is on disk when this returns."""
        await to_the_end(self._put, key, content)

    def _put(self, key: str, content: Path | bytes) -> None:
        part = self._root / _UNFINISHED / secrets.token_hex(8)
        for left in reversed(range(_ATTEMPTS)):
            try:
                durability.make_folder(part.parent)
                durability.write_file(self._path(key), content, part)
            except FileNotFoundError as error:
                # The folder was removed, as the last file in it was just deleted.
                if not left:
                    raise StoreError(f"the recording {key} cannot be stored: {_brief(error)}") from error
            except OSError as error:
                raise StoreError(f"the recording {key} cannot be stored: {_brief(error)}") from error
            else:
                return

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` up to ``end`` of ``key`` in chunks."""
        if start >= end:
            return
        file = await to_the_end(self._opened, key)
        try:
            at = start
            while at < end:
                chunk = await to_the_end(os.pread, file, min(_CHUNK, end - at), at)
                if not chunk:
                    return  # the file was truncated; the reader's check of the hash detects it
                yield chunk
                at += len(chunk)
        except OSError as error:
            raise StoreError(f"the recording {key} cannot be read: {_brief(error)}") from error
        finally:
            os.close(file)

    def _opened(self, key: str) -> int:
        try:
            return os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"the recording {key} is missing from {self.place}") from error
        except OSError as error:
            raise StoreError(f"the recording {key} cannot be read: {_brief(error)}") from error

    async def read(self, key: str) -> bytes:
        """Return the whole content of ``key``."""
        return await to_the_end(self._read, key)

    def _read(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(f"{key} is missing from {self.place}") from error
        except OSError as error:
            raise StoreError(f"{key} cannot be read: {_brief(error)}") from error

    async def delete(self, keys: list[str]) -> None:
        """Delete ``keys``; they are gone from the disk when this returns."""
        await to_the_end(self._delete, keys)

    def _delete(self, keys: list[str]) -> None:
        for key in keys:
            path = self._path(key)
            try:
                if durability.remove_file(path):
                    self._prune(path.parent)
            except OSError as error:
                raise StoreError(f"the recording {key} cannot be deleted: {_brief(error)}") from error

    async def delete_folder(self, folder: str) -> None:
        """Delete everything under ``folder``."""
        await to_the_end(self._delete_folder, folder)

    def _delete_folder(self, folder: str) -> None:
        path = self._path(folder)
        try:
            if durability.remove_tree(path):
                self._prune(path.parent)
        except OSError as error:
            raise StoreError(f"the recordings in {folder} cannot be deleted: {_brief(error)}") from error

    async def keys(self, folder: str) -> AsyncIterator[str]:
        """Yield all keys under ``folder``."""
        for key in await to_the_end(lambda: list(self._keys(folder))):
            yield key

    def _keys(self, folder: str) -> Iterator[str]:
        for place, _, names in os.walk(self._path(folder), onerror=_not_listed):
            for name in sorted(names):
                yield os.path.relpath(os.path.join(place, name), self._root)

    async def check(self) -> None:
        """Check that the folder exists and is writable."""
        await to_the_end(self._check)

    def _check(self) -> None:
        if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise StoreError(f"{self.place} does not exist or is not writable")

    async def sweep(self) -> None:
        """Delete unfinished files left by killed processes."""
        await to_the_end(self._sweep)

    def _sweep(self) -> None:
        folder = self._root / _UNFINISHED
        try:
            for path in sorted(folder.glob("*")):
                if durability.is_abandoned(path):
                    durability.remove_file(path)
        except OSError as error:
            raise StoreError(f"unfinished files in {folder} cannot be deleted: {error}") from error

    def _path(self, key: str) -> Path:
        return self._root / key

    def _prune(self, folder: Path) -> None:
        """Remove empty folders from ``folder`` upwards, except the root."""
        while folder != self._root and durability.remove_folder_if_empty(folder):
            folder = folder.parent


def _not_listed(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise StoreError(f"recordings cannot be listed: {_brief(error)}") from error


def _brief(error: OSError) -> str:
    return error.strerror or type(error).__name__
