"""Opening of the store: database and blob store, and the recovery of earlier processes' work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from kuaimei.errors import StoreError
from kuaimei.settings import Settings
from kuaimei.store.analyses import AnalysisRepository
from kuaimei.store.blobs import Blobs
from kuaimei.store.database import open_database
from kuaimei.store.disk_space import Space
from kuaimei.store.jobs import JobQueue
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.renderings import RenderingRepository
from kuaimei.store.spool import SpoolRun, SpoolWriter
from kuaimei.store.store import Store

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(settings: Settings, server: EmbeddedPostgres | None = None) -> AsyncIterator[Store]:
    """Open the configured store, recover the spools of dead processes and resume their deletions.

    Args:
        settings: Say where database and blob store are.
        server: The embedded database, if the caller has begun to start it; it is stopped at the end.

    Raises:
        StoreError: If the database or the blob store cannot be used.
    """
    async with AsyncExitStack() as stack:
        kept = settings.store
        database = await stack.enter_async_context(
            open_database(
                *(kept.database_url, settings.home / "postgres", kept.database_dir),
                server=server,
                timeout_s=kept.timeout_s,
            )
        )
        blobs = Blobs(kept.blob_url, settings.home / "recordings")
        jobs = JobQueue(database)
        stack.push_async_callback(jobs.close)
        spools = settings.home / "spool"
        try:
            run = await asyncio.to_thread(SpoolRun.begin, spools)
        except OSError as error:
            raise StoreError(f"{spools} cannot be written: {error}") from error
        stack.push_async_callback(asyncio.to_thread, run.close)
        writer = SpoolWriter()
        stack.push_async_callback(asyncio.to_thread, writer.close)
        two_tiers = settings.rendering.hq != "none"
        renderings = RenderingRepository(database, blobs, jobs, run.folder, enabled=two_tiers)
        analyses = AnalysisRepository(database, jobs, enabled=settings.analysis.enabled)
        folders = [settings.home, Path(blobs.place)]  # the latter does not exist if it is a URL
        space = Space(folders, kept.disk_low_mb, kept.disk_full_mb)
        with suppress(OSError):
            await asyncio.to_thread(space.look)
        store = Store(
            *(database, blobs, settings.home, space, run, writer, jobs, renderings, analyses),
            retention_days=kept.retention_days,
        )
        stack.push_async_callback(store._close)
        await store.maintenance.resume()
        await store._recover()
        yield store
