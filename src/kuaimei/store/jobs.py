"""Durable job queue in the database (procrastinate); jobs outlive the process.

One process at a time works on a database: the one that holds an advisory lock. The lock is released
when its holder ends, in whatever way, so that the next one knows for certain that jobs still marked
as running are orphans, and starts them again at once. Every job may therefore run more than once;
jobs are idempotent.

A job is identified by its name and its subject: the id of what it is done for. Queued twice it runs
once; cancelled, it is deleted, and ends with `asyncio.CancelledError` if it is running.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import psycopg
from sqlalchemy import TextClause, text

from kuaimei.errors import KuaimeiError, StoreError
from kuaimei.store.database import Database
from kuaimei.store.deadlock_retry import again_after_deadlock
from kuaimei.store.ids import validate_id
from kuaimei.system.failures import kind_of, trace_of

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.retry import BaseRetryStrategy

__all__ = ["Job", "JobQueue", "newest_first_priority"]

_log = logging.getLogger(__name__)

_LOCK = 0x6B75_6169_6D65_6902
_WATCH_INTERVAL_S = 5.0
_WATCH_TIMEOUT_S = 10.0
"""Less than a server takes to release the lock of a client that is gone: see `kuaimei.store.connection`."""
_LOCK_POLL_S = 1.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_ATTEMPTS = 8
_CONNECTIONS = 8
"""Maximum number of connections: each worker listens on one."""
_ABORT_POLL_S = 1.0
"""Seconds after which a worker sees a cancellation whose notification it missed."""
_CANCEL_WAIT_S = 15.0
_CANCEL_POLL_S = 0.05
_OF_NAME = "queueing_lock = any(:names)"
_OF_SUBJECT = "args->>'subject' = any(:names)"
_EPOCH_S = 1_767_225_600
"""Unix time of 2026-01-01: seconds since then fit into the 32 bits of a priority until 2094."""

Job: TypeAlias = Callable[[str], Awaitable[None]]
"""Does the work for the subject with the given id."""


def newest_first_priority(at_s: float) -> int:
    """Return a priority by which the latest goes first.

    Args:
        at_s: Unix time.
    """
    return int(at_s) - _EPOCH_S


class JobQueue:
    """Durable job queue.

    Loading procrastinate takes a third of a second; it is loaded with the first job, or by a worker.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._app: App | None = None
        self._opening = asyncio.Lock()
        self._handlers: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def defer(self, name: str, subject: str, *, priority: int = 0) -> None:
        """Queue job ``name`` for ``subject``, unless it is queued already; it survives this process.

        Args:
            name: One of the names passed to `run`.
            subject: Id of what it is done for.
            priority: Of the jobs that wait for the same worker the highest runs first.

        Raises:
            StoreError: If ``subject`` cannot be an id, or the database is unavailable.
        """
        from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

        for one in (name, subject):
            validate_id(one)
        app = await self._opened()
        deferrer = app.configure_task(
            name, queue=name, queueing_lock=_lock(name, subject), priority=priority, allow_unknown=True
        )
        try:
            await deferrer.defer_async(subject=subject)
        except AlreadyEnqueued:
            pass
        except ConnectorException as error:
            raise StoreError(f"the job {name} cannot be queued: {error.__cause__ or error}") from error

    async def cancel(self, name: str, subject: str) -> None:
        """Delete job ``name`` for ``subject``, and stop it if it is running. There may be none.

        Returns when it has ended. A worker in another process that does not answer is not waited for longer
        than 15 s: it ends the job when it sees the cancellation, and its successor does not start it again.

        Raises:
            StoreError: If the database is unavailable.
        """
        await self._cancel(_OF_NAME, [_lock(name, subject)])

    async def cancel_all(self, subjects: Collection[str]) -> None:
        """Cancel all jobs for ``subjects``, of any name; see `cancel`.

        Raises:
            StoreError: If the database is unavailable.
        """
        await self._cancel(_OF_SUBJECT, list(subjects))

    async def _cancel(self, which: str, names: list[str]) -> None:
        query = text(
            f"with gone as (delete from procrastinate_jobs where {which} and status <> 'doing'), "  # noqa: S608
            f"told as (update procrastinate_jobs set abort_requested = true "
            f"where {which} and status = 'doing' returning queueing_lock) "
            "select queueing_lock from told"
        ).bindparams(names=names)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCEL_WAIT_S):
                # An aborted job leaves a failed row: the next round deletes it.
                while locks := await self._fetch_names(query):
                    running = [task for lock in locks if (task := self._running.get(lock)) is not None]
                    if running:
                        await asyncio.wait(running)
                    else:
                        await asyncio.sleep(_CANCEL_POLL_S)

    async def _fetch_names(self, query: TextClause) -> list[str]:
        async with self._database.begin() as connection:
            return list(await connection.scalars(query))

    async def run(self, jobs: Mapping[str, Job], *, apart: Collection[str] = ()) -> None:
        """Run jobs until cancelled; an unavailable database is waited for.

        Args:
            jobs: Handler of each job name.
            apart: Names that get a worker of their own each, so that long jobs do not delay the others; all
                other jobs run one after another.
        """
        from procrastinate.exceptions import ProcrastinateException

        delay = _FIRST_DELAY_S
        while True:
            try:
                async with self._exclusive_worker() as holder:
                    delay = _FIRST_DELAY_S
                    await self._requeue_orphans()
                    await self._work(jobs, apart, holder)
            except (StoreError, psycopg.Error, ProcrastinateException, OSError) as error:
                _log.warning("jobs are waiting for the database: %s", error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_S)

    async def counts(self) -> dict[str, int]:
        """Count jobs by status (todo, doing, failed …).

        Raises:
            StoreError: If the database is unavailable.
        """
        async with self._database.begin() as connection:
            found = await connection.execute(
                text(
                    "select status::text as status, count(*) as number "
                    "from procrastinate_jobs group by status"
                )
            )
            return {row.status: row.number for row in found}

    async def has_ready_job(self, name: str) -> bool:
        """Return True if a job of that name is running or due.

        Raises:
            StoreError: If the database is unavailable.
        """
        query = text(
            "select exists (select from procrastinate_jobs where task_name = :name and "
            "status in ('todo', 'doing') and coalesce(scheduled_at, now()) <= now())"
        ).bindparams(name=name)
        async with self._database.begin() as connection:
            return bool(await connection.scalar(query))

    async def close(self) -> None:
        """Close the connections."""
        if self._app is not None:
            await self._app.close_async()
            self._app = None

    @asynccontextmanager
    async def _exclusive_worker(self) -> AsyncIterator[psycopg.AsyncConnection]:
        # Polled instead of blocking, to distinguish a silent server from a lock that is held.
        holder = await self._database.connect(_WATCH_TIMEOUT_S)
        try:
            await holder.set_autocommit(True)
            while not await _locked(holder):  # noqa: ASYNC110 - there is no notification
                await asyncio.sleep(_LOCK_POLL_S)
            yield holder
        finally:
            await holder.close()

    @again_after_deadlock
    async def _requeue_orphans(self) -> None:
        """Requeue the jobs that a dead worker was running."""
        async with self._database.begin() as connection:
            # Delete jobs that were cancelled, or queued again meanwhile: the newer one runs.
            await connection.execute(
                text(
                    "delete from procrastinate_jobs as left_over where status = 'doing' and (abort_requested "
                    "or exists (select from procrastinate_jobs as newer "
                    "where newer.status = 'todo' and newer.queueing_lock = left_over.queueing_lock))"
                )
            )
            taken = await connection.execute(
                text(
                    "select procrastinate_retry_job_v2(id, now(), null, null, null) "
                    "from procrastinate_jobs where status = 'doing'"
                )
            )
            if count := len(taken.all()):
                _log.info("restarting %d unfinished jobs", count)

    async def _work(
        self, jobs: Mapping[str, Job], apart: Collection[str], holder: psycopg.AsyncConnection
    ) -> None:
        app = await self._opened()
        self._handlers.update(jobs)
        for name in jobs:
            if name not in app.tasks:
                app.task(name=name, queue=name, retry=_retries())(self._by_keyword(name))
        shared = [name for name in jobs if name not in apart]
        tasks = [
            asyncio.ensure_future(
                app.run_worker_async(
                    queues=queues,
                    concurrency=1,
                    install_signal_handlers=False,
                    delete_jobs="successful",
                    shutdown_graceful_timeout=0,
                    abort_job_polling_interval=_ABORT_POLL_S,
                    name="kuaimei",
                )
            )
            for queues in (shared, *([name] for name in jobs if name in apart))
            if queues
        ]
        tasks.append(asyncio.ensure_future(_watch(holder)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _by_keyword(self, name: str) -> Callable[..., Awaitable[None]]:
        async def run(subject: str) -> None:
            lock, task = _lock(name, subject), asyncio.current_task()
            if task is not None:
                self._running[lock] = task
            # procrastinate logs every failure with the messages of its causes, which may quote user data.
            try:
                await self._handlers[name](subject)
            except KuaimeiError as error:
                raise error from None
            except Exception as error:
                _log.error("unexpected error in the job %s:\n%s", name, trace_of(error))
                raise StoreError(f"the job {name} failed ({kind_of(error)})") from None
            finally:
                self._running.pop(lock, None)

        return run

    async def _opened(self) -> "App":
        async with self._opening:
            if self._app is None:
                from procrastinate import App, PsycopgConnector
                from procrastinate.exceptions import ConnectorException

                connector = PsycopgConnector(
                    conninfo=self._database.conninfo,
                    connection_class=self._database.connection_class,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=5.0,
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


def _lock(name: str, subject: str) -> str:
    """Return the queueing lock of a job, which is unique among queued jobs."""
    return f"{name}:{subject}"


def _retries() -> "BaseRetryStrategy":
    """Return the retry strategy: back-off after a failure, immediately after a cancellation."""
    from procrastinate.jobs import Job as Queued
    from procrastinate.retry import RetryDecision, RetryStrategy

    class _Patience(RetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: Queued) -> RetryDecision | None:
            if isinstance(exception, asyncio.CancelledError):
                return RetryDecision(retry_in={"seconds": 0})
            return super().get_retry_decision(exception=exception, job=job)

    return _Patience(max_attempts=_ATTEMPTS, exponential_wait=3)


async def _locked(holder: psycopg.AsyncConnection[tuple[object, ...]]) -> bool:
    row = await (await holder.execute("select pg_try_advisory_lock(%s)", (_LOCK,))).fetchone()
    return row is not None and bool(row[0])


async def _watch(holder: psycopg.AsyncConnection) -> None:
    """Raise an error when the lock's connection is lost: another process may hold the lock then."""
    while True:
        await asyncio.sleep(_WATCH_INTERVAL_S)
        await holder.execute("select 1")
