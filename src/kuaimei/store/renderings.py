"""The second tier: replies that are to be rendered once more, beautifully, and those that are.

A row for each such reply, keyed by what makes the rendering what it is: voice, pace, text, and in the end
the version of the engine. Asked for twice it is made once; exactly one rendering of a reply is kept, as
a blob beside its recording. The work is a durable job; what does it is `kuaimei.rendering.renderer`.
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
from kuaimei.store.utterance_writer import blob_key
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
"""States of what is asked for and not done."""
_ERROR_MAX: Final = 500
"""Characters."""
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
"""What is known once there is a file."""


@dataclass(frozen=True, slots=True)
class RenderingTask:
    """What is to be rendered.

    Attributes:
        text: The whole reply as it is shown.
        clauses: Those the fast tier spoke, in their order; empty if nobody knows.
        attempts: So many times it was begun, this one included.
        engine: Version of the engine that made the rendering that is there; empty: there is none.
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
    """Asked for, made, kept.

    Args:
        folder: For files that are being written.
        enabled: False: nothing is asked for.
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
        """Have the reply rendered, unless that is done or asked for already.

        Args:
            utterance: Id of the reply, whose row is there.
            voice: In which it was spoken.
            text: All of it.
            speed: 1.0 is the voice's own pace.
            clauses: As the fast tier spoke them: their boundaries are told of the rendering, too.
            again: Also if it is done: an engine of the same version will not do it twice.

        Raises:
            StoreError: If the database is away.
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
        # What is there is kept until something better is: unless it says something else.
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
            # The latest first: that one may still be heard, and whoever is there looks at it.
            await self._jobs.defer(HQ_JOB, utterance, priority=newest_first_priority(time.time()))

    async def again(self, utterance: str, *, voice: str, text: str) -> None:
        """Have a reply rendered by what renders now; one whose rendering failed or was never asked for, too.

        Raises:
            StoreError: If the database is away.
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
        """Nobody wants it: what is being done for it ends, and what was made goes.

        Raises:
            StoreError: If the database is away, or the blob cannot be deleted.
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
        # The last: as long as the row tells of a file, it is looked for.
        async with self._database.begin() as connection:
            await connection.execute(
                update(table)
                .where((table.c.utterance_id == utterance) & (table.c.state == "cancelled"))
                .values(**dict.fromkeys(_FILE))
            )

    @again_after_deadlock
    async def begin(self, utterance: str) -> RenderingTask | None:
        """Take up the work; None: nothing is to be done any more.

        Raises:
            StoreError: If the database is away.
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
            # Should the words have changed since, what is there says something else.
            engine=row.engine if digest_of(said) == row.text_sha256 else "",
        )

    async def wanted(self, utterance: str) -> bool:
        """False: its reply was deleted, or it was called off.

        Raises:
            StoreError: If the database is away.
        """
        table = renderings
        async with self._database.begin() as connection:
            state = await connection.scalar(select(table.c.state).where(table.c.utterance_id == utterance))
        return state == "rendering"

    async def has_pending_transcription(self) -> bool:
        """Something that was said waits to be recognised: that goes first.

        Raises:
            StoreError: If the database is away.
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
        """The rendering is done: keep it, in the place of an earlier one.

        Args:
            order: What was rendered.
            pcm: All of it.
            rate: In Hz.
            engine: Version of what rendered it.
            clauses: Where its clauses begin and end.
            took_s: Time it took.

        Returns:
            None if nobody wants it any more; nothing of it is left then.

        Raises:
            StoreError: If it could not be kept; the disk being full is OSError.
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
        """Note what was made; None: nobody wants it any more."""
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
        """What is there is what would be made: it is ready.

        Raises:
            StoreError: If the database is away.
        """
        await self._end(order.utterance, state="ready", error=None)

    async def fail(self, order: RenderingTask, why: str, *, final: bool) -> None:
        """It did not succeed.

        Args:
            order: What was to be rendered.
            why: One sentence.
            final: False: it will be tried again.

        Raises:
            StoreError: If the database is away.
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
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def rendering_columns() -> list[Any]:
    """What of a row is for the world, labelled so that it can stand beside the columns of an utterance."""
    return [renderings.c[name].label(f"hq_{name}") for name in _PUBLIC]


def rendering_of(row: Mapping[Any, Any]) -> Rendering | None:
    """The rendering in a row with `rendering_columns`; None if there is none.

    Args:
        row: Its mapping.
    """
    if row["hq_state"] is None:
        return None
    values = {name: row[f"hq_{name}"] for name in _PUBLIC}
    values["clauses"] = tuple(Boundary(**clause) for clause in values["clauses"] or ())
    return Rendering(**values)
