"""A network between the store and what it talks to, which may swallow everything without a word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

__all__ = ["BlackHole", "black_hole"]


class BlackHole:
    """Passes bytes on until it is told not to: then it goes on taking them, and says nothing."""

    def __init__(self) -> None:
        self.port = 0
        self.swallowed = 0
        self._passing = asyncio.Event()
        self._passing.set()

    def swallow(self) -> None:
        """From now on nothing comes through, and nobody hears of that."""
        self._passing.clear()

    def heal(self) -> None:
        """New connections come through again; what was swallowed does not."""
        self._passing.set()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of one connection."""
        lost = False
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                lost = lost or not self._passing.is_set()
                if lost:
                    self.swallowed += len(data)
                    continue
                writer.write(data)
                await writer.drain()
        if lost:
            # Nothing says that this side is gone. PostgreSQL asks after it (keepalives), and learns so once
            # anything comes through again; over a Unix socket it cannot ask, so that is done here.
            await self._passing.wait()
        writer.close()


@asynccontextmanager
async def black_hole(target: str | int) -> AsyncIterator[BlackHole]:
    """A port of loopback behind which is ``target``: a port of loopback, or a Unix socket."""
    hole = BlackHole()
    writers: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        if isinstance(target, str):
            far_reader, far_writer = await asyncio.open_unix_connection(target)
        else:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        writers.add(far_writer)
        await asyncio.gather(hole.pump(reader, far_writer), hole.pump(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    hole.port = server.sockets[0].getsockname()[1]
    try:
        yield hole
    finally:
        server.close()
        for writer in writers:
            writer.close()
