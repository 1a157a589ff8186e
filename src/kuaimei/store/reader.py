"""Finding again what was said."""

from collections.abc import Sequence
from typing import Any, Final

from kuaimei.engines.types import Message
from kuaimei.errors import NotFound, StoreError
from kuaimei.store import queries
from kuaimei.store.analyses import summary_of
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.renderings import rendering_of
from kuaimei.store.rows import Audio, SessionRow, TurnRow, UtteranceRow
from kuaimei.store.utterance_record import Tier
from kuaimei.store.utterance_writer import blob_key

__all__ = ["ConversationReader"]

_PAGE: Final = 201
"""Rows that are made into objects in one go: some milliseconds of the event loop. A page as it is usually
listed, and the row that tells that there are more, are one query."""


class ConversationReader:
    """Reads only."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def sessions(
        self, limit: int = 50, *, before: str | None = None, search: str = "", owner: str | None = None
    ) -> Sequence[SessionRow]:
        """The newest first.

        Args:
            limit: At most this many, up to 501: a page and one that tells that there are more.
            before: Only what began before this session: the last of the page before, deleted since or not.
            search: Only those named so or in which this was said by either side, whatever the case.
            owner: Only this person's.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.browse() as connection:
            query = queries.sessions(max(1, min(limit, 501)), before, search, owner)
            found = await connection.execute(query)
            return [SessionRow(**row._mapping) for row in found]

    async def session(self, session: str) -> SessionRow:
        """One of them.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(queries.session(session))).first()
        if row is None:
            raise NotFound(f"no session {session} is kept")
        return SessionRow(**row._mapping)

    async def utterances(
        self, session: str, limit: int | None = None, *, after: UtteranceRow | None = None
    ) -> Sequence[UtteranceRow]:
        """What was said in a session, both sides, in order; empty if there is no such session.

        Args:
            session: Its id.
            limit: At most this many; None: all, read page by page, so that nobody else waits for it.
            after: Only what comes after this one: the last of the page before.

        Raises:
            StoreError: If the database is away.
        """
        found: list[UtteranceRow] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            async with self._database.begin() as connection:
                rows = (await connection.execute(queries.utterances(session, size, after))).all()
            found += [_utterance(row._mapping) for row in rows]
            if len(rows) < size:
                break
            after = found[-1]
        return found

    async def latest(self, session: str, limit: int) -> Sequence[UtteranceRow]:
        """The last that were said in a session, at most ``limit``, in order.

        Raises:
            StoreError: If the database is away.
        """
        found: list[UtteranceRow] = []
        while len(found) < limit:
            size = min(_PAGE, limit - len(found))
            async with self._database.begin() as connection:
                rows = (await connection.execute(queries.latest(session, size, len(found)))).all()
            found += [_utterance(row._mapping) for row in rows]
            if len(rows) < size:
                break
        found.reverse()
        return found

    async def utterance(self, utterance: str) -> UtteranceRow:
        """One of them.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(queries.utterance(utterance))).first()
        if row is None:
            raise NotFound(f"no utterance {utterance} is kept")
        return _utterance(row._mapping)

    async def turns(self, session: str, limit: int | None = None, *, after: int = -1) -> Sequence[TurnRow]:
        """Timings and failures of a session's turns, in order.

        Args:
            session: Its id.
            limit: At most this many; None: all, read page by page.
            after: Only what follows the turn of this number.

        Raises:
            StoreError: If the database is away.
        """
        found: list[TurnRow] = []
        while limit is None or len(found) < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            async with self._database.browse() as connection:
                rows = (await connection.execute(queries.turns(session, size, after))).all()
            found += [TurnRow(**row._mapping) for row in rows]
            if len(rows) < size:
                break
            after = found[-1].turn
        return found

    async def history(self, session: str) -> Sequence[Message]:
        """What was said and really heard, oldest first, for going on with a session.

        Raises:
            StoreError: If the database is away.
        """
        said = await self.utterances(session)
        return [Message(role=one.speaker, content=one.words) for one in said if one.words]

    async def last_turn(self, session: str) -> int:
        """Number of the latest turn; 0 if there is none.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            return await connection.scalar(queries.last_turn(session)) or 0

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        """The recording of an utterance as FLAC, or the bytes ``start`` up to ``end`` of it.

        Args:
            utterance: Its id.
            start: First byte.
            end: One past the last byte; None: to its end.
            tier: Of a reply: as it was spoken, or as it was rendered afterwards.

        Raises:
            NotFound: If there is no such utterance, or it has no recording (yet).
            StoreError: If the database is away, or the range lies outside the recording.
        """
        found = await self.utterance(utterance)
        size, sha256 = found.file(tier)
        stop = size if end is None else min(end, size)
        if not 0 <= start < max(1, stop):
            raise StoreError(f"bytes {start} to {stop} lie outside the recording of {size} bytes")
        chunks = self._blobs.get(blob_key(found.session_id, utterance, tier), start, stop)
        return Audio("audio/flac", size, start, stop, sha256, chunks)


def _utterance(row: Any) -> UtteranceRow:
    own = {name: value for name, value in row.items() if not name.startswith(("hq_", "analysis_"))}
    return UtteranceRow(**own, hq=rendering_of(row), analysis=summary_of(row))
