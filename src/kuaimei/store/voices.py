"""Storage of cloned voices: rows and files; their meaning is defined by `kuaimei.voices`."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Select, false, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from kuaimei.errors import NotFound
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import validate_id
from kuaimei.store.tables import voices as table
from kuaimei.store.voice_paths import voice_folder

__all__ = ["DECODER", "JUDGE", "REFERENCE", "STYLE", "VoiceRepository", "VoiceRow"]

REFERENCE: Final = "reference.flac"
JUDGE: Final = "judge.flac"
"""Speech held out from training."""
STYLE: Final = "style.npy"
DECODER: Final = "decoder.npz"
"""Names of a voice's files."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VoiceRow:
    """A row of the table ``voices``."""

    id: str
    owner: str
    name: str
    created_at: datetime
    language: str | None
    state: str
    stage: str
    error: str | None
    transcript: str | None
    duration_s: float
    checks: list[dict[str, Any]]
    pitch: dict[str, Any] | None
    consent: dict[str, Any]
    learning: dict[str, Any]
    similarity: float | None
    shared: bool = False


class VoiceRepository:
    """Repository of voices: a row each, and files under ``voices/ID/``."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    @again_after_deadlock
    async def add(self, voice: str, **columns: Any) -> VoiceRow:
        """Insert a row.

        Raises:
            StoreError: If ``voice`` cannot be an id, or the database is unavailable.
        """
        query = insert(table).values(id=validate_id(voice), **columns).returning(*table.c)
        async with self._database.begin() as connection:
            return VoiceRow(**(await connection.execute(query)).one()._mapping)

    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]:
        """Return voices, newest first.

        Args:
            owner: Limits it to the voices of this person; None: all people.
            shared: Include voices that other people share.

        Raises:
            StoreError: If the database is unavailable.
        """
        query: Select[Any] = select(*table.c).order_by(table.c.created_at.desc(), table.c.id.desc())
        if owner is not None:
            query = query.where(or_(table.c.owner == owner, table.c.shared if shared else false()))
        async with self._database.begin() as connection:
            return [VoiceRow(**row._mapping) for row in await connection.execute(query)]

    async def get(self, voice: str) -> VoiceRow:
        """Return a voice.

        Raises:
            NotFound: If there is no voice with that id.
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(select(*table.c).where(table.c.id == voice))).first()
        return VoiceRow(**_found(row, voice)._mapping)

    @again_after_deadlock
    async def change(self, voice: str, **columns: Any) -> VoiceRow:
        """Set ``columns`` of a voice.

        Raises:
            NotFound: If there is no voice with that id (any more).
            StoreError: If the database is unavailable.
        """
        if not columns:
            return await self.get(voice)
        query = update(table).where(table.c.id == voice).values(**columns).returning(*table.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
        return VoiceRow(**_found(row, voice)._mapping)

    async def put_file(self, voice: str, name: str, content: bytes) -> None:
        """Store ``content`` as the voice's file ``name``, replacing it atomically.

        If the voice was deleted meanwhile, the file is deleted, too.

        Args:
            voice: Id of the voice.
            name: One of the names of a voice's files.
            content: Bytes of the file.

        Raises:
            NotFound: If there is no such voice (any more).
            StoreError: If the file cannot be stored.
        """
        key = _key(voice, name)
        # A cancelled upload might still arrive: so it is finished, and then checked.
        await _to_the_end(self._put(voice, key, content))

    async def _put(self, voice: str, key: str, content: bytes) -> None:
        await self._blobs.put(key, content)
        try:
            await self.get(voice)
        except NotFound:
            await self._blobs.delete([key])
            raise

    async def file(self, voice: str, name: str) -> bytes:
        """Return the voice's file ``name``.

        Raises:
            NotFound: If there is none.
            StoreError: If it cannot be read.
        """
        return await self._blobs.read(_key(voice, name))

    async def drop_file(self, voice: str, name: str) -> None:
        """Delete the voice's file ``name``, which may be missing.

        Raises:
            StoreError: If it cannot be deleted.
        """
        await self._blobs.delete([_key(voice, name)])


def _key(voice: str, name: str) -> str:
    return f"{voice_folder(validate_id(voice))}/{name}"


def _found(row: T | None, voice: str) -> T:
    if row is None:
        raise NotFound(f"there is no voice {voice[:80]}")
    return row


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finish ``work`` even if the caller is cancelled meanwhile; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # marked as retrieved: it is no longer awaited
        raise
