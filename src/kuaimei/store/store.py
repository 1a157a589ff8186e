"""The store: everything said, found again, and deleted when asked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from kuaimei.errors import NotFound, StoreError
from kuaimei.settings import Settings
from kuaimei.store import queries, tables
from kuaimei.store.analyses import Analyses
from kuaimei.store.archive import Archive
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import Database, open_database
from kuaimei.store.embedded import EmbeddedPostgres
from kuaimei.store.erasing import erase_spoken
from kuaimei.store.ids import check_id, new_id
from kuaimei.store.jobs import Job, Jobs
from kuaimei.store.keeper import Item, Keeper, blob_key
from kuaimei.store.keys import Keys
from kuaimei.store.peers import Peers
from kuaimei.store.people import People
from kuaimei.store.preferences import Preferences
from kuaimei.store.ratings import Ratings
from kuaimei.store.recognition import recognise
from kuaimei.store.recorder import Recorder
from kuaimei.store.records import LOCAL, Record
from kuaimei.store.recovery import recover
from kuaimei.store.renderings import HQ_JOB, Renderings
from kuaimei.store.rows import Health, Statistics
from kuaimei.store.searching import Leftover, find_leftovers, find_names, find_sentences, renew_statistics
from kuaimei.store.spool import Run, SpoolWriter, forget
from kuaimei.store.transcription import Transcriber
from kuaimei.store.voices import VoiceShelf

__all__ = ["Store", "open_store"]

_log = logging.getLogger(__name__)

_TRANSCRIBE = "transcribe"
_RECOVERY_WAIT_S = 20.0
_CLOSE_WAIT_S = 10.0


class Store(Archive):
    """Open by `open_store`; all methods may be called by any task of its event loop.

    Attributes:
        renderings: The second tier of replies.
        preferences: What listeners preferred.
        analyses: How people spoke.
        peers: The earlier scores of the same person or voice.
        ratings: How listeners rated it.
        people: To whom what is kept belongs.
        keys: By which they come in.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        spools: Path,
        run: Run,
        writer: SpoolWriter,
        jobs: Jobs,
        renderings: Renderings,
        analyses: Analyses,
    ) -> None:
        super().__init__(database, blobs)
        self._spools = spools
        self._run = run
        self._writer = writer
        self._jobs = jobs
        self.renderings = renderings
        self.preferences = Preferences(database)
        self.analyses = analyses
        self.peers = Peers(database)
        self.ratings = Ratings(database)
        self.people = People(database)
        self.keys = Keys(database)
        self._keeper = Keeper(database, blobs, writer, self._ask_transcript, self._ask_hq, self._ask_analysis)
        self._recorders: set[Recorder] = set()
        self._recovering: set[asyncio.Task[None]] = set()
        self.voices = VoiceShelf(database, blobs)

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
        return Health(database, blobs, "; ".join(trouble))

    async def statistics(self) -> Statistics:
        """How much is kept, and how the keeping goes.

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            sessions = await connection.scalar(select(func.count()).select_from(tables.sessions))
            totals = (await connection.execute(queries.totals())).one()
        return Statistics(
            sessions=sessions or 0,
            utterances=totals.utterances,
            speech_s=totals.speech_s,
            bytes=totals.bytes,
            unsaved=self._keeper.unsaved,
            lost_bytes=self._writer.lost_bytes,
            failures=self._keeper.failures + self._writer.failures,
            jobs=await self._jobs.counts(),
        )

    # Recording.

    async def create_session(self, client: dict[str, Any] | None = None, *, owner: str = LOCAL) -> str:
        """A new session; its id."""
        session = new_id("sess")
        await self.ensure_session(session, client, owner=owner)
        return session

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
            StoreError: If ``session`` cannot be an id, or the database is away.
        """
        check_id(session)
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
            check_id(session),
            self._run,
            self._writer,
            self._keeper,
            owner=owner,
            client=client,
            voice=voice,
            engine=engine,
            closed=self._recorders.discard,
        )
        self._recorders.add(recorder)
        return recorder

    async def settle(self, timeout_s: float = _CLOSE_WAIT_S) -> bool:
        """Wait until everything said so far is kept; False if that took too long."""
        return await self._keeper.settle(timeout_s)

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

    async def render_again(self, utterance: str) -> None:
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

    async def delete_session(self, session: str) -> None:
        """Rows, recordings, spools and jobs of a session: really gone.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If a part could not be deleted; ask again.
        """
        check_id(session)
        for recorder in [recorder for recorder in self._recorders if recorder.session == session]:
            recorder.stop()
        existed = await self._forget(lambda record: record.session == session)
        async with self._database.begin() as connection:
            pending = list(await connection.scalars(queries.being_rendered(session)))
        for utterance in pending:
            await self._jobs.cancel(HQ_JOB, utterance)
        await self._blobs.delete([key async for key in self._blobs.keys(session)])
        async with self._database.begin() as connection:
            await connection.execute(queries.jobs_of_session(session))
            gone = await connection.execute(
                delete(tables.sessions).where(tables.sessions.c.id == session).returning(tables.sessions.c.id)
            )
            existed |= gone.first() is not None
        # What was put there meanwhile; whoever puts one from now on finds no row and takes it away again.
        await self._blobs.delete([key async for key in self._blobs.keys(session)])
        self._keeper.forget_session(session)
        if not existed:
            raise NotFound(f"no session {session} is kept")

    async def delete_utterance(self, utterance: str) -> None:
        """Row, recording, spool and job of one utterance.

        Raises:
            NotFound: If there is none of that id.
            StoreError: If a part could not be deleted; ask again.
        """
        check_id(utterance)
        existed = await self._forget(lambda record: record.id == utterance)
        table = tables.utterances
        async with self._database.begin() as connection:
            session = await connection.scalar(select(table.c.session_id).where(table.c.id == utterance))
        if session is not None:
            await self._jobs.cancel(HQ_JOB, utterance)
            await self._blobs.delete([blob_key(session, utterance)])
            async with self._database.begin() as connection:
                await connection.execute(queries.jobs_of_utterance(utterance))
                await connection.execute(delete(table).where(table.c.id == utterance))
            await self._blobs.delete([blob_key(session, utterance, "hq")])
        elif not existed:
            raise NotFound(f"no utterance {utterance} is kept")

    async def forget_waiting(self, owner: str) -> bool:
        """What waits to be kept for a person is dropped; True if there was any.

        Raises:
            StoreError: If it is being written and that does not end.
        """
        for recorder in [recorder for recorder in self._recorders if recorder.owner == owner]:
            recorder.stop()
        return await self._forget(lambda record: record.owner == owner)

    async def names_of(self, owner: str, until: datetime | None = None) -> Sequence[str]:
        """Ids of everything that belongs to the person, see `kuaimei.store.searching`.

        Raises:
            StoreError: If the database is away.
        """
        return await find_names(self._database, owner, until)

    async def sentences_of(
        self, owner: str, until: datetime | None = None, limit: int = 200
    ) -> Sequence[str]:
        """Sentences that only this person's sessions hold, see `kuaimei.store.searching`.

        Raises:
            StoreError: If the database is away.
        """
        return await find_sentences(self._database, owner, until, limit)

    async def leftovers(self, names: Sequence[str], sentences: Sequence[str]) -> Sequence[Leftover]:
        """Where something is still named or said, see `kuaimei.store.searching`.

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
        return await erase_spoken(self._database, self._blobs, self.renderings)

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
                `kuaimei.store.transcription.transcribe_with`.
            apart: Names of those that take long: each has a worker of its own.
        """
        own: dict[str, Job] = {_TRANSCRIBE: partial(self._recognise, transcribe)}
        await self._jobs.run({**own, **(jobs or {})}, apart=apart)

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Have job ``name`` done for ``subject`` by `run_jobs`, see `kuaimei.store.jobs.Jobs.defer`.

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

    async def _ask_analysis(self, record: Record) -> None:
        await self.analyses.ask(record.id, record.started_at)

    async def _ask_transcript(self, utterance: str) -> None:
        await self._jobs.defer(_TRANSCRIBE, utterance)

    async def _ask_hq(self, record: Record) -> None:
        if not record.wants_hq:
            await self.renderings.cancel(record.id)
        elif (text := record.transcript or "").strip():
            await self.renderings.ask(
                record.id, voice=record.voice, text=text, speed=record.speed, clauses=record.clauses
            )

    async def _forget(self, matches: "queries.Matches") -> bool:
        """Nothing in flight or spooled of records that match; True if there was any."""
        found = False

        def note(record: Record) -> bool:
            nonlocal found
            matched = matches(record)
            found |= matched
            return matched

        await self._keeper.forget(note)
        await self._writer.barrier()
        await asyncio.to_thread(forget, self._spools, note)
        return found

    async def _recover(self) -> None:
        """Save what dead processes left; what takes long goes on while the house is open."""
        waiting: list[asyncio.Task[None]] = []
        for dead in await asyncio.to_thread(Run.dead, self._spools):
            try:
                items = await recover(dead, self._database, self._keeper, self._ask_transcript)
            except StoreError:
                await asyncio.to_thread(dead.close)
                raise
            task = asyncio.ensure_future(self._close_when_kept(dead, items))
            self._recovering.add(task)
            waiting.append(task)
        if waiting:
            await asyncio.wait(waiting, timeout=_RECOVERY_WAIT_S)

    async def _close_when_kept(self, dead: Run, items: set[Item]) -> None:
        try:
            while items and not await self._keeper.settle(60.0, items):
                _log.warning("%d recovered utterances still wait to be kept", len(items))
            await self._writer.barrier()
        finally:
            dead.close()

    async def _close(self) -> None:
        for recorder in [*self._recorders]:
            await recorder.close()
        if not await self._keeper.settle(_CLOSE_WAIT_S):
            _log.warning("%d utterances wait in their spool for the next start", self._keeper.unsaved)
        await self._keeper.close()
        for task in self._recovering:
            task.cancel()
        await asyncio.gather(*self._recovering, return_exceptions=True)


