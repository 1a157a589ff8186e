"""Early start of the embedded database, before anything else is imported.

It starts as a separate process, in about the time that this one takes to import its libraries.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kuaimei.settings import Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres

__all__ = ["DatabaseStart", "starting_database"]


class DatabaseStart:
    """A starting database.

    Attributes:
        server: The server, started in a thread; None: there is none to start.
    """

    def __init__(self, server: EmbeddedPostgres | None) -> None:
        self.server = server
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)
        if server is not None:
            self._thread.start()

    def join(self) -> None:
        """Block until the database is up.

        Raises:
            StoreError: If it does not start.
        """
        if self.server is None:
            return
        self._thread.join()
        if self._error is not None:
            raise self._error

    async def up(self) -> None:
        """Wait until the database is up.

        Raises:
            StoreError: If it does not start.
        """
        if self.server is not None:
            await asyncio.to_thread(self.join)

    def close(self) -> None:
        """Unregister as a user of the server; blocks until it has stopped if there is no other user."""
        if self.server is not None:
            self._thread.join()
            self.server.stop()

    def _run(self) -> None:
        assert self.server is not None  # noqa: S101 - for the type checker: the thread is only started with a server
        try:
            self.server.start()
        except BaseException as error:
            self._error = error


@contextmanager
def starting_database(settings: Settings, *, keep: bool | None = None) -> Iterator[DatabaseStart]:
    """Start the embedded database in the background, if configured; it is released after the block.

    Args:
        settings: Say whether there is one, and where.
        keep: Overrides ``settings.store.keep``.
    """
    store = settings.store
    embedded = (store.keep if keep is None else keep) and not store.database_url
    server = EmbeddedPostgres(settings.home / "postgres", store.database_dir) if embedded else None
    start = DatabaseStart(server)
    try:
        yield start
    finally:
        start.close()
