"""Storage and queue of the HQ renderings of replies.

One row for each reply, keyed by what determines the rendering: voice, speed, text, and when it is made the
version of the engine. Requested twice it is made once; exactly one rendering of a reply is stored, as a blob
beside its recording. The durable job is done by `kuaimei.rendering.renderer`.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import and_, case, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from kuaimei.audio.pcm import Pcm
from kuaimei.store import flac
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.jobs import JobQueue, newest_first_priority
from kuaimei.store.rows import Boundary, Rendering
from kuaimei.store.tables import renderings, utterances
from kuaimei.store.utterance_rows import blob_key
from kuaimei.text.wellformed import to_well_formed

__all__ = [
    "HQ_JOB",
    "UNDER_WAY",
    "RenderingRepository",
    "RenderingTask",
    "digest_of",
    "rendering_columns",
    "rendering_of",
]

HQ_JOB: Final = "hq"
"""Name of the durable job; its subject is the utterance."""
UNDER_WAY: Final = ("queued", "rendering")
"""States of a rendering that is requested and not done."""
_ERROR_MAX: Final = 500
"""Maximum characters of a stored error."""
_PUBLIC: Final = (
    "state",
    "voice",
    "engine",
    "duration_ms",
    "sample_rate",
    "bytes",
    "sha256",
    "clauses",
    "error",
)
_FILE: Final = ("duration_ms", "sample_rate", "bytes", "sha256", "clauses", "took_s")
"""Columns that are set once there is a file."""


@dataclass(frozen=True, slots=True)
class RenderingTask:
    """A reply that is to be rendered.

    Attributes:
        text: The whole reply as displayed.
        clauses: Clauses spoken by the fast tier, in order; empty: unknown.
        attempts: Number of attempts, including this one.
        engine: Version of the engine that made the existing rendering; empty: there is none.
    """

    utterance: str
    session: str
    turn: int
    voice: str
    speed: float
    text: str
    clauses: tuple[str, ...]
    attempts: int
    engine: str


class RenderingRepository:
    """Queue and storage of HQ renderings.

    Args:
        database: The database.
        blobs: Blob store of the recordings.
        jobs: Durable jobs.
        folder: Folder for temporary files.
        enabled: False: no rendering is queued.
    """

    def __init__(
        self, database: Database, blobs: Blobs, jobs: JobQueue, folder: Path, *, enabled: bool = True
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._jobs = jobs
        self._folder = folder
        self._enabled = enabled

    @again_after_deadlock
    async def ask(
        self,
        utterance: str,
        *,
        voice: str,
        text: str,
        speed: float = 1.0,
        clauses: Sequence[str] = (),
        again: bool = False,
    ) -> None:
        """Queue the rendering of a reply, unless it is done or queued already.

        Args:
            utterance: Id of the reply, whose row exists.
            voice: Voice in which it was spoken.
            text: Full text of the reply.
            speed: 1.0 is the voice's own pace.
            clauses: Clauses spoken by the fast tier; their boundaries in the rendering are stored, too.
            again: Also if it is done; an engine of the same version does not render it twice.

        Raises:
            StoreError: If the database is unavailable.
            IntegrityError: If there is no such utterance.
        """
        if not self._enabled:
            return
        key = {"voice": voice, "speed": speed, "text_sha256": digest_of(text)}
        table = renderings
        added = insert(table).values(utterance_id=utterance, **key, spoken=list(clauses), state="queued")
        same = and_(*(table.c[name] == value for name, value in key.items()))
        stale = or_(
            ~same, table.c.state.in_(("failed", "cancelled")), literal(again) & (table.c.state == "ready")
        )
        # An existing rendering is kept until there is a new one, unless voice, speed or text differ.
        emptied = {name: case((same, table.c[name]), else_=None) for name in _FILE}
        emptied["engine"] = case((same, table.c.engine), else_="")
        queued = added.on_conflict_do_update(
            index_elements=["utterance_id"],
            set_={
                **key,
                **emptied,
                "spoken": added.excluded.spoken,
                "state": "queued",
                "attempts": 0,
                "error": None,
                "asked_at": func.now(),
            },
            where=stale,
        )
        async with self._database.begin() as connection:
            await connection.execute(queued)
            state = await connection.scalar(select(table.c.state).where(table.c.utterance_id == utterance))
        if state in UNDER_WAY:
            # The latest first: it may still be playing, and the user is looking at it.
            await self._jobs.defer(HQ_JOB, utterance, priority=newest_first_priority(time.time()))

    async def again(self, utterance: str, *, voice: str, text: str) -> None:
        """Queue a rendering by the current engine, also if it failed before or was never requested.

        Args:
            utterance: Id of the reply.
            voice: Voice in which it was spoken.
            text: Full text of the reply.

        Raises:
            StoreError: If the database is unavailable.
            IntegrityError: If there is no such utterance.
        """
        table = renderings
        async with self._database.begin() as connection:
            known = await connection.execute(
                select(table.c.speed, table.c.spoken).where(table.c.utterance_id == utterance)
            )
            row = known.first()
        speed, clauses = (row.speed, row.spoken) if row is not None else (1.0, ())
        await self.ask(utterance, voice=voice, text=text, speed=speed, clauses=clauses, again=True)

    @again_after_deadlock
    async def cancel(self, utterance: str) -> None:
        """Cancel the rendering of a reply and delete an existing one.

        Raises:
            StoreError: If the database is unavailable, or the blob cannot be deleted.
        """
        await self._jobs.cancel(HQ_JOB, utterance)
        table = renderings
        mine = (table.c.utterance_id == utterance) & (utterances.c.id == table.c.utterance_id)
        async with self._database.begin() as connection:
            gone = await connection.execute(
                update(table)
                .where(mine)
                .values(state="cancelled", engine="", error=None)
                .returning(utterances.c.session_id)
            )
            session = gone.scalar()
        if session is None:
            return
        await self._blobs.delete([blob_key(session, utterance, "hq")])
        # Last: as long as the row names a file, its deletion is resumed.
        async with self._database.begin() as connection:
            await connection.execute(
                update(table)
                .where((table.c.utterance_id == utterance) & (table.c.state == "cancelled"))
                .values(**dict.fromkeys(_FILE))
            )

    @again_after_deadlock
    async def begin(self, utterance: str) -> RenderingTask | None:
        """Claim the rendering of a reply; None if there is nothing to do.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = renderings
        async with self._database.begin() as connection:
            begun = await connection.execute(
                update(table)
                .where(
                    (table.c.utterance_id == utterance)
                    & (utterances.c.id == table.c.utterance_id)
                    & table.c.state.in_(UNDER_WAY)
                )
                .values(state="rendering", attempts=table.c.attempts + 1)
                .returning(
                    *(
                        table.c[name]
                        for name in ("voice", "speed", "text_sha256", "spoken", "attempts", "engine")
                    ),
                    utterances.c.session_id,
                    utterances.c.turn,
                    utterances.c.transcript,
                )
            )
            row = begun.first()
        if row is None:
            return None
        said = row.transcript or ""
        return RenderingTask(
            utterance=utterance,
            session=row.session_id,
            turn=row.turn,
            voice=row.voice,
            speed=row.speed,
            text=said,
            clauses=tuple(row.spoken),
            attempts=row.attempts,
            # If the text has changed since, the existing rendering is of another text.
            engine=row.engine if digest_of(said) == row.text_sha256 else "",
        )

    async def wanted(self, utterance: str) -> bool:
        """Return False if the reply was deleted or its rendering cancelled.

        Raises:
            StoreError: If the database is unavailable.
        """
        table = renderings
        async with self._database.begin() as connection:
            state = await connection.scalar(select(table.c.state).where(table.c.utterance_id == utterance))
        return state == "rendering"

    async def has_pending_transcription(self) -> bool:
        """Return True if an utterance waits for transcription, which takes precedence.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await self._jobs.has_ready_job("transcribe")

    async def save(
        self,
        order: RenderingTask,
        pcm: Pcm,
        rate: int,
        *,
        engine: str,
        clauses: Sequence[Boundary],
        took_s: float,
    ) -> Rendering | None:
        """Save a finished rendering in place of an earlier one.

        Args:
            order: The task.
            pcm: Samples of the whole rendering, int16.
            rate: Sample rate in Hz.
            engine: Version of the engine.
            clauses: Boundaries of its clauses.
            took_s: Seconds of synthesis.

        Returns:
            The rendering; None if it is no longer wanted: nothing of it is stored then.

        Raises:
            StoreError: If it cannot be stored; a full disk raises OSError.
        """
        path = self._folder / f"{order.utterance}.hq.job"
        key = blob_key(order.session, order.utterance, "hq")
        try:
            audio = await asyncio.to_thread(flac.write, pcm, rate, path)
            await self._blobs.put(key, audio.path)
        finally:
            await asyncio.to_thread(path.unlink, True)
        kept = await self._finish(
            order.utterance,
            state="ready",
            text_sha256=digest_of(order.text),
            engine=engine,
            duration_ms=audio.duration_ms,
            sample_rate=rate,
            bytes=audio.size,
            sha256=audio.sha256,
            clauses=[asdict(clause) for clause in clauses],
            error=None,
            took_s=took_s,
        )
        if kept is None:
            await self._blobs.delete([key])
        return kept

    @again_after_deadlock
    async def _finish(self, utterance: str, **values: Any) -> Rendering | None:
        """Write the row of a finished rendering; None if it is no longer wanted."""
        table = renderings
        async with self._database.begin() as connection:
            kept = await connection.execute(
                update(table)
                .where((table.c.utterance_id == utterance) & (table.c.state == "rendering"))
                .values(**values)
                .returning(*rendering_columns())
            )
            row = kept.first()
        return None if row is None else rendering_of(row._mapping)

    async def mark_ready(self, order: RenderingTask) -> None:
        """Mark the existing rendering as up to date.

        Raises:
            StoreError: If the database is unavailable.
        """
        await self._end(order.utterance, state="ready", error=None)

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        """Record a failed attempt.

        Args:
            order: The task.
            why: The reason, in one sentence.
            final: False: it will be tried again.

        Raises:
            StoreError: If the database is unavailable.
        """
        told = to_well_formed(why)[:_ERROR_MAX]
        await self._end(order.utterance, state="failed" if final else "queued", error=told)

    @again_after_deadlock
    async def _end(self, utterance: str, **values: Any) -> None:
        table = renderings
        async with self._database.begin() as connection:
            await connection.execute(
                update(table)
                .where((table.c.utterance_id == utterance) & (table.c.state == "rendering"))
                .values(**values)
            )


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def rendering_columns() -> list[Any]:
    """Return the public columns, labelled so that they can be selected with those of an utterance."""
    return [renderings.c[name].label(f"hq_{name}") for name in _PUBLIC]


def rendering_of(row: Mapping[Any, Any]) -> Rendering | None:
    """Return the rendering in a row with `rendering_columns`; None if there is none.

    Args:
        row: Mapping of the row.
    """
    if row["hq_state"] is None:
        return None
    values = {name: row[f"hq_{name}"] for name in _PUBLIC}
    values["clauses"] = tuple(Boundary(**clause) for clause in values["clauses"] or ())
    return Rendering(**values)