@asynccontextmanager
async def open_store(settings: Settings, server: EmbeddedPostgres | None = None) -> AsyncIterator[Store]:
    """Open what ``settings.store`` names, and recover what earlier processes left.

    Args:
        settings: Say where things are kept.
        server: The embedded database, if the caller has begun to start it; it is stopped at the end.

    Raises:
        StoreError: If the database or the place of the recordings cannot be used.
    """
    async with AsyncExitStack() as stack:
        url, base = settings.store.database_url, settings.store.database_dir
        database = await stack.enter_async_context(
            open_database(url, settings.home / "postgres", base, server)
        )
        blobs = Blobs(settings.store.blob_url, settings.home / "recordings")
        jobs = Jobs(database)
        stack.push_async_callback(jobs.close)
        spools = settings.home / "spool"
        try:
            run = await asyncio.to_thread(Run.begin, spools)
        except OSError as error:
            raise StoreError(f"{spools} cannot be written: {error}") from error
        stack.push_async_callback(asyncio.to_thread, run.close)
        writer = SpoolWriter()
        stack.push_async_callback(asyncio.to_thread, writer.close)
        two_tiers = settings.rendering.hq != "none"
        renderings = Renderings(database, blobs, jobs, run.folder, enabled=two_tiers)
        analyses = Analyses(database, jobs, enabled=settings.analysis.enabled)
        store = Store(database, blobs, spools, run, writer, jobs, renderings, analyses)
        stack.push_async_callback(store._close)
        await store._recover()
        yield store
