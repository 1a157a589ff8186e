"""The store: everything said, found again, and deleted when asked."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import Conflict, NotFound, StoreError
from kuaimei.store import queries, tables
from kuaimei.store.analyses import AnalysisRepository
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.deletion_steps import Eraser
from kuaimei.store.deletions import Deletion, DeletionKind, Deletions
from kuaimei.store.disk_space import Space
from kuaimei.store.erasure_check import Leftover, find_leftovers, find_names, find_sentences, renew_statistics
from kuaimei.store.ids import new_id, validate_id
from kuaimei.store.ingest import PendingUtterance, UtteranceIngest
from kuaimei.store.jobs import Job, JobQueue
from kuaimei.store.keys import Keys
from kuaimei.store.listening_tests import ListeningTests
from kuaimei.store.maintenance import Maintenance
from kuaimei.store.people import People
from kuaimei.store.quarantine import Broken
from kuaimei.store.ratings import Ratings
from kuaimei.store.reader import ConversationReader
from kuaimei.store.recorder import Recorder
from kuaimei.store.recovery import recover_spools
from kuaimei.store.renderings import RenderingRepository
from kuaimei.store.rows import Health, Statistics
from kuaimei.store.score_history import ScoreHistory
from kuaimei.store.session_locks import Claims
from kuaimei.store.spool import SpoolRun, SpoolWriter
from kuaimei.store.transcription_handler import Transcriber
from kuaimei.store.transcription_job import recognise
from kuaimei.store.utterance_record import LOCAL, UtteranceRecord
from kuaimei.store.voices import VoiceRepository

__all__ = ["Store"]

_log = logging.getLogger(__name__)

_TRANSCRIBE: Final = "transcribe"
_RECOVERY_WAIT_S: Final = 20.0
_CLOSE_WAIT_S: Final = 10.0


class Store(ConversationReader):
    """Open by `kuaimei.store.store_startup.open_store`; all methods may be called by any task of its event loop.

    Attributes:
        renderings: The second tier of replies.
        preferences: What listeners preferred.
        analyses: How people spoke.
        peers: The earlier scores of the same person or voice.
        ratings: How listeners rated it.
        people: To whom what is kept belongs.
        keys: By which they come in.
        deletions: What is being deleted.
        claims: Which sessions are this server's.
        maintenance: What goes on by itself.
        space: How much room there is on the disk.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        home: Path,
        space: Space,
        run: SpoolRun,
        writer: SpoolWriter,
        jobs: JobQueue,
        renderings: RenderingRepository,
        analyses: AnalysisRepository,
        *,
        retention_days: float = 0.0,
    ) -> None:
        super().__init__(database, blobs)
        self._spools = home / "spool"
        self.space = space
        self.claims = Claims(database)
        self._run = run
        self._writer = writer
        self._jobs = jobs
        self.renderings = renderings
        self.preferences = ListeningTests(database)
        self.analyses = analyses
        self.peers = ScoreHistory(database)
        self.ratings = Ratings(database)
        self.people = People(database)
        self.keys = Keys(database)
        self._broken = Broken(self._spools)
        self._ingest = UtteranceIngest(
            *(database, blobs, writer, self._ask_transcript, self._ask_hq, self._ask_analysis, self._broken)
        )
        self._eraser = Eraser(database, blobs, jobs, renderings, self._ingest, writer, home, self._spools)
        self.deletions = Deletions(database, self._eraser.steps, alone=self._alone)
        given = database, self.deletions, self._eraser, self._broken, space, self.delete_session
        self.maintenance = Maintenance(*given, retention_days)
        self._recorders: set[Recorder] = set()
        self._recovering: set[asyncio.Task[None]] = set()
        self.voices = VoiceRepository(database, blobs)

    def describe(self) -> str:
        """Where things are kept, in one line."""
        place = "embedded PostgreSQL" if self._database.embedded else "PostgreSQL"
        return f"{place}, recordings in {self._blobs.place}"

    async def health(self) -> Health:
        """Try both places."""
        trouble: list[str] = []
        database = blobs = True
        try:
            await self._database.probe()
        except StoreError as error:
            database = False
            trouble.append(str(error))
        try:
            await self._blobs.check()
        except StoreError as error:
            blobs = False
            trouble.append(str(error))
        return Health(database, blobs, "; ".join(trouble), self.space.level)

    async def statistics(self) -> Statistics:
        """How much is kept, and how the keeping goes.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.browse() as connection:
            sessions = await connection.scalar(select(func.count()).select_from(tables.sessions))
            totals = (await connection.execute(queries.totals())).one()
        return Statistics(
            sessions=sessions or 0,
            utterances=totals.utterances,
            speech_s=totals.speech_s,
            bytes=totals.bytes,
            unsaved=self._ingest.unsaved,
            lost_bytes=self._writer.lost_bytes,
            failures=self._ingest.failures + self._writer.failures,
            broken=await asyncio.to_thread(lambda: self._broken.count),
            deleting=await self.deletions.count(),
            disk_free_bytes=self.space.free_bytes,
            jobs=await self._jobs.counts(),
        )

    # Recording.

    async def create_session(self, client: dict[str, Any] | None = None, *, owner: str = LOCAL) -> str:
        """A new session; its id."""
        session = new_id("sess")
        await self.ensure_session(session, client, owner=owner)
        return session

    @again_after_deadlock
    async def ensure_session(
        self, session: str, client: dict[str, Any] | None = None, *, owner: str = LOCAL
    ) -> None:
        """Make the session unless it is there.

        Args:
            session: Its id.
            client: What the client says about itself.
            owner: Id of the person whose it is.

        Raises:
            NotFound: If there is no such person (any more).
            Conflict: If it is just being deleted.
            StoreError: If ``session`` cannot be an id, or the database is away.
        """
        validate_id(session)
        if await self.deletions.lingers("session", session) or await self.deletion("session", session):
            raise Conflict(f"the session {session} is being deleted; begin another one")
        made = insert(tables.sessions).values(id=session, owner=owner, client=client or {})
        try:
            async with self._database.begin() as connection:
                await connection.execute(made.on_conflict_do_nothing())
        except IntegrityError:
            raise NotFound(f"no person {owner[:80]} is known, so nothing can be kept for them") from None

    def recorder(
        self,
        session: str,
        *,
        owner: str = LOCAL,
        client: dict[str, Any] | None = None,
        voice: str = "",
        engine: str = "",
    ) -> Recorder:
        """An observer that writes the session down; it need not exist yet. Close it when it is over.

        Args:
            session: Its id.
            owner: Id of the person whose it is.
            client: What the client says about itself, should the session have to be made.
            voice: Of replies whose own voice nobody tells.
            engine: What speaks, likewise.

        Raises:
            StoreError: If ``session`` cannot be an id.
        """
        recorder = Recorder(
            validate_id(session),
            self._run,
            self._writer,
            self._ingest,
            owner=owner,
            client=client,
            voice=voice,
            engine=engine,
            room=lambda: not self.space.full,
            closed=self._recorders.discard,
        )
        self._recorders.add(recorder)
        return recorder

    async def flush(self, timeout_s: float = _CLOSE_WAIT_S) -> bool:
        """Wait until everything said so far is kept; False if that took too long."""
        return await self._ingest.flush(timeout_s)

    @again_after_deadlock
    async def rename_session(self, session: str, title: str) -> None:
        """Give the session ``title``; an empty one: the first thing said in it is its title again.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away.
        """
        table = tables.sessions
        async with self._database.begin() as connection:
            named = await connection.execute(
                update(table)
                .where(table.c.id == session)
                .values(title=title.strip() or None)
                .returning(table.c.id)
            )
            if named.first() is None:
                raise NotFound(f"no session {session} is kept")

    async def retry_rendering(self, utterance: str) -> None:
        """Have a reply rendered a second time by what renders now, unless that is under way.

        Raises:
            NotFound: If there is none of that id, or it was never spoken.
            StoreError: If the database is away.
        """
        found = await self.utterance(utterance)
        said = (found.transcript or "").strip()
        if found.speaker != "assistant" or found.bytes is None or not said:
            raise NotFound(f"utterance {utterance} is no reply that was spoken")
        try:
            await self.renderings.again(utterance, voice=found.voice, text=found.transcript or "")
        except IntegrityError:
            raise NotFound(f"no utterance {utterance} is kept") from None

    # Deleting.

    async def delete_session(self, session: str) -> bool:
        """Delete rows, recordings, spools and jobs of a session.

        Returns:
            True: nothing is left of it. False: nobody finds it any more, and what is left is worked on.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away: nothing is deleted then.
        """
        validate_id(session)
        for recorder in [recorder for recorder in self._recorders if recorder.session == session]:
            recorder.stop()
        return await self._delete("session", session, lambda record: record.session == session)

    async def delete_utterance(self, utterance: str) -> bool:
        """Delete row, recording, spool and job of one utterance; see `delete_session`.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away: nothing is deleted then.
        """
        validate_id(utterance)
        return await self._delete("utterance", utterance, lambda record: record.id == utterance)

    async def delete_voice(self, voice: str) -> bool:
        """Delete a voice and everything derived from it, whoever works on it; see `delete_session`.

        Replies that were spoken in it keep their words and lose their sound.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If the database is away: nothing is deleted then.
        """
        validate_id(voice)
        return await self._delete("voice", voice, lambda record: False)

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """The deletion of that id that goes on; None: there is none, or it has ended.

        Raises:
            StoreError: If the database is away.
        """
        return await self.deletions.get(kind, subject)

    async def unfinished_deletions(self, owner: str) -> int:
        """How many deletions of what was this person's go on.

        Raises:
            StoreError: If the database is away.
        """
        return await self.deletions.count(owner)

    async def forget_waiting(self, owner: str) -> None:
        """Drop what waits to be kept for a person.

        Raises:
            StoreError: If a file cannot be deleted.
        """
        for recorder in [recorder for recorder in self._recorders if recorder.owner == owner]:
            recorder.stop()
        await self._eraser.forget(lambda record: record.owner == owner)

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of everything that belongs to the person, see `kuaimei.store.erasure_check`.

        Raises:
            StoreError: If the database is away.
        """
        return await find_names(self._database, owner, until)

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Sentences that only this person's sessions hold, see `kuaimei.store.erasure_check`.

        Raises:
            StoreError: If the database is away.
        """
        return await find_sentences(self._database, owner, until, limit)

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Where something is still named or said, see `kuaimei.store.erasure_check`.

        Raises:
            StoreError: If a place cannot be searched.
        """
        return await find_leftovers(self._database, self._blobs, names, sentences)

    async def renew_statistics(self) -> None:
        """Have PostgreSQL forget the samples that it took of what was deleted.

        Raises:
            StoreError: If the database is away or does not allow it.
        """
        await renew_statistics(self._database)

    async def erase_spoken(self) -> int:
        """Delete the sound of what was said in deleted voices; of how many replies that was.

        Raises:
            StoreError: If a part could not be deleted; ask again.
        """
        return await self._eraser.erase_spoken()

    async def _delete(self, kind: DeletionKind, subject: str, matches: "queries.Matches") -> bool:
        spooled: list[UtteranceRecord] = []

        def note(record: UtteranceRecord) -> bool:
            if matched := matches(record):
                spooled.append(record)
            return matched

        if await self.deletions.lingers(kind, subject):
            raise NotFound(f"no {kind} {subject} is kept")
        known = await self.deletions.get(kind, subject)
        deletion = known or await self.deletions.request(kind, subject)
        if known is None and not deletion.existed:
            # It may be on its way into the database, by this process or one that has died.
            await self._eraser.forget(note)
            if not spooled:
                await self.deletions.withdraw(deletion)
                raise NotFound(f"no {kind} {subject} is kept")
            deletion = await self.deletions.request(kind, subject, session=spooled[0].session)
        return await self.deletions.finish(deletion)

    async def _alone(self) -> bool:
        """No other process keeps what is said here, and nothing that was given up is on its way."""
        return self._eraser.settled and await asyncio.to_thread(SpoolRun.alone, self._spools, self._run.id)

    # Jobs.

    async def run_jobs(
        self,
        jobs: Mapping[str, Job] | None = None,
        *,
        transcribe: Transcriber,
        apart: Collection[str] = (),
    ) -> None:
        """Do the durable jobs, behind everyone who is talking; runs until cancelled.

        Args:
            jobs: What other rooms have to be done, by name.
            transcribe: Recognises speech that has no transcript, see
                `kuaimei.store.transcription_handler.transcribe_with`.
            apart: Names of those that take long: each has a worker of its own.
        """
        own: dict[str, Job] = {_TRANSCRIBE: partial(self._recognise, transcribe)}
        await self._jobs.run({**own, **(jobs or {})}, apart=apart)

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Have job ``name`` done for ``subject`` by `run_jobs`, see `kuaimei.store.jobs.JobQueue.defer`.

        Raises:
            StoreError: If the database is away.
        """
        await self._jobs.defer(name, subject, priority=priority)

    async def cancel_job(self, name: str, subject: str) -> None:
        """Forget job ``name`` for ``subject``, ending it where it is being done.

        Raises:
            StoreError: If the database is away.
        """
        await self._jobs.cancel(name, subject)

    async def _recognise(self, transcribe: Transcriber, utterance: str) -> None:
        await recognise(self, self._database, self._run.folder, transcribe, utterance)
        try:
            found = await self.utterance(utterance)
        except NotFound:
            return
        await self.analyses.ask(utterance, found.started_at)

    async def _ask_analysis(self, record: UtteranceRecord) -> None:
        await self.analyses.ask(record.id, record.started_at)

    async def _ask_transcript(self, utterance: str) -> None:
        await self._jobs.defer(_TRANSCRIBE, utterance)

    async def _ask_hq(self, record: UtteranceRecord) -> None:
        if not record.wants_hq:
            await self.renderings.cancel(record.id)
        elif (text := record.transcript or "").strip():
            await self.renderings.ask(
                record.id, voice=record.voice, text=text, speed=record.speed, clauses=record.clauses
            )

    async def _recover(self) -> None:
        """Save what dead processes left; what takes long goes on while the server is open."""
        waiting: list[asyncio.Task[None]] = []
        for dead in await asyncio.to_thread(SpoolRun.claim_abandoned, self._spools):
            given = dead, self._database, self._ingest, self._ask_transcript, self._broken
            try:
                items = await recover_spools(*given)
            except StoreError:
                await asyncio.to_thread(dead.close)
                raise
            task = asyncio.ensure_future(self._close_when_kept(dead, items))
            self._recovering.add(task)
            waiting.append(task)
        if waiting:
            await asyncio.wait(waiting, timeout=_RECOVERY_WAIT_S)

    async def _close_when_kept(self, dead: SpoolRun, items: set[PendingUtterance]) -> None:
        try:
            while items and not await self._ingest.flush(60.0, items):
                _log.warning("%d recovered utterances still wait to be kept", len(items))
            await self._writer.barrier()
        finally:
            dead.close()

    async def _close(self) -> None:
        await self.deletions.close()
        await asyncio.gather(*(recorder.close() for recorder in [*self._recorders]))
        if not await self._ingest.flush(_CLOSE_WAIT_S):
            _log.warning("%d utterances wait in their spool for the next start", self._ingest.unsaved)
        await self._ingest.close()
        for task in self._recovering:
            task.cancel()
        await asyncio.gather(*self._recovering, return_exceptions=True)
        await self.claims.close()
