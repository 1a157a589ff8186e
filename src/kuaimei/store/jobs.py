"""Work that outlives the process: a durable queue in the database (procrastinate).

One process at a time works for a database: whoever holds an advisory lock. That lock goes with its
holder, however it ends, so that the next one knows for certain that jobs still marked as being done
are nobody's, and begins them again at once. Every job may therefore run more than once; what a job
does is the same the second time.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import psycopg
from sqlalchemy import text

from kuaimei.errors import StoreError
from kuaimei.store.database import Database

if TYPE_CHECKING:
    from procrastinate import App

__all__ = ["Job", "Jobs"]

_log = logging.getLogger(__name__)

_LOCK = 0x6B75_6169_6D65_6902
_WATCH_S = 5.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_ATTEMPTS = 8

Job: TypeAlias = Callable[[str], Awaitable[None]]
"""Does the work for the utterance whose id it is given."""


class Jobs:
    """The queue.

    Loading procrastinate takes a third of a second; that is spent when there is a first job, or a worker.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._app: App | None = None
        self._opening = asyncio.Lock()

    async def defer(self, name: str, utterance: str) -> None:
        """Have job ``name`` done for ``utterance``, once, whatever happens to this process.

        Raises:
            StoreError: If the database is away.
        """
        from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

        app = await self._opened()
        deferrer = app.configure_task(
            name, queue=name, queueing_lock=f"{name}:{utterance}", allow_unknown=True
        )
        try:
            await deferrer.defer_async(utterance=utterance)
        except AlreadyEnqueued:
            pass
        except ConnectorException as error:
            raise StoreError(f"the job {name} cannot be queued: {error.__cause__ or error}") from error

    async def run(self, jobs: Mapping[str, Job]) -> None:
        """Work until cancelled. A database that goes away is waited for."""
        from procrastinate.exceptions import ProcrastinateException

        delay = _FIRST_DELAY_S
        while True:
            try:
                async with self._alone() as holder:
                    delay = _FIRST_DELAY_S
                    await self._take_up()
                    await self._work(jobs, holder)
            except (StoreError, psycopg.Error, ProcrastinateException, OSError) as error:
                _log.warning("jobs wait for the database: %s", error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)

    async def counts(self) -> dict[str, int]:
        """Jobs by status (todo, doing, failed …).

        Raises:
            StoreError: If the database is away.
        """
        async with self._database.begin() as connection:
            found = await connection.execute(
                text(
                    "select status::text as status, count(*) as number "
                    "from procrastinate_jobs group by status"
                )
            )
            return {row.status: row.number for row in found}

    async def close(self) -> None:
        """Let go of the connections."""
        if self._app is not None:
            await self._app.close_async()
            self._app = None

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[psycopg.AsyncConnection]:
        holder = await self._database.connect()
        try:
            await holder.set_autocommit(True)
            await holder.execute("select pg_advisory_lock(%s)", (_LOCK,))
            yield holder
        finally:
            await holder.close()

    async def _take_up(self) -> None:
        """Begin again what a dead worker was doing."""
        async with self._database.begin() as connection:
            # Queued again meanwhile: the newer one does it.
            await connection.execute(
                text(
                    "delete from procrastinate_jobs as left_over where status = 'doing' and exists "
                    "(select from procrastinate_jobs as newer "
                    "where newer.status = 'todo' and newer.queueing_lock = left_over.queueing_lock)"
                )
            )
            taken = await connection.execute(
                text(
                    "select procrastinate_retry_job_v2(id, now(), null, null, null) "
                    "from procrastinate_jobs where status = 'doing'"
                )
            )
            if count := len(taken.all()):
                _log.info("taking up %d jobs that were left unfinished", count)

    async def _work(self, jobs: Mapping[str, Job], holder: psycopg.AsyncConnection) -> None:
        from procrastinate import RetryStrategy

        app = await self._opened()
        for name, job in jobs.items():
            if name not in app.tasks:
                retry = RetryStrategy(max_attempts=_ATTEMPTS, exponential_wait=3)
                app.task(name=name, queue=name, retry=retry)(_by_keyword(job))
        worker = asyncio.ensure_future(
            app.run_worker_async(
                queues=list(jobs),
                concurrency=1,
                install_signal_handlers=False,
                delete_jobs="successful",
                shutdown_graceful_timeout=0,
                name="kuaimei",
            )
        )
        watch = asyncio.ensure_future(_watch(holder))
        try:
            await asyncio.wait((worker, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (worker, watch):
                task.cancel()
            results = await asyncio.gather(worker, watch, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _opened(self) -> "App":
        async with self._opening:
            if self._app is None:
                from procrastinate import App, PsycopgConnector
                from procrastinate.exceptions import ConnectorException

                connector = PsycopgConnector(
                    conninfo=self._database.conninfo, min_size=0, max_size=4, timeout=5.0
                )
                app = App(connector=connector)
                try:
                    await app.open_async()
                except ConnectorException as error:
                    with suppress(Exception):
                        await app.close_async()
                    raise StoreError("the job queue cannot reach the database") from error
                self._app = app
            return self._app


def _by_keyword(job: Job) -> Callable[..., Awaitable[None]]:
    async def run(utterance: str) -> None:
        await job(utterance)

    return run


async def _watch(holder: psycopg.AsyncConnection) -> None:
    """Ends with an error when the lock's connection is lost: then somebody else may hold it."""
    while True:
        await asyncio.sleep(_WATCH_S)
        await holder.execute("select 1")
