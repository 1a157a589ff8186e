"""Read access to stored conversations."""

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
from kuaimei.store.utterance_rows import blob_key

__all__ = ["ConversationReader"]

_PAGE: Final = 201
"""Rows converted to objects at a time: some milliseconds of the event loop. It fits a usual page and the row
that tells whether there are more in one query."""


class ConversationReader:
    """Reads sessions, utterances, turns and recordings."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs

    async def sessions(
        self, limit: int = 50, *, before: str | None = None, search: str = "", owner: str | None = None
    ) -> Sequence[SessionRow]:
        """Return sessions, newest first.

        Args:
            limit: Maximum number, up to 501: a page and one row that tells whether there are more.
            before: Only sessions that began before this one: the last of the page before, deleted or not.
            search: Only sessions with this text in the title or a transcript, ignoring case.
            owner: Limits it to the sessions of this person.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.browse() as connection:
            query = queries.sessions(max(1, min(limit, 501)), before, search, owner)
            found = await connection.execute(query)
            return [SessionRow(**row._mapping) for row in found]

    async def session(self, session: str) -> SessionRow:
        """Return a session.

        Raises:
            NotFound: If there is no session with that id.
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(queries.session(session))).first()
        if row is None:
            raise NotFound(f"there is no session {session}")
        return SessionRow(**row._mapping)

    async def utterances(
        self, session: str, limit: int | None = None, *, after: UtteranceRow | None = None
    ) -> Sequence[UtteranceRow]:
        """Return a session's utterances of both sides, in order; empty if there is no such session.

        Args:
            session: Id of the session.
            limit: Maximum number; None: all, read page by page to keep the event loop responsive.
            after: Only utterances after this one: the last of the page before.

        Raises:
            StoreError: If the database is unavailable.
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
        """Return the last ``limit`` utterances of a session, in order.

        Raises:
            StoreError: If the database is unavailable.
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
        """Return an utterance.

        Raises:
            NotFound: If there is no utterance with that id.
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            row = (await connection.execute(queries.utterance(utterance))).first()
        if row is None:
            raise NotFound(f"there is no utterance {utterance}")
        return _utterance(row._mapping)

    async def turns(self, session: str, limit: int | None = None, *, after: int = -1) -> Sequence[TurnRow]:
        """Return timings and failures of a session's turns, in order.

        Args:
            session: Id of the session.
            limit: Maximum number; None: all, read page by page.
            after: Only turns after this number.

        Raises:
            StoreError: If the database is unavailable.
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
        """Return what was said and really heard, oldest first, for resuming a session.

        Raises:
            StoreError: If the database is unavailable.
        """
        said = await self.utterances(session)
        return [Message(role=one.speaker, content=one.words) for one in said if one.words]

    async def last_turn(self, session: str) -> int:
        """Return the number of the latest turn; 0 if there is none.

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            return await connection.scalar(queries.last_turn(session)) or 0

    async def open_audio(
        self, utterance: str, start: int = 0, end: int | None = None, *, tier: Tier = "fast"
    ) -> Audio:
        """Open the recording of an utterance as FLAC, or the bytes ``start`` up to ``end`` of it.

        Args:
            utterance: Id of the utterance.
            start: First byte.
            end: One past the last byte; None: to the end.
            tier: Of a reply: ``fast`` as it was spoken, or ``hq`` as it was rendered afterwards.

        Raises:
            NotFound: If there is no such utterance, or it has no recording (yet).
            StoreError: If the database is unavailable, or the range lies outside the recording.
        """
        found = await self.utterance(utterance)
        size, sha256 = found.file(tier)
        stop = size if end is None else min(end, size)
        if not 0 <= start < max(1, stop):
            raise StoreError(f"bytes {start} to {stop} are outside the recording of {size} bytes")
        chunks = self._blobs.get(blob_key(found.session_id, utterance, tier), start, stop)
        return Audio("audio/flac", size, start, stop, sha256, chunks)


def _utterance(row: Any) -> UtteranceRow:
    own = {name: value for name, value in row.items() if not name.startswith(("hq_", "analysis_"))}
    return UtteranceRow(**own, hq=rendering_of(row), analysis=summary_of(row))
