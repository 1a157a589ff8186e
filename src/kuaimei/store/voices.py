"""Cloned voices as rows and files; what their fields mean is the business of `kuaimei.voices`."""

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
"""Speech that is never learned from."""
STYLE: Final = "style.npy"
DECODER: Final = "decoder.npz"
"""A voice's files."""

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
    """Keeps voices: a row each, and files under ``voices/ID/``."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    @again_after_deadlock
    async def add(self, voice: str, **columns: Any) -> VoiceRow:
        """A new row.

        Raises:
            StoreError: If ``voice`` cannot be an id, or the database is away.
        """
        query = insert(table).values(id=validate_id(voice), **columns).returning(*table.c)
        async with self._database.begin() as connection:
            return VoiceRow(**(await connection.execute(query)).one()._mapping)

    async def all(self, owner: str | None = None, *, shared: bool = False) -> Sequence[VoiceRow]:
        """The newest first.

        Args:
            owner: Only this person's; None: of everybody.
            shared: And those that others share with all.

        Raises:
            StoreError: If the database is away.
        """
        query: Select[Any] = select(*table.c).order_by(table.c.created_at.desc(), table.c.id.desc())
        if owner is not None:
            query = query.where(or_(table.c.owner == owner, table.c.shared if shared else false()))
        async with self._database.begin() as connection:
            return [VoiceRow(**row._mapping) for row in await connection.execute(query)]

    async def get(self, voice: str) -> VoiceRow:
        """One of them.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(select(*table.c).where(table.c.id == voice))).first()
        return VoiceRow(**_found(row, voice)._mapping)

    @again_after_deadlock
    async def change(self, voice: str, **columns: Any) -> VoiceRow:
        """Set ``columns``.

        Raises:
            NotFound: If there is none of that id (any more).
            StoreError: If the database is away.
        """
        if not columns:
            return await self.get(voice)
        query = update(table).where(table.c.id == voice).values(**columns).returning(*table.c)
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
        return VoiceRow(**_found(row, voice)._mapping)

    async def put_file(self, voice: str, name: str, content: bytes) -> None:
        """Keep ``content`` as the voice's file ``name``, replacing it atomically.

        If the voice is gone (by now), so is the file.

        Raises:
            NotFound: If there is no such voice (any more).
            StoreError: If the file cannot be kept.
        """
        key = _key(voice, name)
        # An upload that is cut off may still arrive: it is let through, and then looked at.
        await _to_the_end(self._put(voice, key, content))

    async def _put(self, voice: str, key: str, content: bytes) -> None:
        await self._blobs.put(key, content)
        try:
            await self.get(voice)
        except NotFound:
            await self._blobs.delete([key])
            raise

    async def file(self, voice: str, name: str) -> bytes:
        """The voice's file ``name``.

        Raises:
            NotFound: If there is none.
            StoreError: If it cannot be read.
        """
        return await self._blobs.read(_key(voice, name))

    async def drop_file(self, voice: str, name: str) -> None:
        """Delete the voice's file ``name``; not there is fine.

        Raises:
            StoreError: If it cannot be deleted.
        """
        await self._blobs.delete([_key(voice, name)])


def _key(voice: str, name: str) -> str:
    return f"{voice_folder(validate_id(voice))}/{name}"


def _found(row: T | None, voice: str) -> T:
    if row is None:
        raise NotFound(f"no voice {voice[:80]} is kept")
    return row


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` even if the caller is cancelled meanwhile, who hears of that afterwards."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # nobody waits for it any more
        raise
