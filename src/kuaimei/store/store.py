"""The store: records, reads and deletes conversations, and runs the durable jobs."""

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
from kuaimei.store.utterance_ingest import PendingUtterance, UtteranceIngest
from kuaimei.store.utterance_record import LOCAL, UtteranceRecord
from kuaimei.store.voices import VoiceRepository

__all__ = ["Store"]

_log = logging.getLogger(__name__)

_TRANSCRIBE: Final = "transcribe"
_RECOVERY_WAIT_S: Final = 20.0
_CLOSE_WAIT_S: Final = 10.0


class Store(ConversationReader):
    """The store, opened by `open_store`; methods may be called by any task of its event loop.

    Args:
        database: The database.
        blobs: Blob store of recordings and voices.
        home: The data folder.
        space: Free disk space.
        run: Spool run of this process.
        writer: Writer of the spools.
        jobs: Durable jobs.
        renderings: HQ renderings of replies.
        analyses: Speech analyses of utterances.
        retention_days: Days without speech after which a conversation is deleted; 0: never.

    Attributes:
        renderings: HQ renderings of replies.
        preferences: Listening tests.
        analyses: Speech analyses of utterances.
        peers: Earlier scores of the same person or voice.
        ratings: Listeners' ratings of utterances.
        people: People, who own the data.
        keys: API keys of the people.
        deletions: Deletions in progress.
        claims: Locks on the sessions open in this server.
        maintenance: Background maintenance.
        space: Free disk space.
        voices: Cloned voices.
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
        """Describe database and blob store in one line."""
        place = "embedded PostgreSQL" if self._database.embedded else "PostgreSQL"
        return f"{place}, recordings in {self._blobs.place}"

    async def health(self) -> Health:
        """Check database and blob store."""
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
        """Return totals and health counters.

        Raises:
            StoreError: If the database is unavailable.
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
        """Create a session and return its id."""
        session = new_id("sess")
        await self.ensure_session(session, client, owner=owner)
        return session

    @again_after_deadlock
    async def ensure_session(
        self, session: str, client: dict[str, Any] | None = None, *, owner: str = LOCAL
    ) -> None:
        """Create the session unless it exists.

        Args:
            session: Id of the session.
            client: What the client says about itself.
            owner: Id of the person who owns it.

        Raises:
            NotFound: If there is no such person (any more).
            Conflict: If it is being deleted.
            StoreError: If ``session`` cannot be an id, or the database is unavailable.
        """
        validate_id(session)
        if await self.deletions.lingers("session", session) or await self.deletion("session", session):
            raise Conflict(f"the session {session} is being deleted; start another one")
        made = insert(tables.sessions).values(id=session, owner=owner, client=client or {})
        try:
            async with self._database.begin() as connection:
                await connection.execute(made.on_conflict_do_nothing())
        except IntegrityError:
            raise NotFound(
                f"there is no person with the id {owner[:80]}, so nothing can be stored for them"
            ) from None

    def recorder(
        self,
        session: str,
        *,
        owner: str = LOCAL,
        client: dict[str, Any] | None = None,
        voice: str = "",
        engine: str = "",
    ) -> Recorder:
        """Create a recorder of a session, which need not exist yet; the caller closes it at the end.

        Args:
            session: Id of the session.
            owner: Id of the person who owns it.
            client: What the client says about itself, if the session has to be made.
            voice: Voice of replies whose events name none.
            engine: Name of the speech synthesis engine.

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
        """Wait until everything said so far is stored; return False on timeout."""
        return await self._ingest.flush(timeout_s)

    @again_after_deadlock
    async def rename_session(self, session: str, title: str) -> None:
        """Set the title of a session; an empty one restores the default, its first transcript.

        Raises:
            NotFound: If there is no session with that id.
            StoreError: If the database is unavailable.
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
                raise NotFound(f"there is no session {session}")

    async def retry_rendering(self, utterance: str) -> None:
        """Queue the HQ rendering of a reply by the current engine, unless it is in progress.

        Raises:
            NotFound: If there is no reply with that id, or it was never spoken.
            StoreError: If the database is unavailable.
        """
        found = await self.utterance(utterance)
        said = (found.transcript or "").strip()
        if found.speaker != "assistant" or found.bytes is None or not said:
            raise NotFound(f"utterance {utterance} is not a spoken reply")
        try:
            await self.renderings.again(utterance, voice=found.voice, text=found.transcript or "")
        except IntegrityError:
            raise NotFound(f"there is no utterance {utterance}") from None

    # Deleting.

    async def delete_session(self, session: str) -> bool:
        """Delete rows, recordings, spools and jobs of a session.

        Returns:
            True: nothing is left of it. False: it can no longer be found, and its deletion goes on.

        Raises:
            NotFound: If there is no session with that id.
            StoreError: If the database is unavailable; nothing is deleted.
        """
        validate_id(session)
        for recorder in [recorder for recorder in self._recorders if recorder.session == session]:
            recorder.stop()
        return await self._delete("session", session, lambda record: record.session == session)

    async def delete_utterance(self, utterance: str) -> bool:
        """Delete row, recording, spool and jobs of one utterance; see `delete_session`.

        Raises:
            NotFound: If there is no utterance with that id.
            StoreError: If the database is unavailable; nothing is deleted.
        """
        validate_id(utterance)
        return await self._delete("utterance", utterance, lambda record: record.id == utterance)

    async def delete_voice(self, voice: str) -> bool:
        """Delete a voice and everything derived from it; running jobs are cancelled. See `delete_session`.

        Replies spoken in it keep their text and lose their audio.

        Raises:
            NotFound: If there is no voice with that id.
            StoreError: If the database is unavailable; nothing is deleted.
        """
        validate_id(voice)
        return await self._delete("voice", voice, lambda record: False)

    async def deletion(self, kind: DeletionKind, subject: str) -> Deletion | None:
        """Return the deletion of ``subject`` in progress; None if there is none, or it has ended.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await self.deletions.get(kind, subject)

    async def unfinished_deletions(self, owner: str) -> int:
        """Count the deletions in progress of this person's data.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await self.deletions.count(owner)

    async def forget_waiting(self, owner: str) -> None:
        """Drop all pending utterances of a person and stop recording that person's sessions.

        Raises:
            StoreError: If a file cannot be deleted.
        """
        for recorder in [recorder for recorder in self._recorders if recorder.owner == owner]:
            recorder.stop()
        await self._eraser.forget(lambda record: record.owner == owner)

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Return ids of everything that the person owns, see `kuaimei.store.erasure_check`.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await find_names(self._database, owner, until)

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Return sentences found only in this person's sessions. See `find_sentences`.

        Raises:
            StoreError: If the database is unavailable.
        """
        return await find_sentences(self._database, owner, until, limit)

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Search every place for ids and sentences, see `kuaimei.store.erasure_check`.

        Raises:
            StoreError: If a place cannot be searched.
        """
        return await find_leftovers(self._database, self._blobs, names, sentences)

    async def renew_statistics(self) -> None:
        """Renew PostgreSQL's column statistics, which hold samples of deleted rows.

        Raises:
            StoreError: If the database is unavailable or does not allow it.
        """
        await renew_statistics(self._database)

    async def erase_spoken(self) -> int:
        """Delete the audio of replies spoken in deleted voices; return the number of replies.

        Raises:
            StoreError: If a part could not be deleted; call it again.
        """
        return await self._eraser.erase_spoken()

    async def _delete(self, kind: DeletionKind, subject: str, matches: "queries.Matches") -> bool:
        spooled: list[UtteranceRecord] = []

        def note(record: UtteranceRecord) -> bool:
            if matched := matches(record):
                spooled.append(record)
            return matched

        if await self.deletions.lingers(kind, subject):
            raise NotFound(f"there is no {kind} {subject}")
        known = await self.deletions.get(kind, subject)
        deletion = known or await self.deletions.request(kind, subject)
        if known is None and not deletion.existed:
            # It may not be in the database yet: in flight here, or in the spool of a dead process.
            await self._eraser.forget(note)
            if not spooled:
                await self.deletions.withdraw(deletion)
                raise NotFound(f"there is no {kind} {subject}")
            deletion = await self.deletions.request(kind, subject, session=spooled[0].session)
        return await self.deletions.finish(deletion)

    async def _alone(self) -> bool:
        """Return True if no other process writes to this store and no cancelled write is in flight."""
        return self._eraser.settled and await asyncio.to_thread(SpoolRun.alone, self._spools, self._run.id)

    # Jobs.

    async def run_jobs(
        self,
        jobs: Mapping[str, Job] | None = None,
        *,
        transcribe: Transcriber,
        apart: Collection[str] = (),
    ) -> None:
        """Run the durable jobs until cancelled.

        Args:
            jobs: Handlers of other packages' jobs, by name.
            transcribe: Transcribes speech that has no transcript, see
                `kuaimei.store.transcription_handler.transcribe_with`.
            apart: Names of long jobs: each gets a worker of its own.
        """
        own: dict[str, Job] = {_TRANSCRIBE: partial(self._recognise, transcribe)}
        await self._jobs.run({**own, **(jobs or {})}, apart=apart)

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Queue job ``name`` for ``subject``, see `kuaimei.store.jobs.JobQueue.defer`.

        Raises:
            StoreError: If the database is unavailable.
        """
        await self._jobs.defer(name, subject, priority=priority)

    async def cancel_job(self, name: str, subject: str) -> None:
        """Delete job ``name`` for ``subject``, and stop it if it is running.

        Raises:
            StoreError: If the database is unavailable.
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
        """Recover the spools of dead processes; what takes long goes on after the start."""
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
                _log.warning("%d recovered utterances are still waiting to be stored", len(items))
            await self._writer.barrier()
        finally:
            dead.close()

    async def _close(self) -> None:
        await self.deletions.close()
        await asyncio.gather(*(recorder.close() for recorder in [*self._recorders]))
        if not await self._ingest.flush(_CLOSE_WAIT_S):
            _log.warning("%d utterances wait in the spool for the next start", self._ingest.unsaved)
        await self._ingest.close()
        for task in self._recovering:
            task.cancel()
        await asyncio.gather(*self._recovering, return_exceptions=True)
        await self.claims.close()
